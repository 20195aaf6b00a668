"""Plans in a run, from the files of who lives there to what is shown beside a plan, and by the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from tiny_city import config_of

from stforecast.cli.commands import cli
from stforecast.config import dump
from stforecast.delivery.export import open_grid
from stforecast.delivery.residents import Residents, plan_view
from stforecast.errors import ArtefactError, ConfigError
from stforecast.files import write_text
from stforecast.pipeline.plan import plan
from stforecast.pipeline.residents import residents
from stforecast.pipeline.stages import Stages
from stforecast.pipeline.verification import verify

BESIDE = (
    "covariates.residents={cells: data/who.csv, key: cell, column: people, read: false}",
    "covariates.deprivation={cells: data/who.csv, key: cell, column: score, sensitive: true}",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A city with a grid, and a file of who lives in its cells."""
    root = tmp_path_factory.mktemp("home")
    stages = Stages(config_of(root), lambda _: None)
    stages.ingest()
    cells = stages.build().cells
    score = np.arange(len(cells)) % 5
    who = pd.DataFrame({"cell": cells, "people": 100 + np.arange(len(cells)), "score": score})
    who.to_csv(root / "data" / "who.csv", index=False)
    stages = Stages(config_of(root, *BESIDE), lambda _: None)
    stages.build()
    stages.train()
    stages.forecast()
    return root


def test_who_lives_there_is_shown_and_changes_no_choice(home: Path) -> None:
    said: list[str] = []
    stages = Stages(config_of(home, *BESIDE, "plan.places=4"), said.append)
    folder = plan(stages)
    assert folder == stages.place.newest_grid() / "plan"
    facts = json.loads((folder / "plan.json").read_text())
    tenths = facts["tenths"]["deprivation"]
    assert sum(row["places"] for row in tenths) == 4
    assert sum(row["share_of_residents"] for row in tenths) == pytest.approx(1)
    assert tenths[-1]["to"] == 4
    assert facts["districts"] == []  # none has a name
    assert any("never by who lives there" in line for line in said)
    without = plan(Stages(config_of(home, "plan.places=4"), said.append), output=home / "without")
    rows = [pd.read_csv(each / "places.csv") for each in (folder, without)]
    pd.testing.assert_frame_equal(*rows)
    verify(stages, False)  # a plan beside a grid is no damage to it


def test_it_is_said_where_the_cube_is_not_there(home: Path, tmp_path: Path) -> None:
    said: list[str] = []
    stages = Stages(config_of(home, *BESIDE), said.append)
    gold = stages.place.gold.rename(tmp_path / "gold")
    plan(stages, output=tmp_path / "plan")
    gold.rename(stages.place.gold)
    assert "nothing beside it of who lives there" in said[0]
    with pytest.raises(ArtefactError, match="no such grid"):
        plan(stages, pd.Timestamp("2020-01-01T00:00Z"))


def test_the_verb_says_what_it_wrote(home: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "city.yaml", dump(config_of(home)))
    time = open_grid(Stages(config_of(home), print).place.newest_grid()).issue_time.strftime("%Y-%m-%dT%H:%MZ")
    words = ["plan", str(tmp_path / "city.yaml"), "plan.area_km2=3", "--issue-time", time]
    found = CliRunner().invoke(cli, [*words, "--output", str(tmp_path / "here")])
    assert found.exit_code == 0, found.output
    assert f"next: open {tmp_path / 'here' / 'places.csv'}" in found.output
    assert "3 hexagons of 2.4 km²" in found.output


def test_a_plan_for_a_shift_lies_beside_that_of_the_whole_forecast(home: Path) -> None:
    stages = Stages(config_of(home, *BESIDE, "plan.places=4"), lambda _: None)
    folder = plan(stages, shift="evening")
    assert folder == stages.place.newest_grid() / "plan_evening"
    assert json.loads((folder / "plan.json").read_text())["shift"]["hours"] == "15–23"
    with pytest.raises(ConfigError, match="--shift noon: not one of day, evening, night"):
        plan(stages, shift="noon")


def test_the_map_has_tenths_and_residents_where_the_configuration_asks_for_them(home: Path) -> None:
    stages = Stages(config_of(home, *BESIDE), lambda _: None)
    asked = residents(stages.config, grid := open_grid(stages.place.newest_grid()), stages.build, stages.say)
    again = Residents.from_dict(json.loads(json.dumps(asked.to_dict())), grid)
    pd.testing.assert_frame_equal(again.people, asked.people, check_column_type=False)
    view = plan_view(stages.config.plan, again)
    assert ([*view["people"]], [*view["tenths"]]) == (["residents"], ["deprivation"])
    without = residents(config_of(home), grid, stages.build, stages.say)
    assert plan_view(stages.config.plan, without)["tenths"] == {}
