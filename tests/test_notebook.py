"""The notebook runs from top to bottom, on a smaller city of the same name."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from stforecast.config import dump, load

NOTEBOOK = Path(__file__).parents[1] / "docs/notebooks/quickstart.ipynb"


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    smaller = dump(load("quickstart", ["synthetic.hexagons=30"]))
    (tmp_path / "quickstart").write_text(smaller, encoding="utf-8")  # a file of the user's comes first
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        assert not cell.get("outputs"), "outputs are made by the reader"
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert set(names["card"].table().index) == {"gcrn", "hist_gradient_boosting", "rolling_climatology"}
    assert len(names["forecast"].to_frame()) == 24 * names["cube"].n * names["cube"].c
