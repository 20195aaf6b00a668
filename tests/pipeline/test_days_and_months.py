"""A small city by the day and by the month, as a user and as cron would run it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_city import SMALL

from stforecast.config import load
from stforecast.config.workspace import database
from stforecast.delivery import prospective as record
from stforecast.delivery.export import open_grid
from stforecast.delivery.store import Store
from stforecast.pipeline import prospective
from stforecast.pipeline.refresh import refresh
from stforecast.pipeline.stages import Stages

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS = {
    "day": ("synthetic.days=120", "time.step=day", "time.horizons=2"),
    "month": ("synthetic.days=760", "time.step=month", "time.horizons=2", "split.validation=0.15"),
}
ZONE = "America/Denver"


def stages_of(root: Path, *settings: str, lines: list[str] | None = None) -> Stages:
    given = [f"root={root}", *SMALL, *settings]
    return Stages(load("configs/quickstart.yaml", given), (lines if lines is not None else []).append)


class City:
    """A publisher's file that grows, and what runs on it at a time."""

    def __init__(self, root: Path, unit: str) -> None:
        self.settings = SETTINGS[unit]
        stages_of(root, *self.settings).ingest()
        self.rows = pd.read_csv(root / "data/quickstart/bronze/offences.csv", dtype=str)
        self.reported = pd.to_datetime(self.rows["REPORTED_UTC"], utc=True)
        self.path = root / "offences.csv"
        self.stages = stages_of(root, *self.settings, f"source.path={self.path}")
        last = self.reported.max().tz_convert(ZONE).tz_localize(None).normalize()
        periods = pd.date_range(end=last, periods=8, freq="D" if unit == "day" else "MS")
        self.begins = periods[:-1].tz_localize(ZONE).tz_convert("UTC")

    def at(self, time: pd.Timestamp) -> None:
        """What the file holds at a time."""
        self.rows[self.reported < time].to_csv(self.path, index=False)
        record._now = lambda: time + pd.Timedelta(seconds=40)

    def refresh(self, time: pd.Timestamp) -> int:
        self.at(time)
        return refresh(self.stages, time)


@pytest.fixture(params=SETTINGS)
def city(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[City]:
    """A city that was trained on what its file held when the first of its last days (or months) began."""
    now = record._now
    found = City(tmp_path, request.param)
    found.at(found.begins[0])
    found.stages.ingest()
    found.stages.build()
    found.stages.train()
    yield found
    record._now = now


def test_refreshes_follow_the_record_from_a_carried_state_and_are_scored(city: City) -> None:
    stages, unit = city.stages, city.stages.config.time.step
    soon = pd.Timedelta(hours=3)
    with_store = Store(database(stages.config), stages.config.city)
    for begin in city.begins[:-1]:
        number = city.refresh(begin + soon)
        assert with_store.open(number).grid.issue_time == begin  # when the step of now began
        assert city.refresh(begin + 2 * soon) in (number, number + 1)  # a late report may be new
    assert len(list(stages.place.grids.glob("[0-9]*Z"))) >= 2  # the last forecast is kept beside this one
    carried = open_grid(stages.place.grid(begin))
    shutil.rmtree(stages.place.latest() / "state")
    stages.forecast([begin])
    replayed = open_grid(stages.place.grid(begin))
    np.testing.assert_allclose(carried.intensity, replayed.intensity, rtol=1e-5)
    assert not any("h before the issue" in line for line in carried.assumptions)
    with_store.close()

    city.rows.to_csv(city.path, index=False)
    assert "fault" not in prospective.verify(stages)
    result = json.loads(prospective.score(stages).with_name("scores.json").read_text())
    (found,) = result["models"].values()
    assert found["steps"] == [2, 2]  # the first had begun when each was written
    assert found["step"] == unit
    assert found["counted"]["scored"] >= 3
    page = (stages.place.prospective.with_name("prospective_scores") / "prospective.html").read_text()
    assert f"{unit.capitalize()} 2 of each is scored." in page
    assert f"hexagons and {unit}s with a report" in page

    lines: list[str] = []
    other = stages_of(stages.config.root, "synthetic.days=120", f"source.path={city.path}", lines=lines)
    (found,) = json.loads(prospective.score(other).with_name("scores.json").read_text())["models"].values()
    assert [*found["counted"]] == [prospective.OTHER_STEP]
    assert any(f"its steps are {unit}s, not hours; set time.step={unit} to score it" in line for line in lines)
