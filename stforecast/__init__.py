"""stforecast: deep spatio-temporal forecasting of reported offences on H3 hexagons.

    import stforecast as st

    cube = st.load_cube("quickstart")
    split = cube.split(train=0.75, validation=0.08)
    model = st.GCRN(hidden=32).fit(cube, split)
    card = st.evaluate(cube, split, [model, st.RollingClimatology()])

Everything is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stforecast.cube import Cube
    from stforecast.errors import StforecastError
    from stforecast.evaluation.scorecard import Scorecard, evaluate
    from stforecast.forecasters.base import Forecaster
    from stforecast.forecasters.climatology import FixedClimatology, RollingClimatology
    from stforecast.forecasters.controls import HexagonMean, LastWeek
    from stforecast.forecasters.ensemble import Ensemble
    from stforecast.forecasters.forecast import Forecast
    from stforecast.forecasters.gcrn.forecaster import GCRN
    from stforecast.forecasters.hawkes import Hawkes
    from stforecast.forecasters.kernel import Kernel
    from stforecast.forecasters.streaming import StreamingForecaster
    from stforecast.forecasters.zoo import (
        BalancedRandomForest,
        CatBoost,
        ExtraTrees,
        HistGradientBoosting,
        LightGBM,
        RandomForest,
        XGBoost,
    )
    from stforecast.pipeline.loading import load_cube
    from stforecast.scoring.splits import Split


# Threads of OpenMP that wait for each other spin by default, and beside other work take the core from the very thread
# that they wait for. They sleep instead, unless the user says otherwise. It is read once, when PyTorch or a library of
# trees is loaded; GOMP_SPINCOUNT and KMP_BLOCKTIME go before it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Threads of OpenMP that wait for each other spin by default, and beside other work take the core from the very thread
# that they wait for. They sleep instead, unless the user says otherwise. It is read once, when PyTorch or a library of
# trees is loaded; GOMP_SPINCOUNT and KMP_BLOCKTIME go before it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

_MODULES = {
    "cube": ("Cube",),
    "errors": ("StforecastError",),
    "evaluation.scorecard": ("Scorecard", "evaluate"),
    "forecasters.base": ("Forecaster",),
    "forecasters.climatology": ("FixedClimatology", "RollingClimatology"),
    "forecasters.controls": ("HexagonMean", "LastWeek"),
    "forecasters.ensemble": ("Ensemble",),
    "forecasters.forecast": ("Forecast",),
    "forecasters.gcrn.forecaster": ("GCRN",),
    "forecasters.hawkes": ("Hawkes",),
    "forecasters.kernel": ("Kernel",),
    "forecasters.streaming": ("StreamingForecaster",),
    "forecasters.zoo": (
        *("BalancedRandomForest", "CatBoost", "ExtraTrees", "HistGradientBoosting", "LightGBM"),
        *("RandomForest", "XGBoost"),
    ),
    "pipeline.loading": ("load_cube",),
    "scoring.splits": ("Split",),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}
__all__ = [*sorted(_WHERE), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'stforecast' has no attribute {name!r}")
    return getattr(importlib.import_module(f"stforecast.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
