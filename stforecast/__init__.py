"""stforecast: deep spatio-temporal forecasting of reported offences on H3 hexagons.

    import stforecast as st

    cube = st.load_cube("quickstart")
    split = cube.split(train=0.75, validation=0.08)
    model = st.GCRN(hidden=32).fit(cube, split)
    card = st.evaluate(cube, split, [model, st.RollingClimatology()])

Everything is imported when it is first asked for.
"""

from __future__ import annotations

import ast
import importlib
import os
from pathlib import Path
from typing import Any

# Threads of OpenMP that wait for each other spin by default, and beside other work take the core from the very thread
# that they wait for. They sleep instead, unless the user says otherwise. It is read once, when PyTorch or a library of
# trees is loaded; GOMP_SPINCOUNT and KMP_BLOCKTIME go before it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

_WHERE = {
    name.name: node.module
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    if isinstance(node, ast.ImportFrom) and node.module
    for name in node.names
}
"""The modules of what `__init__.pyi` lists, for editors and type checkers as well."""
__all__ = [*sorted(_WHERE), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'stforecast' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
