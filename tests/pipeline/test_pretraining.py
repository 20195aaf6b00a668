"""Weights learned once: the folder that `stforecast pretrain` writes, runs that start from it, and what they say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import shapely
import yaml
from tiny_city import config_of

from stforecast.config import Config, dump, load_pretraining
from stforecast.config.sections import Trees
from stforecast.cube import Cube
from stforecast.cube.hexgrid import cells_of, centres, from_names, to_names
from stforecast.delivery.export import open_grid
from stforecast.delivery.words import UNTRAINED
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.shared import SharedRhythms
from stforecast.files import read_json, write_json
from stforecast.forecasters.hawkes import Hawkes
from stforecast.forecasters.shared_kernels import SharedKernels
from stforecast.forecasters.trees.pooled import RHYTHMS, TREES, PooledTrees
from stforecast.forecasters.weights import CARD, KERNELS, NETWORK, SHIPPED, Learned, Weights, places_of
from stforecast.pipeline.backtesting import backtest
from stforecast.pipeline.first_map import first_map
from stforecast.pipeline.pages import evaluated
from stforecast.pipeline.pretraining import PROGRESS, RECIPE, pretrain
from stforecast.pipeline.refresh import run_facts
from stforecast.pipeline.run import FACTS, SCHEMA, Run
from stforecast.pipeline.sentences import serving
from stforecast.pipeline.stages import Stages
from stforecast.pipeline.starting import weights_of

pytestmark = pytest.mark.usefixtures("one_thread")
MODEL = {"hidden": 4, "rank": 4}
FIT = ("model.hidden=4", "model.rank=4", "training.max_epochs=1", "training.warm_up_days=20", "seeds=1")
FEW = "evaluation.forecasters=[gcrn, rolling_climatology]"


def quiet(_: str) -> None:
    pass


def built(config: Config) -> Stages:
    stages = Stages(config, quiet)
    stages.ingest()
    stages.build()
    return stages


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated cities, built, and how weights are learned of them."""
    root, paths = tmp_path_factory.mktemp("cities"), []
    for i, name in enumerate(("north", "south")):
        weather = [f"{key}=null" for key in ("weather.path", "weather.forecast_path")]
        config = config_of(root, f"city={name}", f"seed={i}", *weather)
        built(config)
        paths.append(root / f"{name}.yaml")
        paths[-1].write_text(dump(config))
    learned = {"simulated": 0.5, "episodes": 2, "tree_episodes": 4}
    values = {"version": "tiny", "cities": [*map(str, paths)], **learned, "model": MODEL}
    path = root / "pretrain.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def weights(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(load_pretraining(recipe), tmp_path_factory.mktemp("weights") / "two", quiet)


@pytest.fixture(scope="module")
def third(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a city that no weights have seen, built."""
    root = tmp_path_factory.mktemp("third")
    built(config_of(root, "seed=2"))
    return root


def test_the_same_settings_give_the_same_bytes_and_a_finished_part_is_kept(
    recipe: Path, weights: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    again = tmp_path / "again"
    pretrain(load_pretraining(recipe), again, quiet)
    names = sorted(path.name for path in weights.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    assert PROGRESS not in names
    assert all((weights / name).read_bytes() == (again / name).read_bytes() for name in names)
    figures = tmp_path / "figures.json"
    figures.write_text('{"denver": 1.0}')
    before = (again / NETWORK).stat().st_mtime_ns
    pretrain(load_pretraining(recipe, [f"figures={figures}"]), again, said.append)
    assert (again / NETWORK).stat().st_mtime_ns == before
    assert sum("is there" in line for line in said) == 4
    assert read_json(again / CARD)["figures"] == {"denver": 1.0}


def test_a_killed_one_goes_on(recipe: Path, weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    shutil.copytree(weights, folder)
    (folder / CARD).unlink()
    (folder / NETWORK).unlink()
    pretrain(load_pretraining(recipe), folder, quiet)
    assert (folder / NETWORK).read_bytes() == (weights / NETWORK).read_bytes()


def test_what_is_damaged_is_made_again(recipe: Path, weights: Path, tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "damaged"
    shutil.copytree(weights, folder)
    text = (folder / TREES).read_text()
    (folder / TREES).write_text(text.replace("leaf_value=", "leaf_value=1", 1))
    pretrain(load_pretraining(recipe), folder, said.append)
    assert sum("is there" in line for line in said) == 3
    assert any("lightgbm.txt is not what its card says" in line for line in said)
    assert all((folder / name).read_bytes() == (weights / name).read_bytes() for name in (TREES, CARD))


def test_the_card_says_what_was_learned_from(recipe: Path, weights: Path, tmp_path: Path) -> None:
    card = json.loads((weights / CARD).read_text())
    assert [city["city"] for city in card["cities"]] == ["north", "south"]
    assert card["recipe"]["episodes"] == 2
    assert {*card["files"]} == {NETWORK, RHYTHMS, TREES, KERNELS}
    alone = pretrain(load_pretraining(recipe), tmp_path / "one", quiet, without=["north"])
    assert [city["city"] for city in read_json(alone / CARD)["cities"]] == ["south"]
    for name in (NETWORK, RHYTHMS, TREES):
        assert (alone / name).read_bytes() != (weights / name).read_bytes()


def test_mistakes_are_told(recipe: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--without nowhere: is none of the cities"):
        pretrain(load_pretraining(recipe), tmp_path, quiet, ["nowhere"])
    with pytest.raises(ConfigError, match="no city is left"):
        pretrain(load_pretraining(recipe), tmp_path, quiet, ["north", "south"])
    twice = [*load_pretraining(recipe).cities, load_pretraining(recipe).cities[0]]
    with pytest.raises(ConfigError, match="cities: two are called north"):
        pretrain(load_pretraining(recipe, [f"cities={twice}"]), tmp_path, quiet)
    with pytest.raises(ConfigError, match="other settings or records"):
        pretrain(load_pretraining(recipe, ["episodes=3"]), weights, quiet)
    shipped = tmp_path / "shipped"
    shutil.copytree(weights, shipped, ignore=shutil.ignore_patterns(RECIPE))
    with pytest.raises(ConfigError, match="other settings or records"):  # a new card would say what is not so
        pretrain(load_pretraining(recipe, ["episodes=3"]), shipped, quiet)
    assert (shipped / CARD).read_bytes() == (weights / CARD).read_bytes()
    with pytest.raises(ConfigError, match="patch_hours: expected 24"):
        load_pretraining(recipe, ["model.patch_hours=12"])
    with pytest.raises(ConfigError, match="episode: unknown key; did you mean episodes"):
        load_pretraining(recipe, ["episode=3"])
    with pytest.raises(ConfigError, match="figures: absent"):
        pretrain(load_pretraining(recipe, ["figures=absent.json"]), tmp_path / "none", quiet)
    damaged = tmp_path / "damaged"
    shutil.copytree(weights, damaged)
    content = bytearray((damaged / NETWORK).read_bytes())
    content[-1] ^= 1
    (damaged / NETWORK).write_bytes(content)
    with pytest.raises(ArtefactError, match=r"network.safetensors: damaged"):
        Weights.load(damaged)
    monkeypatch.setattr("stforecast.pipeline.pretraining.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="lightgbm is not installed"):
        pretrain(load_pretraining(recipe), tmp_path / "none", quiet)
    assert not (tmp_path / "none").exists()


def test_weights_know_the_place_and_time_that_they_have_seen(weights: Path, third: Path) -> None:
    cube, opened = Stages(config_of(third, "seed=2"), quiet).cube(), Weights.load(weights)
    assert {*places_of(cube)} & {*opened.learned[0].places}
    (north, south) = opened.seen(cube, 24, 48)
    assert "from North 2022-04 to 2022-07, which holds this test slice: not a fair figure" in north
    assert "South" in south
    ends = replace(opened.learned[0], last="2022-08-01T06:00:00+00:00")  # local midnight after the last of July
    assert "2022-04 to 2022-07" in ends.words(cube.time_of(24), cube.time_of(48))
    beyond = Weights(opened.name, "", [opened.learned[0]], {})
    assert "overlaps" in beyond.seen(cube, cube.steps - 24, cube.steps + 24)[0]
    assert not beyond.seen(cube, cube.steps, cube.steps + 24)
    until = pd.Timestamp(opened.learned[0].first)
    earlier = replace(cube, start=until - pd.Timedelta(hours=cube.steps))
    assert "lies after this test slice" in beyond.seen(earlier, 24, 48)[0]
    alone = replace(cube, resolution=None)  # places without outlines
    assert not opened.seen(alone, 24, 48)
    assert "which holds" in Weights("", "", [Learned.of(alone, alone.steps)], {}).seen(alone, 24, 48)[0]
    x, y = (float(cube.hexagons[key].mean()) for key in ("longitude", "latitude"))
    county = cube.hexagons.head(1).assign(longitude=x - 2, latitude=y)  # its centre
    shape = shapely.box(x - 4.3, y - 0.3, x + 0.3, y + 0.3)
    around = Cube.from_dense(np.ones((96, 1, 1), int), edge_index=np.zeros((2, 0), int), start=cube.start)
    around = replace(around, hexagons=county, polygons=np.array([shape]))
    assert "from North 2022-04" in opened.seen(around, 24, 48)[0]
    coarse = Cube.from_dense(np.ones((96, 1, 1), int), edge_index=np.zeros((2, 0), int), start=cube.start)
    (name,) = to_names(cells_of(np.array([y]), np.array([x]), 3))
    middle = centres(from_names([name]))
    frame = pd.DataFrame({"hexagon": [name], "latitude": middle[:, 0], "longitude": middle[:, 1]})
    assert "from North 2022-04" in opened.seen(replace(coarse, hexagons=frame, resolution=3), 24, 48)[0]
    elsewhere = replace(opened.learned[0], places=("85283083fffffff",))
    assert not Weights("", "", [elsewhere], {}).seen(cube, 24, 48)


def test_runs_start_from_weights_say_so_and_go_on_from_each_other(
    weights: Path, third: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def stages(*more: str) -> Stages:
        return Stages(config_of(third, "seed=2", FEW, *FIT, *more), said.append)

    scratch, carried = stages(), stages(f"training.start={weights}", "training.adapt=none")
    run = carried.train()
    assert "train: starts from weights tiny: gcrn, rolling_climatology" in said
    assert run.folder != scratch.run().folder
    facts = run.facts()
    assert facts["started"]["sha256"] == Weights.load(weights).digest
    assert facts["started"]["forecasters"] == ["gcrn", "rolling_climatology"]
    climatology = run.open("rolling_climatology", carried.config)
    assert climatology.shared == SharedRhythms.open(weights / RHYTHMS)
    assert [one["city"] for one in facts["learned"]] == ["quickstart", "north", "south"]
    card = carried.evaluate()
    assert "unfair" not in str(card)  # a simulated city lies nowhere
    cube = carried.cube()
    words = run.seen(cube, carried.split(cube), carried.config)
    assert {*words} == {"gcrn", "rolling_climatology"}
    assert "not a fair figure" in words["gcrn"]
    assert evaluated(carried).origin == "weights tiny, learned from North, South"
    fewer = Stages(config_of(third, "seed=2", "evaluation.forecasters=[gcrn]", *FIT), quiet).config
    with monkeypatch.context() as patched:  # one of the user's own was fitted too, and is no longer among them
        patched.setattr(Run, "facts", lambda _: facts | {"forecasters": [*facts["forecasters"], "mine"]})
        assert {*run.seen(cube, carried.split(cube), fewer)} == {"gcrn"}
    write_json(run.folder / "scorecard.json", {**card.values, "unfair": words})
    assert run_facts(run, run.open("gcrn", carried.config), quiet)["scorecard"]["unfair"] == words
    assert run.learned_until(cube) == pd.Timestamp(Weights.load(weights).learned[0].last) > cube.time_of(2016)
    on = stages(f"training.start={run.folder}", "training.adapt=none")
    again = on.train()
    assert f"train: starts from run {run.name}: gcrn, rolling_climatology" in said
    assert again.facts()["started"]["learned"] == facts["learned"]
    assert again.open("rolling_climatology", on.config).shared == climatology.shared
    before, start = weights_of(run.folder).digest, (f"training.start={weights}", "training.adapt=none")
    more = config_of(third, "seed=2", "evaluation.forecasters=[gcrn, hawkes]", *FIT, *start)
    assert Stages(more, said.append).train().folder == run.folder  # whatever is listed
    assert "train: gcrn is fitted" in said
    assert run.facts()["started"]["forecasters"] == ["gcrn", "hawkes"]
    assert weights_of(run.folder).digest != before  # of one network, and other kernels
    assert serving(card).startswith("gcrn forecasts: it is the first of evaluation.forecasters, with ")
    entries = {**card.forecasters, "rolling_climatology": {"poisson_deviance": 0.0}}
    for low, blocks, said in (
        (0.1, 4, "put it first to forecast by it"),
        (-0.1, 4, "which chance may explain"),
        (0.1, 1, "which chance may explain"),
    ):
        found = {"low": low, "estimate": 0.2, "high": 0.3, "blocks": blocks}
        differences = {"gcrn - rolling_climatology": {"poisson_deviance": found}}
        worse = SimpleNamespace(forecasters=entries, values={"differences": differences})
        assert serving(worse).endswith(said)


def test_a_backtest_says_what_weights_have_seen(weights: Path, third: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Stages, "simulated", lambda _: False)
    monkeypatch.setattr("stforecast.forecasters.weights.SHIPPED", weights)
    more = "evaluation.forecasters=[rolling_climatology, hexagon_mean]", "backtest.folds=2"
    folder = backtest(Stages(config_of(third, "seed=2", *more, "training.start=pretrained"), said.append))
    assert "backtest: starts from weights tiny: rolling_climatology" in said
    found = read_json(folder / "backtest.json")["unfair"]
    assert {*found} == {"rolling_climatology"}
    assert "rolling_climatology learned from North" in (folder / "table.md").read_text()
    assert "learned from North" in pd.read_csv(folder / "table.csv").set_index("forecaster")["unfair"].iloc[0]
    folder = backtest(Stages(config_of(third, "seed=2", *more), said.append))
    assert any(line.startswith("backtest: starts from scratch: weights tiny learned from North") for line in said)
    assert read_json(folder / "backtest.json")["unfair"] == {}
    assert "fair" not in (folder / "table.md").read_text()


def test_the_hawkes_process_starts_from_them_too(weights: Path, third: Path) -> None:
    names = "evaluation.forecasters=[hawkes, climatology]"
    more = names, f"training.start={weights}", "training.adapt=none"
    stages = Stages(config_of(third, "seed=2", *more), quiet)
    run, cube = stages.train(), stages.cube()
    assert run.facts()["started"]["forecasters"] == ["hawkes"]
    shared, kernels = SharedRhythms.open(weights / RHYTHMS), SharedKernels.open(weights / KERNELS)
    split = stages.split(cube)
    expected = Hawkes(stages.config, shared=shared, kernels=kernels).fit(cube, split)
    issues = split.issues("test")[:2]
    found = run.open("hawkes", stages.config).raw(cube, issues)
    np.testing.assert_array_equal(found, expected.raw(cube, issues))
    assert not np.array_equal(found, Hawkes(stages.config, kernels=kernels).fit(cube, split).raw(cube, issues))


def test_trees_start_from_them_too(weights: Path, third: Path) -> None:
    pytest.importorskip("lightgbm", reason="needs the extra trees")
    names = "evaluation.forecasters=[lightgbm, hist_gradient_boosting, random_forest]"
    stages = Stages(config_of(third, "seed=2", names, "seeds=1", f"training.start={weights}"), quiet)
    run = stages.train()
    assert run.facts()["started"]["forecasters"] == ["hist_gradient_boosting", "lightgbm"]
    start = PooledTrees.load(weights)
    assert start.shared is not None
    assert PooledTrees.load(run.place("lightgbm") / "start") == start
    as_they_are = Stages(config_of(third, "seed=2", names, "training.adapt=none", f"training.start={weights}"), quiet)
    trees = as_they_are.train().open("lightgbm", as_they_are.config)
    assert trees.fitted.remark == "the pooled trees as they are"
    assert trees.untrained
    sampled = Stages(stages.config.model_copy(update={"trees": Trees(sampling="under")}), quiet)
    cube = stages.cube()
    assert sampled.starting_weights(cube, stages.split(cube)) == (None, "")


def test_what_a_run_fitted_from_scratch_is_not_started_from(third: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra trees")
    names = "evaluation.forecasters=[gcrn, hawkes, hist_gradient_boosting]"
    scratch = Stages(config_of(third, "seed=2", names, *FIT, "training.start=scratch"), quiet)
    run = scratch.train()
    on = Stages(config_of(third, "seed=2", names, *FIT, f"training.start={run.folder}"), quiet)
    cube = on.cube()
    found, _ = on.starting_weights(cube, on.split(cube))
    assert found is not None
    assert [*found.starts] == ["gcrn"]  # no figure of the others rests on that run
    trees = "evaluation.forecasters=[hist_gradient_boosting]"
    alone = Stages(config_of(third, "seed=2", trees, *FIT, f"training.start={run.folder}"), quiet)
    with pytest.raises(ConfigError, match="hold nothing that these forecasters start from"):
        alone.train()


def test_what_does_not_fit_is_refused_or_left(weights: Path, third: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def stages(*more: str) -> Stages:
        return Stages(config_of(third, "seed=2", FEW, *FIT, *more), said.append)

    cube = stages().cube()
    split = stages().split(cube)
    monkeypatch.setattr("stforecast.forecasters.weights.SHIPPED", weights.parent / "none")
    assert stages().starting_weights(cube, split)[0] is None
    with pytest.raises(ConfigError, match="comes without weights"):
        stages("training.start=pretrained").train()
    with pytest.raises(ConfigError, match=r"training.start: checkpoints/nowhere: there is no such folder"):
        stages("training.start=checkpoints/nowhere").train()
    monkeypatch.setattr("stforecast.forecasters.weights.SHIPPED", weights)
    found, why = stages().starting_weights(cube, split)
    assert found is not None
    assert not why
    with pytest.raises(ConfigError, match=r"are of a network with model.hidden=4"):
        stages("training.start=pretrained", "model.hidden=5").train()
    found, why = stages("model.hidden=5").starting_weights(cube, split)
    assert found is None
    assert "model.hidden=4" in why
    found, why = stages().starting_weights(replace(cube, horizons=12), split)
    assert found is None
    assert "24 hours at a time, and a forecast is of 12" in why
    monkeypatch.setattr(Stages, "simulated", lambda _: False)
    found, why = stages().starting_weights(cube, split)
    assert found is None
    assert "learned from North" in why
    assert stages("training.start=pretrained").starting_weights(cube, split)[0] is not None
    assert stages("evaluation.forecasters=[climatology]").starting_weights(cube, split) == (None, "")


def test_a_new_city_has_a_map_before_it_trains(weights: Path, tmp_path: Path) -> None:
    said: list[str] = []
    stages = Stages(config_of(tmp_path, FEW, *FIT, f"training.start={weights}"), said.append)
    stages.ingest()
    stages.build()
    first_map(stages)
    (line,) = (line for line in said if line.startswith("first map: "))
    path = Path(line.removeprefix("first map: ").split(",")[0])
    warned, rests = open_grid(path.parent).assumptions[1:3]
    assert warned == UNTRAINED
    assert "that of weights tiny, learned from North, South, calibrated on this record from 2022-" in rests
    assert '"warnings":["simulated","untrained"]' in path.read_text()
    assert "weights tiny as it is" in line
    assert stages.place.latest().name != stages.run().name
    said.clear()
    first_map(stages)
    assert not said
    stages.train()
    assert stages.place.latest().name == stages.run().name
    stages.forecast()
    assert UNTRAINED not in open_grid(path.parent).assumptions
    as_it_is = Stages(config_of(tmp_path, FEW, *FIT, f"training.start={weights}", "training.adapt=none"), said.append)
    as_it_is.train()
    as_it_is.forecast()
    assert UNTRAINED in open_grid(path.parent).assumptions


def test_without_a_network_that_fits_there_is_no_first_map(weights: Path, tmp_path: Path) -> None:
    more = "evaluation.forecasters=[rolling_climatology]", f"training.start={weights}", "model.hidden=5"
    stages = built(config_of(tmp_path, *more))
    first_map(stages)
    assert not [*stages.place.grids.glob("*/map.html")]
    stages.train()


def test_a_run_of_months_is_not_started_from(tmp_path: Path) -> None:
    facts = dict.fromkeys(FACTS) | {"schema": SCHEMA, "forecasters": ["gcrn"], "step": "month"}
    write_json(tmp_path / "run.json", facts)
    with pytest.raises(ConfigError, match="is of months"):
        weights_of(tmp_path)


def test_a_folder_of_other_things_is_neither_weights_nor_a_run(tmp_path: Path) -> None:
    (tmp_path / "network.safetensors").write_bytes(b"without a card")
    with pytest.raises(ConfigError, match=r"training.start: .*: holds neither weights \(card.json\) nor a run"):
        weights_of(tmp_path)
    (tmp_path / "config.yaml").write_text("city: begun")
    with pytest.raises(ArtefactError, match="training has not finished"):
        weights_of(tmp_path)


def test_weights_of_the_package_are_whole_and_small() -> None:
    size = sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file())
    assert size < 8e6
    if (SHIPPED / CARD).is_file():
        opened = Weights.shipped()
        assert opened is not None
        assert opened is Weights.shipped()  # opened and hashed once
        assert all(one.places and pd.Timestamp(one.first) < pd.Timestamp(one.last) for one in opened.learned)
