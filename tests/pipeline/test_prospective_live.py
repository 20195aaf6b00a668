"""A live city: its publisher's file grows, refreshes put forecasts on record, and days later they are scored."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_city import SMALL

from stforecast.cli import main
from stforecast.config import load
from stforecast.delivery import prospective as record
from stforecast.delivery.export import open_grid, write_grid
from stforecast.delivery.riskgrid import NOTICE
from stforecast.pipeline.refresh import refresh
from stforecast.pipeline.stages import Stages

SETTINGS = (*SMALL, "synthetic.days=150", "evaluation.forecasters=[hexagon_mean, rolling_climatology]")
BEGIN = pd.Timestamp("2022-07-31T14:10Z")
DAYS = 16


def settings(root: Path) -> list[str]:
    return [f"root={root}", f"source.path={root / 'offences.csv'}", *SETTINGS]


def call(verb: str, root: Path, *more: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a verb of `prospective`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(["prospective", verb, "configs/quickstart.yaml", *settings(root), *more])
    return left.value.code, out.getvalue(), err.getvalue()


def stages_of(root: Path) -> Stages:
    return Stages(load("configs/quickstart.yaml", settings(root)), lambda _: None)


class City:
    """The publisher's file as of a time, and what runs at that time."""

    def __init__(self, root: Path) -> None:
        simulated = load("configs/quickstart.yaml", [f"root={root}", *SETTINGS])
        Stages(simulated, lambda _: None).ingest()
        self.stages = stages_of(root)
        self.path = root / "offences.csv"
        self.rows = pd.read_csv(self.stages.place.bronze / "offences.csv", dtype=str)
        self.reported = pd.to_datetime(self.rows["REPORTED_UTC"], utc=True)

    def at(self, time: pd.Timestamp) -> None:
        self.rows[self.reported < time].to_csv(self.path, index=False)
        record._now = lambda: time + pd.Timedelta(seconds=40)


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> Path:
    """A city after a refresh a day, and one forecast that was written too late."""
    root, now = tmp_path_factory.mktemp("live"), record._now
    city = City(root)
    try:
        city.at(BEGIN)
        city.stages.ingest()
        city.stages.build()
        city.stages.train()
        for day in range(DAYS):
            city.at(BEGIN + pd.Timedelta(days=day))
            refresh(city.stages, BEGIN + pd.Timedelta(days=day))
        city.at(BEGIN + pd.Timedelta(days=DAYS))
        city.stages.forecast([BEGIN.floor("h") + pd.Timedelta(days=DAYS, hours=-3)], "rolling_climatology")
    finally:
        record._now = now
    city.rows.to_csv(city.path, index=False)
    return root


@pytest.fixture
def root(lived, tmp_path) -> Path:
    return Path(shutil.copytree(lived, tmp_path / "city"))


def scores_of(root: Path) -> dict:
    assert call("score", root)[0] == 0
    return json.loads((root / "data/quickstart/prospective_scores/scores.json").read_text())


def test_every_refresh_is_on_the_record_as_it_was_published(root) -> None:
    code, out, _ = call("verify", root)
    kept = record.Record(root / "data/quickstart/prospective")
    found, place = kept.check(), stages_of(root).place
    assert (code, len(found.entries)) == (0, DAYS + 1)
    assert f"next: note the hash of the last line, {found.last}," in out
    for entry in found.entries[:DAYS]:
        published = open_grid(place.grid(pd.Timestamp(entry["issue_time"])))
        np.testing.assert_array_equal(kept.open(entry).intensity, published.intensity)
        assert pd.Timestamp(entry["written_at"]) - pd.Timestamp(entry["issue_time"]) == pd.Timedelta("10min 40s")
    assert len({entry["model_sha256"] for entry in found.entries[:DAYS]}) == 1
    assert len({entry["model_sha256"] for entry in found.entries}) == 2
    assert len({entry["cube_sha256"] for entry in found.entries[:DAYS]}) == DAYS


def test_forecasts_of_the_past_are_on_the_record_and_back_dated(root) -> None:
    stages_of(root).forecast([pd.Timestamp("2022-08-02T06:00Z"), pd.Timestamp("2022-08-03T06:00Z")])
    assert call("verify", root)[0] == 0
    one, late = scores_of(root)["models"].values()
    assert one["counted"] == {"scored": DAYS, "back-dated": 2}
    assert late["counted"] == {"back-dated": 1}


def test_forecasts_made_in_advance_are_scored_against_the_final_counts(root) -> None:
    result = scores_of(root)
    one, late = result["models"].values()
    assert one["counted"] == {"scored": DAYS}
    assert one["steps"] == [2, 24]
    assert late["counted"] == {"back-dated": 1}
    assert "events" not in late
    assert [(month, entry["forecasts"]) for month, entry in one["months"].items()] == [("2022-07", 1), ("2022-08", 15)]
    events = pd.read_csv(root / "offences.csv").drop_duplicates("REPORT_ID")
    events = events.dropna(subset="LATITUDE")
    at = pd.to_datetime(events["OCCURRED_UTC"], utc=True)
    first = BEGIN.floor("h")
    inside = (at >= first) & (at < first + pd.Timedelta(days=DAYS)) & (at.dt.hour != first.hour)
    assert one["events"] == inside.sum()
    found = record.Record(root / "data/quickstart/prospective")
    grids = [found.open(entry) for entry in found.check().entries[:DAYS]]
    assert one["expected"] == pytest.approx(sum(grid.intensity[1:24, 0].sum() for grid in grids), rel=1e-5)
    assert [*one["consistency"]] == ["number", "space", "conditional_likelihood"]
    page = (root / "data/quickstart/prospective_scores/prospective.html").read_text()
    assert NOTICE in page
    for text in ("2022-08", "back-dated: 1", "Consistency tests by month", "Hexagon mean minus rolling climatology"):
        assert text in page


def test_forecasts_wait_until_their_reports_are_in(root) -> None:
    city = City(root)
    city.rows[city.reported < BEGIN + pd.Timedelta(days=9)].to_csv(city.path, index=False)
    counted = next(iter(scores_of(root)["models"].values()))["counted"]
    assert counted["waiting"] + counted["scored"] == DAYS
    assert 0 < counted["scored"] < 9


def test_what_was_tampered_with_is_said_and_not_scored(root) -> None:
    place = root / "data/quickstart"
    path = place / "prospective/prospective.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    (path.parent / f"{json.loads(lines[3])['grid_sha256']}.forecast").unlink()
    lines[5] = lines[5].replace("2022-08-05", "2022-08-06")
    path.write_text("".join(lines))
    code, out, err = call("verify", root)
    assert code == 5
    assert f"line 4: {path.parent}/{json.loads(lines[3])['grid_sha256']}.forecast, issued 2022-08-03T14:00:00Z" in out
    assert "line 6: it was changed" in out
    assert "faults of the record: 5; the first: " in err
    result = scores_of(root)
    assert next(iter(result["models"].values()))["counted"] == {"scored": DAYS - 2}
    assert len(result["faults"]) == 3
    assert "line 6: it was changed" in (place / "prospective_scores/prospective.html").read_text()


def test_a_grid_whose_line_and_forecast_were_removed_is_found(root) -> None:
    path = root / "data/quickstart/prospective/prospective.jsonl"
    *lines, last = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines))
    (path.parent / f"{json.loads(last)['grid_sha256']}.forecast").unlink()
    code, out, err = call("verify", root)
    assert code == 5
    assert f"forecasts as they were written: {DAYS};" in out
    assert "20220816T110000Z: this grid, or its line, was changed or removed. Restore it" in err


def test_grids_of_before_the_record_are_not_asked_for(root) -> None:
    folder = stages_of(root).place.grids / "20200101T000000Z"
    write_grid(replace(open_grid(next(folder.parent.iterdir())), model="older"), folder, "quickstart")
    assert call("verify", root)[0] == 5
    os.utime(folder / "grid.json", (BEGIN.timestamp() - 60,) * 2)
    assert call("verify", root)[0] == 0


def test_other_categories_are_not_scored(root) -> None:
    categories = '{theft: ["theft*"], violence: ["assault*", robbery, burglary], damage: ["vandalism*", graffiti]}'
    code, out, _ = call("score", root, f"source.categories={categories}")
    assert code == 0
    assert f"{DAYS} of other offences" in out


def test_without_a_record_it_says_to_forecast(root) -> None:
    shutil.rmtree(root / "data/quickstart/prospective")
    for verb in ("verify", "score"):
        code, _, err = call(verb, root)
        assert code == 5
        assert "no record. Run `stforecast forecast`" in err
