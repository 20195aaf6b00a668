"""Briefings in a run: how the forecasts of the week before did, and the command line."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from tiny_city import trained_at

from stforecast.cli.commands import cli
from stforecast.config import dump
from stforecast.delivery.export import open_grid
from stforecast.delivery.outcome import counts_of
from stforecast.delivery.riskgrid import HORIZON
from stforecast.files import write_text
from stforecast.pipeline.brief import _lately, brief
from stforecast.pipeline.run import Run
from stforecast.pipeline.stages import Stages


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """A city with the grids of nine days, the last at the end of its record."""
    found = trained_at(tmp_path_factory.mktemp("home"))
    end = found.cube().end
    found.forecast([end - pd.Timedelta(days=days) for days in range(8, -1, -1)])
    return found


def test_the_week_before_is_what_its_forecasts_expected_and_what_came(stages: Stages) -> None:
    newest = open_grid(stages.place.newest_grid())
    days = [newest.issue_time - pd.Timedelta(days=back) for back in range(1, 8)]
    grids = [open_grid(stages.place.grid(day)) for day in days]
    cube = stages.newest(Run(stages.place.latest()), stages.ingest())
    came = sum(int(counts_of(cube, grid).sum()) for grid in grids)
    expected = sum(grid.intensity[HORIZON, 0].sum() for grid in grids)
    found = _lately(stages, newest)
    cells = dict(found.rows)
    assert cells["Settled forecasts"] == "7"
    assert cells["Reports"] == str(came)
    assert float(cells["Reports expected"]) == float(f"{expected:.3g}")
    assert found.note == "Of the whole city. Made after the fact."  # this city is of the past
    early = open_grid(stages.place.grid(newest.issue_time - pd.Timedelta(days=8)))
    assert _lately(stages, early).note == "None is on record."
    retrained, other = (
        replace(newest, model=model) for model in (f"{newest.model[:-10]}0123456789", "other-0123456789")
    )
    assert _lately(stages, retrained) == found
    assert _lately(stages, other).note == "None is on record."  # of another forecaster


def test_it_stands_beside_the_grid_and_does_it_no_harm(stages: Stages, tmp_path: Path) -> None:
    said: list[str] = []
    of = Stages(stages.config, said.append)
    path = brief(of, shift="evening")
    assert path == stages.place.newest_grid() / "brief-evening.pdf"
    assert "Simulated" not in said
    assert "A simulated city: no report in it is real." in path.with_suffix(".html").read_text()
    open_grid(path.parent)
    assert said[-1] == f"brief: wrote {path} and brief-evening.html"
    moved = stages.place.runs.rename(tmp_path / "runs")
    assert "Forecasts of the last 7 days" not in brief(of).with_suffix(".html").read_text()
    moved.rename(stages.place.runs)
    assert any("nothing of how earlier forecasts did" in line for line in said)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--shift", "night", "--output", "here.pdf"], 0, "next: print here.pdf"),
        (["--output", "here.png"], 2, "write a name that ends in .pdf"),
        (["--shift", "dusk"], 1, "it has day, evening, night"),
        (["--beat", "6"], 1, "this grid has no districts"),
    ],
)
def test_the_verb_says_what_it_wrote_or_what_there_is(
    stages: Stages, tmp_path: Path, monkeypatch, words: list[str], code: int, said: str
) -> None:
    write_text(tmp_path / "city.yaml", dump(stages.config))
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(cli, ["brief", "city.yaml", *words])
    assert found.exit_code == code, found.output
    assert said in f"{found.output}{found.exception}"
