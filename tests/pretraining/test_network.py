"""Pretraining the network: what is read of an episode, and fits that are repeated, or go on after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_cities import city, split_of

from stforecast.cube import Cube
from stforecast.cube.cut import cut
from stforecast.cube.holes import Gap
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.base_rate import learned_scales
from stforecast.features.builder import FeatureBuilder
from stforecast.features.scaling import Scales
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.inputs import inputs_of, sizes_of
from stforecast.forecasters.gcrn.network import Sizes
from stforecast.forecasters.gcrn.start import StartingNetwork
from stforecast.pretraining import network
from stforecast.pretraining.episodes import Episode
from stforecast.pretraining.network import Plan, pretrain_network
from stforecast.pretraining.streams import parts_of, thinned

MODEL = {"hidden": 8, "rank": 8, "conv": "hex", "dropout": 0.1, "carry_state": True}


def drawn(number: int) -> Episode:
    """A short part of a small city with late reports."""
    cube, record = city(days=70, late=True, weather=True, seed=number % 3, excitation=0.2), 20 + number % 7
    part = cut(cube, 0, (record + 21) * 24)
    return Episode(part, record * 24, record * 24, (record + 20) * 24, f"city {number}")


def sizes() -> Sizes:
    cube = drawn(0).cube
    return sizes_of(FeatureBuilder(cube, Scales.of(cube, 20 * 24), 24))


def plan(**settings: int) -> Plan:
    return Plan(drawn, sizes(), MODEL, episodes=8, **{"beside": 2, "workers": 0, **settings})


def test_an_episode_is_read_as_a_city_is() -> None:
    episode = drawn(1)
    parts = list(parts_of(1, episode, sizes(), 7))
    assert [part.first for part in parts] == [True, False, False]
    assert parts[0].target is None
    cube = thinned(episode.cube, 1)
    builder = FeatureBuilder(cube, learned_scales(cube, episode.until, 24, 0), 24)
    state = builder.init_state(0)
    builder.skip(state, episode.first // 24 - len(parts[0].inputs.log_rate))
    whole = inputs_of(builder, builder.step(state, len(parts[0].inputs.log_rate) + 14), sizes())
    for name in ("nodes", "own", "shared", "log_rate", "seasonal", "recent", "about"):
        found = torch.cat([getattr(part.inputs, name) for part in parts])
        torch.testing.assert_close(found, getattr(whole, name), rtol=1e-4, atol=1e-4)
    target = parts[1].target
    assert target is not None
    dense = cube.dense(episode.first, episode.first + 24)
    assert float(target.counts[target.events < cube.c * 24 * cube.n].sum()) == float(dense.sum())


def test_what_comes_after_an_issue_is_not_read() -> None:
    episode = drawn(2)
    later = episode.cube.known_hour >= episode.first
    silence = Gap(0, episode.cube.steps, denied=True)  # that nothing comes later is no hole
    blank = replace(episode, cube=replace(episode.cube.with_events(~later), gaps=(silence,)))
    one, other = (next(parts_of(2, each, sizes(), 7)).inputs for each in (episode, blank))
    for name in ("nodes", "own", "shared", "log_rate", "seasonal", "recent", "about"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_a_fit_is_repeated_to_the_bit_and_goes_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "EPOCH", 4)
    whole, again = (pretrain_network(plan(), tmp_path / name) for name in ("whole", "again"))
    killed = replace(plan(), draw=lambda number: drawn(number) if number < 6 else pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception, match="killed"):
        pretrain_network(killed, tmp_path / "killed")
    resumed = pretrain_network(plan(), tmp_path / "killed")
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
        assert torch.equal(weight, resumed.state_dict()[name]), name
    other = pretrain_network(plan(seed=1), tmp_path / "other")
    assert not torch.equal(other.look.weight, whole.look.weight)
    last = tmp_path / "killed" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 3] ^= 8
    for damaged in (content, content[: len(content) // 2]):
        last.write_bytes(damaged)
        with pytest.raises(ArtefactError, match=r"last.ckpt: damaged checkpoint"):
            pretrain_network(plan(), tmp_path / "killed")


def test_an_episode_that_cannot_be_drawn_is_told_without_a_traceback(tmp_path: Path) -> None:
    def draw(number: int) -> Episode:
        if number >= 2:
            raise ArtefactError("too few events")
        return drawn(number)

    with pytest.raises(ArtefactError, match=r"^too few events$"):
        pretrain_network(replace(plan(workers=1), draw=draw), tmp_path)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> StartingNetwork:
    """One that was learned elsewhere and kept in a file."""
    folder = tmp_path_factory.mktemp("weights")
    fitted = pretrain_network(plan(), folder / "fit")
    StartingNetwork.of(fitted, MODEL).save(folder / "network.safetensors")
    found = StartingNetwork.load(folder / "network.safetensors")
    for name, weight in fitted.state_dict().items():
        assert torch.equal(weight, found.weights[name])
    return found


def other_city() -> Cube:
    """One whose categories, hexagons and channels the network has not met."""
    cube = city(days=60, rings=2, seed=9)
    return replace(cube, categories=("burglary", "robbery"))


def test_a_network_is_carried_as_it_is_and_opens_again(start: StartingNetwork, tmp_path: Path) -> None:
    cube = other_city()
    split, issues = split_of(cube), split_of(cube).issues("test")
    carried = GCRN(start=start, adapt="none", seeds=3).fit(cube, split)
    assert len(carried.fits) == 1
    for name, weight in carried.fits[0].best.state_dict().items():
        assert torch.equal(weight, start.weights[name])
    carried.save(tmp_path)
    again = GCRN.load(tmp_path, carried.config)
    np.testing.assert_array_equal(again.raw(cube, issues), carried.raw(cube, issues))
    assert again.untrained
    assert again.calibrate(cube, split).fitted.remark == "the carried network as it is"


def test_a_slice_that_is_too_short_leaves_the_network_as_it_starts(start: StartingNetwork) -> None:
    cube = other_city()
    begun = GCRN(start=start).fit(cube, replace(split_of(cube), train_end=30))
    assert begun.untrained
    assert begun.fitted.remark == "nothing to learn from: the carried network stands as before"
    for name, weight in begun.fits[0].best.state_dict().items():
        assert torch.equal(weight, start.weights[name])


@pytest.mark.parametrize("adapt", ["none", "all"])
def test_a_network_that_reads_other_things_is_not_started_from(start: StartingNetwork, adapt: str) -> None:
    cube = other_city()
    for one, settings in ((cube, {"patch_hours": 12}), (replace(cube, horizons=12), {})):
        with pytest.raises(ConfigError, match="patch 24 instead of 12"):
            GCRN(start=start, adapt=adapt, max_epochs=1, **settings).fit(one, split_of(one))


@pytest.mark.parametrize("adapt", ["read_out", "all"])
def test_adapting_goes_no_further_than_the_validation_slice_bears_out(start: StartingNetwork, adapt: str) -> None:
    cube = other_city()
    split = split_of(cube)
    fits = [GCRN(start=start, adapt=how, max_epochs=2).fit(cube, split).fits[0].best for how in ("none", adapt)]
    before, after = (fit.state_dict() for fit in fits)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    if adapt == "read_out":
        assert not any(name.startswith(("encode", "input_gates", "recurrent")) for name in moved)
    wild = GCRN(start=start, adapt=adapt, max_epochs=1, learning_rate=50.0).fit(cube, split)
    assert all(torch.equal(weight, before[name]) for name, weight in wild.fits[0].best.state_dict().items())
    assert wild.untrained
    assert wild.fitted.remark.startswith("the carried network stands as before, since nothing")
