"""The network, its loss and its validation against plain formulas, hexagon by hexagon and hour by hour."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_cities import city, forecaster_of, settings, split_of, summed
from torch import Tensor, nn

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.features.builder import FeatureBuilder
from stforecast.features.scaling import Scales
from stforecast.features.table import BY_DAY
from stforecast.forecasters.gcrn.inputs import inputs_of
from stforecast.forecasters.gcrn.network import Inputs, Network
from stforecast.forecasters.gcrn.parts import BOUND, KNOT
from stforecast.forecasters.gcrn.segments import Stream
from stforecast.forecasters.gcrn.training import Module, Validation
from stforecast.scoring.calibration import fit_calibration
from stforecast.scoring.metrics import poisson_deviance


@pytest.fixture(scope="module")
def cube() -> Cube:
    return city(days=70, late=True, weather=True)


@pytest.fixture(scope="module")
def builder(cube: Cube) -> FeatureBuilder:
    return FeatureBuilder(cube, Scales.of(cube, split_of(cube).train_end), 24)


def module_of(cube: Cube, builder: FeatureBuilder, seed: int = 0, **training: object) -> tuple[Module, Config]:
    """A network that is awake, without dropout."""
    config = settings(model={"dropout": 0.0}, training=training)
    torch.manual_seed(seed)
    module = Module(config, builder)
    for network in (module.network, module.best):
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.2)
        nn.init.normal_(network.excitation.weight, -0.2, 0.05)  # on the scale of log θ / 15
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    return module, config


def by_hand(network: Network, x: Inputs, h: Tensor, cube: Cube) -> tuple[Tensor, Tensor]:
    """λ [l c k n] and the state [c n h] after the issues, as the docstrings say it."""
    net, categories = network, range(cube.c)
    adjacent = torch.zeros(cube.n, cube.n)
    adjacent[cube.edges[1], cube.edges[0]] = 1
    degree = adjacent.sum(1, keepdim=True)
    mean, ring = adjacent / degree.clamp(min=1), adjacent / degree.max()
    assert net.encode_city is not None
    out = torch.empty_like(x.log_rate)
    for i in range(len(out)):
        about, own, shared = x.about[i], x.own[i].mT, x.shared[i].T  # [c x], [c n f], [n m]
        of_all = net.encode_all(shared) + net.encode_city(x.city[i])
        u = [
            net.encode(torch.cat([x.nodes[i, c].T, own[c]], 1)) + of_all + net.encode_about(about[c])
            for c in categories
        ]
        pooled = net.pool(sum(torch.relu(one) for one in u) / cube.c)
        before, h = h, torch.empty_like(h)
        for c in categories:
            read = torch.relu(u[c] + pooled)
            (reset, keep, new), (reset_h, keep_h, new_h) = (
                layer(torch.cat([value, mean @ value], 1)).chunk(3, 1)
                for layer, value in ((net.input_gates, read), (net.recurrent, before[c]))
            )
            keep = torch.sigmoid(keep + keep_h)
            h[c] = keep * before[c] + (1 - keep) * torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
        theirs = torch.cat([h.mean(0), shared], 1)
        for c in categories:
            mine = torch.cat([h[c], own[c]], 1)
            looked = torch.relu(net.look(mine) + net.look_all(theirs) + net.look_about(about[c]))
            query, asked = net.query(looked), 0.1 * net.by_cell(looked).T  # [r n]
            form = x.log_rate[i, c] - x.log_rate[i, c].mean(0)
            cell = net.by_own(mine) + net.by_all(theirs)  # [n 1]
            season = net.by_season(about[c]).view(2, -1)
            tilt = (net.excitation.about @ about[c]).view(net.excitation.weight.shape)
            theta = (15 * (net.excitation.weight + tilt)).exp()  # [h r 2]
            for k in range(out.shape[2]):
                hour = torch.relu(net.hour(x.target[i, k]) + net.hour_about(about[c]))
                factor = query @ (0.1 * net.key(hour)) + cell[:, 0] + net.by_target(hour)
                ratio = torch.cat([x.seasonal[i, :, c, k], form[k : k + 1]]).clamp(-BOUND, BOUND)
                response = (season[..., None] * torch.stack([ratio, (ratio - KNOT).clamp(min=0)])).sum((0, 1))
                response = response + (asked * ratio).sum(0)
                excited = torch.zeros(cube.n)
                for j, hours in enumerate(BY_DAY.recent_hours):
                    half_life = hours / cube.step_hours
                    left = np.log(2) / half_life * 0.5 ** ((k + 1) / half_life)
                    for place, over in enumerate((torch.eye(cube.n), ring)):
                        for source in categories:
                            weight = theta[j, place, 0 if source == c else 1]
                            excited = excited + left * weight * (over @ x.recent[i, j, source])
                out[i, c, k] = (x.log_rate[i, c, k] + factor + response).exp() + excited
    return out, h


@torch.no_grad()
@pytest.mark.parametrize("step", [1, 4])
def test_the_network_is_its_formula(step: int) -> None:
    cube = summed(city(days=70, late=True, weather=True), step)
    builder = FeatureBuilder(cube, Scales.of(cube, split_of(cube).train_end), 24 // step)
    module, _ = module_of(cube, builder)
    state = builder.init_state(5 % builder.patch)
    builder.skip(state, 40)
    x, h = inputs_of(builder, builder.step(state, 2)), torch.randn(cube.c, cube.n, module.network.hidden)
    rate, after = module.network(x, h.flatten(0, 1), module.graph)
    expected, state = by_hand(module.network, x, h, cube)
    torch.testing.assert_close(after, state.flatten(0, 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rate, expected, rtol=1e-3, atol=1e-6)


def test_it_begins_by_remembering(cube: Cube, builder: FeatureBuilder) -> None:
    config = settings()
    module = Module(config, builder)
    reset, keep, _ = module.network.input_gates.bias.chunk(3)
    assert keep.min() > 0.5 > reset.max()


def test_a_training_step_is_the_loss_beside_that_of_climatology(cube: Cube, builder: FeatureBuilder) -> None:
    module, config = module_of(cube, builder, streams=2, averaging=0.9)
    module.stream = Stream(cube, split_of(cube), config, builder)
    module.on_train_epoch_start()
    h, shares = [module.network.start(cube.n * cube.c) for _ in range(2)], []
    for i, batch in enumerate(module.stream):
        length, losses = len(batch.inputs.log_rate) // 2, []
        for s, target in enumerate(batch.targets):
            x = batch.inputs.part(slice(s * length, (s + 1) * length))
            rate, h[s] = module.network(x, h[s], module.graph)
            shares.append(target.share)
            own, usual = (
                module.loss(lam * target.share, target.events, target.counts) for lam in (rate, x.log_rate.exp())
            )
            losses.append(own / usual.abs())
        expected = (losses[0] + losses[1]) / 2
        torch.testing.assert_close(module.training_step(batch, i), expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(module.h[0], torch.cat(h), rtol=1e-4, atol=1e-5)
    assert torch.cat(shares).min() < 1  # at the end of the slice
    before, current = module.best.encode.weight.clone(), module.network.encode.weight
    module.on_train_batch_end()
    torch.testing.assert_close(module.best.encode.weight, 0.9 * before + 0.1 * current)


@torch.no_grad()
def test_validation_counts_what_is_known_at_its_end(cube: Cube, builder: FeatureBuilder) -> None:
    module, config = module_of(cube, builder)
    split = split_of(cube)
    issues, end = split.issues("validation"), split.validation_end
    check = module.check = Validation(cube, split, builder, config.training.truncation)
    known = cube.dense(0, end, known_before=end).numpy()
    assert known[issues[0] : end].sum() < cube.dense(int(issues[0]), end).sum()
    counts = np.stack([known[issue : issue + 24] for issue in issues])
    np.testing.assert_array_equal(check.counts, counts)

    expected = forecaster_of(module).raw(cube, issues)  # from the beginning: before 90 days there is nothing
    found = check.intensity(module.best, module.graph)
    np.testing.assert_allclose(found, expected, rtol=1e-3)

    said: dict[str, float] = {}
    module.log = lambda name, value, **_: said.update({name: value})  # type: ignore[method-assign, assignment]
    module.validation_step(None, 0)
    calibrated = fit_calibration(found, counts, check.share).apply(found) * check.share
    assert (check.share < 1).any()
    assert said["validation/poisson_deviance"] == pytest.approx(poisson_deviance(calibrated, counts), rel=1e-5)


def test_seeds_are_averaged_geometrically(cube: Cube, builder: FeatureBuilder) -> None:
    modules, issues = [module_of(cube, builder, seed)[0].eval() for seed in (1, 2)], np.array([30 * 24])
    one, other, both = (forecaster_of(*some).raw(cube, issues) for some in (modules[:1], modules[1:], modules))
    assert np.abs(np.log(one / other)).mean() > 0.05
    np.testing.assert_allclose(both, np.sqrt(one * other), rtol=1e-4, atol=1e-7)
