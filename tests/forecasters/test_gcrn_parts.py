"""Parts of the network with a gradient written by hand, against the plain formulas that autograd differentiates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch._inductor.config
from small_cities import city, settings, split_of, summed, with_categories
from torch import Tensor, nn

from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.features.base_rate import learned_scales
from stforecast.features.builder import FeatureBuilder
from stforecast.features.delay import completeness
from stforecast.features.scaling import Scales
from stforecast.features.shared import SharedRhythms
from stforecast.forecasters.gcrn.cost import cost
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.inputs import inputs_of
from stforecast.forecasters.gcrn.network import Network
from stforecast.forecasters.gcrn.parts import BOUND, Dropout, intensity, plain_intensity, plain_recur, recur
from stforecast.forecasters.gcrn.propagation import SUPPORTS, Propagation
from stforecast.forecasters.gcrn.segments import InterleavedSampler, Stream, Targets
from stforecast.forecasters.gcrn.training import Module, Task
from stforecast.forecasters.trees.pooled import RHYTHMS
from stforecast.forecasters.weights import SHIPPED
from stforecast.pipeline.stages import Stages
from stforecast.scoring.splits import Split


def test_the_cost_of_the_validation_slice_is_that_of_its_issues() -> None:
    cube, found = city(days=150), []
    for split in (cube.split(), cube.split(0.7, 0.2)):
        found.append(cost(cube, split, settings())["counts of the validation slice"])
        assert found[-1] == len(split.issues("validation")) * cube.n * cube.c * cube.horizons * 4
    assert found[0] * 29 == found[1] * 28  # a day lies between slices


def values_and_gradients(function: Callable[..., Tensor], *leaves: Tensor) -> list[Tensor]:
    """What a function gives, and its gradients in a random direction."""
    leaves = tuple(leaf.clone().requires_grad_() for leaf in leaves)
    out = function(*leaves)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(5), dtype=out.dtype)
    return [out.detach(), *torch.autograd.grad(out, leaves, direction)]


@pytest.mark.parametrize("kind", list(SUPPORTS))
def test_recurrence(kind: str) -> None:
    cube, h = city(days=1), 6
    graph = Propagation(kind, torch.as_tensor(cube.edges), cube.n)
    graph.double()
    torch.manual_seed(2)
    given = torch.randn(5, cube.n, 3 * h, dtype=torch.float64)
    start = torch.randn(cube.n, h, dtype=torch.float64)
    weight = torch.randn(3 * h, SUPPORTS[kind] * h, dtype=torch.float64)

    fast, plain = (
        values_and_gradients(lambda *p, f=f: f(*p, graph), given, start, weight) for f in (recur, plain_recur)
    )
    for found, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_intensity() -> None:
    torch.manual_seed(3)
    factor, log_rate = torch.randn(2, 3, 3, 4, 5, dtype=torch.float64).unbind(0)  # [l c k n]
    ratios = 1.5 * torch.randn(3, 2, 3, 4, 5, dtype=torch.float64)
    weight = torch.randn(3, 3, 6, dtype=torch.float64)  # of three issues: [l c 2·r]
    own = torch.randn(3, 3, 3, 5, dtype=torch.float64)  # [l c r n]

    fast, plain = (
        values_and_gradients(lambda *p, f=f: f(*p, log_rate, ratios), factor, weight, own)
        for f in (intensity, plain_intensity)
    )
    for found, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("compiled", [False, True])
def test_dropout_keeps_the_mean_and_its_share(compiled: bool) -> None:
    torch.manual_seed(4)
    drop, x = Dropout(0.2), torch.ones(3, 700, 301)
    out = torch.compile(drop.forward, backend="aot_eager", fullgraph=True)(x) if compiled else drop(x)
    share = float((out == 0).float().mean())
    assert share == pytest.approx(drop.below / 256, abs=0.003)
    assert float(out.mean()) == pytest.approx(1, abs=0.004)
    assert (out == out[:1]).all()  # one mask for all issues
    columns, rows = (out[0] == 0).float().mean(0), (out[0] == 0).float().mean(1)
    assert columns.std() < 1.3 * np.sqrt(share * (1 - share) / 700)
    assert rows.std() < 1.3 * np.sqrt(share * (1 - share) / 301)
    assert drop.eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("late", [False, True])
def test_targets_are_the_counts_of_the_hours_ahead(late: bool) -> None:
    cube, end = city(days=40, late=late, rate=2.0), 30 * 24
    targets, issues = Targets(cube, end, torch.device("cpu")), [end - 71, end - 47, end - 24]
    target = targets.of(issues)
    found = torch.zeros(len(issues) * cube.c * 24 * cube.n).index_add(0, target.events, target.counts)
    dense = cube.dense(0, end, known_before=end)
    expected = torch.stack([dense[issue : issue + 24] for issue in issues]).permute(0, 3, 1, 2)
    assert expected.sum() > 0
    assert torch.equal(found.view(expected.shape), expected)
    assert len(target.events) == len(target.events.unique())
    known = completeness(cube, 0, end, end)
    np.testing.assert_array_equal(target.share[1, :, :, 0].T.numpy(), known[end - 47 : end - 23])


def test_what_was_hardly_ever_seen_is_read_as_the_bound() -> None:
    """Log-ratios alone: the level of a hexagon may be anything."""
    cube = city(days=40)
    crowd = replace(cube, weight=np.where((cube.hour >= 30 * 24) & (cube.hexagon == 0), 200, cube.weight))
    builder = FeatureBuilder(crowd, Scales.of(cube, cube.steps), 24)
    batch = builder.step(builder.init_state(0), 40)
    x = inputs_of(builder, batch)
    assert batch.features[:, :-1].max() > 2 * BOUND
    assert x.own[:, :, :-1].max() == x.shared[:, :-1].max() == BOUND
    torch.testing.assert_close(x.shared[:, -1], batch.features[:, -1])


@pytest.mark.parametrize("late", [False, True])
def test_streams_are_parts_of_the_slice(late: bool) -> None:
    """Side by side they read what one state gives on its way through the slice, and no issue twice."""
    cube, split = city(days=80, late=late), split_of(city(days=80))
    builder = FeatureBuilder(cube, Scales.of(cube, split.train_end), 24)
    stream = Stream(cube, split, settings(training={"streams": 3}), builder)
    segments = list(stream)
    assert len(segments) == len(stream)
    assert {len(part.targets) for part in segments} == {3}
    phase = int(np.random.default_rng([0, 0]).integers(24))
    state = builder.init_state(phase)
    builder.skip(state, stream.skip)
    whole = inputs_of(builder, builder.step(state, 3 * stream.each))
    for i in range(3):
        own = slice(i * stream.each, (i + 1) * stream.each)
        for name in ("nodes", "own", "shared", "about", "log_rate", "seasonal", "recent", "target"):
            found = torch.cat([getattr(part.inputs, name).chunk(3)[i] for part in segments])
            torch.testing.assert_close(found, getattr(whole, name)[own], rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match=r"training\.streams"):
        Stream(cube, split, settings(training={"streams": 60}), builder)


def test_several_cities_are_learned_from_in_turns() -> None:
    config = settings(training={"max_epochs": 2, "streams": 2})
    one, other = city(days=60), city(days=50, rings=2, seed=3)
    split, theirs = split_of(one), split_of(other)
    issues = split.issues("test")[:2]

    def learned(*auxiliary: tuple[Cube, Split]) -> np.ndarray:
        forecaster = GCRN(config, auxiliary=auxiliary)
        forecaster.learn(one, split)
        return forecaster.raw(one, issues)

    both = learned((other, theirs))
    assert not np.array_equal(both, learned())
    after = other.hour >= theirs.train_end  # what comes after their slice must not tell
    later = replace(other, hexagon=np.where(after, 0, other.hexagon))
    np.testing.assert_array_equal(learned((later, theirs)), both)
    unlike = with_categories(city(days=50, late=True, weather=True), 5)
    assert not np.array_equal(learned((unlike, theirs)), both)
    with pytest.raises(ConfigError, match=r"training\.cities: .* differs from .* in step_hours, horizons"):
        learned((summed(other, 4), theirs))


def test_several_cities_start_from_the_same_shared_rhythms() -> None:
    cube, config = city(days=60), settings(training={"streams": 2})
    split = split_of(cube)
    shared = SharedRhythms.open(SHIPPED / RHYTHMS)
    until, warm_up = split.train_end, cube.step.in_days(config.training.warm_up_days)
    builder = FeatureBuilder(cube, learned_scales(cube, until, 24, warm_up, shared), 24)
    module = Module(config, builder)
    module.task = Task(cube, split, config, auxiliary=[(cube, split)])
    own = Stream(cube, split, config, builder, range(2), sizes=module.network.sizes)
    theirs = module._auxiliary(0, torch.device("cpu"))
    theirs.city = own.city  # whose phases are drawn
    for mine, other in zip(own, theirs, strict=True):
        assert torch.equal(mine.inputs.log_rate, other.inputs.log_rate)


def test_turns_keep_the_order_of_every_city() -> None:
    config, streams = settings(), []
    for place, days in enumerate((60, 80)):
        cube = city(days=days)
        builder = FeatureBuilder(cube, Scales.of(cube, split_of(cube).train_end), 24)
        streams.append(Stream(cube, split_of(cube), config, builder, city=place))
    turns = InterleavedSampler(streams)
    found = list(turns)
    assert len(found) == len(turns) == sum(map(len, streams))
    for place, stream in enumerate(streams):
        own = [part.inputs.log_rate for part in found if part.city == place]
        assert all(torch.equal(a, b.inputs.log_rate) for a, b in zip(own, stream, strict=True))
    assert len({part.city for part in found[: len(found) // 2]}) == 2


def test_another_city_tells_nothing_after_the_training_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    one = city(days=60)
    split, day = split_of(one), pd.Timedelta(days=1)

    def auxiliary(start: pd.Timestamp) -> int:
        other = city(days=90, start=start)
        given = SimpleNamespace(cube=lambda: other, split=split_of)
        monkeypatch.setattr(Stages, "_auxiliary", lambda _: [given])
        ((_, theirs),) = Stages(settings(), print).auxiliary(one, split)
        return theirs.train_end

    assert auxiliary(one.start - 10 * day) == split.train_end + 10 * 24
    assert auxiliary(one.start - 300 * day) == split_of(city(days=90)).train_end
    with pytest.raises(ConfigError, match=r"training\.cities: .* what came later"):
        auxiliary(one.time_of(split.train_end))


def test_the_step_is_the_same_when_it_is_compiled() -> None:
    cube, config = city(days=60, late=True, weather=True), settings(training={"streams": 2}, model={"dropout": 0.0})
    torch.manual_seed(1)
    scales = Scales.of(cube, split_of(cube).train_end)
    builder = FeatureBuilder(cube, scales, 24)
    module = Module(config, builder)
    network = module.network
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    x = next(iter(Stream(cube, split_of(cube), config, builder))).inputs
    h = torch.randn(2 * cube.n * cube.c, network.hidden)

    def step(forward: Callable[..., tuple[Tensor, Tensor]]) -> list[Tensor]:
        network.zero_grad()
        rate, after = forward(x, h, module.graph)
        (rate.log().sum() + after.sum()).backward()
        return [rate, after, *(parameter.grad for parameter in network.parameters())]

    compiled = torch.compile(network.forward, backend="aot_eager", fullgraph=True, dynamic=False)
    for found, expected in zip(step(compiled), step(network.forward), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.detach().abs().max()))


def test_a_fit_whose_step_is_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiled = []

    def without_code(self: Network, **options: Any) -> None:
        """Code for a processor takes a minute, and a compiler that a machine may lack."""
        compiled.append(options.pop("mode"))
        nn.Module.compile(self, backend="aot_eager", **options)

    monkeypatch.setattr(Network, "compile", without_code)
    cube, found = city(days=60), []
    for ask in (True, False):
        options = {"compile": ask, "truncation": 3, "max_epochs": 2}
        (folder := tmp_path / str(ask)).mkdir()
        forecaster = GCRN(settings(training=options))
        forecaster.learn(cube, split_of(cube), folder)
        found.append(forecaster.raw(cube, split_of(cube).issues("test")))
    assert len(compiled) == 1
    np.testing.assert_allclose(found[0], found[1], rtol=0.02)  # other neurons were dropped
    assert (found[0] != found[1]).any()


def test_a_step_that_cannot_be_compiled_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, "/no/compiler"))
    cube = city(days=40)
    with pytest.raises(ConfigError, match=r"training\.compile: .*Train with training\.compile=false"):
        GCRN(settings(training={"compile": True, "truncation": 1, "max_epochs": 1})).learn(cube, split_of(cube))
