"""Why numbers are what they are, in runs of hours, days and months: beside the grid, and on request of any place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from tiny_city import SMALL

from stforecast.cli.commands import cli
from stforecast.config import load
from stforecast.errors import ConfigError, DataError
from stforecast.pipeline.stages import Stages
from stforecast.pipeline.why_asked import why_of

pytestmark = pytest.mark.usefixtures("one_thread")
NETWORK = (
    *SMALL[:2],
    "evaluation.forecasters=[gcrn, hist_gradient_boosting, rolling_climatology, last_week]",
    *("training.max_epochs=1", "training.device=cpu", "model.hidden=4", "model.rank=2", "training.warm_up_days=14"),
)


def stages_of(root: Path, *more: str, lines: list[str] | None = None) -> Stages:
    given = [f"root={root}", *NETWORK, *more]
    return Stages(load("configs/quickstart.yaml", given), (lines if lines is not None else []).append)


def check(folder: Path) -> pd.DataFrame:
    """The parts of a grid, held against its numbers."""
    why = pd.read_parquet(folder / "why.parquet")
    sums = why.groupby(["hexagon", "span", "category"])["log_part"].sum().unstack("span")
    whole = pd.read_parquet(folder / "risk_horizon.parquet").set_index(["hexagon", "category"])["intensity"]
    assert abs(sums["all"] - np.log(whole.reindex(sums.index))).max() < 1e-5
    steps = pd.read_parquet(folder / "risk.parquet")
    for span, rows in why[why["span"] != "all"].groupby("span"):
        inside = (steps["valid_from"] >= rows["valid_from"].min()) & (steps["valid_until"] <= rows["valid_until"].max())
        of_span = steps[inside].groupby(["hexagon", "category"])["intensity"].sum()
        assert abs(sums[span] - np.log(of_span.reindex(sums.index))).max() < 1e-5
    return why


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("why")
    stages = stages_of(folder)
    stages.ingest()
    stages.build()
    stages.train()
    return folder


@pytest.mark.parametrize("model", ["gcrn", "hist_gradient_boosting", "rolling_climatology"])
def test_parts_stand_beside_the_grid(root: Path, model: str) -> None:
    (folder,) = stages_of(root).forecast(model=model)
    why = check(folder)
    assert {*why["span"]} == {"all", "day", "evening", "night"}
    learned = {"usual", "city", "calendar", "weather", "last_days", "neighbours"}
    assert {*why["group"]} == ({"usual", "city"} if model == "rolling_climatology" else learned)
    assert json.loads((folder / "why.json").read_text())["contents"]["theft"] == ["theft*", "burglary"]
    assert "why" in json.loads(
        (folder / "map.html").read_text().split('type="application/json">')[1].split("</script>")[0]
    )


def test_what_is_not_available_is_said(root: Path) -> None:
    lines: list[str] = []
    stages = stages_of(root, lines=lines)
    (folder,) = stages.forecast(model="last_week")
    assert pd.read_parquet(folder / "why.parquet").empty
    assert "why: not available for last_week: its inputs cannot be taken apart" in lines
    cell = str(pd.read_parquet(folder / "risk_horizon.parquet")["hexagon"][0])
    with pytest.raises(DataError, match="not available for last_week"):
        why_of(stages, cell, None, "all", None)


def test_any_place_on_request(root: Path) -> None:
    (folder,) = stages_of(root).forecast(model="hist_gradient_boosting")
    steps = pd.read_parquet(folder / "risk.parquet")
    steps = steps[steps["category"] == "theft"]
    flagged = {*check(folder)["hexagon"]}
    other = next(cell for cell in steps["hexagon"] if cell not in flagged)
    given = [
        "configs/quickstart.yaml",
        f"root={root}",
        *NETWORK,
        "--cell",
        other,
        "--shift",
        "evening",
        "--category",
        "theft",
    ]
    result = CliRunner().invoke(cli, ["why", *given], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    said = next(line for line in result.output.splitlines() if line.endswith("expected reports"))
    evening = check(folder).query("span == 'evening'").iloc[0]
    inside = (steps["valid_from"] >= evening["valid_from"]) & (steps["valid_until"] <= evening["valid_until"])
    expected = steps[inside & (steps["hexagon"] == other)]["intensity"].sum()
    assert float(said.split()[0]) == pytest.approx(expected, abs=1e-4)
    assert "changed" not in result.output
    stages = stages_of(root)
    for asked, match in (((other, "noon", "all"), "--shift noon: not one of"), ((other, None, "cats"), "--category")):
        with pytest.raises(ConfigError, match=match):
            why_of(stages, *asked, None)
    with pytest.raises(ConfigError, match="no place of that name"):
        why_of(stages, "Nowhere Street", None, "all", None)
    with pytest.raises(ConfigError, match="several places"):
        why_of(stages, "street", None, "all", None)


@pytest.mark.parametrize("unit", ["day", "month"])
def test_days_and_months(unit: str, tmp_path: Path) -> None:
    more = {
        "day": ("synthetic.days=120", "time.step=day", "time.horizons=3"),
        "month": ("synthetic.days=760", "time.step=month", "time.horizons=2", "split.validation=0.15"),
    }
    trees = ("evaluation.forecasters=[hist_gradient_boosting]", *SMALL[3:])
    stages = stages_of(tmp_path, *trees, *more[unit])
    stages.ingest()
    stages.build()
    stages.train()
    (folder,) = stages.forecast()
    assert not check(folder).empty
