"""One network reads any city: any number of categories, of steps a day and of channels, in any order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from small_cities import city, split_of, summed, with_categories
from torch import Tensor, nn

from stforecast.config.sections import Unit
from stforecast.cube import Cube, Series
from stforecast.features import canonical, city_facts
from stforecast.features.builder import FeatureBuilder
from stforecast.features.scaling import Scales
from stforecast.features.table import BY_DAY
from stforecast.forecasters.gcrn.inputs import inputs_of, sizes_of
from stforecast.forecasters.gcrn.network import Inputs, Network, Sizes
from stforecast.forecasters.gcrn.parts import BOUND
from stforecast.forecasters.gcrn.propagation import Graph


def builder_of(cube: Cube) -> FeatureBuilder:
    return FeatureBuilder(cube, Scales.of(cube, split_of(cube).train_end), cube.step.per_day)


def network_of(sizes: Sizes) -> Network:
    """A network of chance weights."""
    torch.manual_seed(3)
    network = Network(sizes, 8, 4, "hex", 0.0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    nn.init.normal_(network.excitation.weight, -0.3, 0.05)
    return network.eval()


@torch.no_grad()
def forecast(network: Network, cube: Cube, patches: int = 20) -> Tensor:
    """λ [l c k n] of the first issues."""
    builder = builder_of(cube)
    x = inputs_of(builder, builder.step(builder.init_state(0), patches), network.sizes)
    graph = Graph("hex", builder.edges, cube.n, cube.c)
    return network(x, network.start(cube.n * cube.c), graph)[0]


def kinds_of(c: int) -> np.ndarray:
    shares = np.random.default_rng(1).dirichlet(np.ones(len(city_facts.KINDS)), c)
    return shares.astype(np.float32)


@pytest.mark.parametrize("late", [False, True])
def test_categories_in_another_order_give_the_forecast_in_another_order(late: bool) -> None:
    cube, kinds = with_categories(city(days=30, late=late, weather=True), 3), kinds_of(3)
    order = np.array([2, 0, 1])  # the new place of each
    moved = replace(cube, category=order[cube.category].astype(cube.category.dtype))
    network = network_of(sizes_of(builder_of(cube)))
    rate = forecast(network, replace(cube, kinds=kinds))
    found = forecast(network, replace(moved, kinds=kinds[np.argsort(order)]))[:, order]
    torch.testing.assert_close(found, rate, rtol=2e-4, atol=1e-7)
    assert (found - rate.roll(1, 1)).abs().max() > 1e-3


def test_hexagons_in_another_order_give_the_forecast_in_another_order() -> None:
    cube = city(days=30, late=True, weather=True)
    order = np.random.default_rng(2).permutation(cube.n)
    moved = replace(
        cube,
        hexagon=order[cube.hexagon].astype(cube.hexagon.dtype),
        edges=order[cube.edges],
        hexagons=cube.hexagons.iloc[np.argsort(order)].reset_index(drop=True),
    )
    network = network_of(sizes_of(builder_of(cube)))
    torch.testing.assert_close(forecast(network, moved)[..., order], forecast(network, cube), rtol=2e-4, atol=1e-7)


def test_one_network_reads_cities_of_one_category_and_of_twelve() -> None:
    network, rates = network_of(sizes_of(builder_of(city(days=30)))), {}
    for c in (1, 2, 12):
        cube = with_categories(city(days=30, rings=c % 2 + 1), c)
        assert sizes_of(builder_of(cube)) == network.sizes
        rates[c] = rate = forecast(network, cube)
        assert rate.shape == (20, c, 24, cube.n)
        assert ((rate > 0) & rate.isfinite()).all()


@pytest.mark.parametrize(
    ("hours", "unit"), [(2, "hour"), (3, "hour"), (4, "hour"), (6, "hour"), (12, "hour"), (24, "day")]
)
def test_longer_steps_are_read_with_the_same_sizes(hours: int, unit: Unit) -> None:
    cube = city(days=40, late=True, weather=True, time_zone="UTC", start=pd.Timestamp("2023-01-10", tz="UTC"))
    longer = summed(cube, hours, unit)
    one, other = builder_of(cube), builder_of(longer)
    assert sizes_of(other) == sizes_of(one)
    x, y = (inputs_of(each, each.step(each.init_state(0), 30)) for each in (one, other))
    p, k = 24, 24 // hours
    events, theirs = (each.nodes[:, :, :p].expm1() for each in (x, y))
    in_step = events.unflatten(2, (k, hours)).sum(3) / hours
    torch.testing.assert_close(theirs.unflatten(2, (k, hours)).amax(3), in_step, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(theirs.unflatten(2, (k, hours)).amin(3), in_step, rtol=1e-4, atol=1e-5)
    hour_of = slice(7, 7 + 24)
    for read in (x, y):
        torch.testing.assert_close(read.target[..., hour_of].sum(-1), torch.ones(read.target.shape[:2]))
    torch.testing.assert_close(y.target[..., hour_of], x.target[..., hour_of].unflatten(1, (k, hours)).mean(2))
    # levels are events a day
    torch.testing.assert_close(y.own[..., -1, :].exp(), x.own[..., -1, :].exp(), rtol=0.2, atol=0.1)
    numbers = city_facts.NUMBERS.index("step")
    same = [place for place in range(x.about.shape[-1]) if place != numbers]
    torch.testing.assert_close(y.about[..., same], x.about[..., same], rtol=1e-3, atol=1e-3)
    rate = forecast(network_of(sizes_of(one)), longer)
    assert ((rate > 0) & rate.isfinite()).all()


def test_channels_that_a_city_lacks_are_read_as_gaps() -> None:
    rich = city(days=30, weather=True)
    sizes = sizes_of(builder_of(rich))
    poor = builder_of(replace(rich, weather=Series(), future=Series()))
    x = inputs_of(poor, poor.step(poor.init_state(0), 5), sizes)
    assert x.city.shape[1] == sizes.city > 0
    assert not x.city.any()
    assert x.target.shape[2] == sizes.target
    assert not x.target[..., sizes.calendar :].any()
    gap = replace(rich, weather=_gaps(rich.weather), future=_gaps(rich.future))
    torch.testing.assert_close(forecast(network_of(sizes), poor.cube), forecast(network_of(sizes), gap))
    # and channels that the network does not know are not read
    network = network_of(sizes_of(poor))
    torch.testing.assert_close(forecast(network, rich), forecast(network, poor.cube))


def _gaps(series: Series) -> Series:
    return replace(series, values=np.full_like(series.values, np.nan))


def test_channels_have_a_place_by_name() -> None:
    values = torch.arange(4.0)  # a, b, mask of a, mask of b
    assert canonical.channels(values, ["a", "b"], ["c", "b", "a"]).tolist() == [0, 1, 0, 0, 3, 2]
    assert canonical.channels(values, ["a", "b"], []).tolist() == []


def test_what_the_network_reads_of_a_hexagon_and_category() -> None:
    """Feature by feature, from the table of features."""
    cube = with_categories(city(days=40, late=True, weather=True), 3)
    builder = builder_of(cube)
    builder.skip(state := builder.init_state(0), 20)
    batch = builder.step(state, 3)
    assert batch.late.sum() > 0
    x: Inputs = inputs_of(builder, batch)
    layout = BY_DAY.layout(cube.c)
    for c in range(cube.c):
        counts = torch.cat([batch.patch[:, :, c], batch.late[:, :, c]], 1)
        torch.testing.assert_close(x.nodes[:, c], (1 + counts).log())
        own = []
        for family in BY_DAY.log_ratios:
            if family.by_category:
                own += [
                    batch.features[:, layout[family.name]][:, i * cube.c + c] for i in range(len(family.half_lives))
                ]
        torch.testing.assert_close(x.own[:, c, :-1], torch.stack(own, 1).clamp(-BOUND, BOUND))
        per_day = batch.log_rate[:, c].exp().sum(1)
        torch.testing.assert_close(x.own[:, c, -1], (per_day + 1e-4).log() / 4)
    shared = [batch.features[:, layout[name]].clamp(-BOUND, BOUND) for name in ("all", "ring")]
    torch.testing.assert_close(x.shared, torch.cat([*shared, batch.features[:, -1:]], 1))
    torch.testing.assert_close(x.recent, batch.recent)


def test_numbers_of_scale() -> None:
    cube = with_categories(city(days=60), 4)
    builder = builder_of(cube)
    near, far = (
        dict(zip(city_facts.NUMBERS, row, strict=False))
        for row in canonical.about(builder, [24, 50 * 24])[:, 0].tolist()
    )
    assert near["age"] < far["age"] < 1
    assert near["late"] == 0
    assert near["step"] == 0
    assert near["categories"] == pytest.approx(np.log(4) / 2)
    hidden = np.zeros((cube.steps, cube.c), bool)
    hidden[: 25 * 24] = True
    half = FeatureBuilder(replace(cube, masked=hidden), builder.scales, 24)
    assert half.recorded_days([50 * 24]).tolist() == [25.0]
    assert half.recorded_days([cube.steps + 48]).tolist() == [37.0]
    nowhere = replace(cube, hexagons=cube.hexagons.drop(columns="area_km2"))
    assert city_facts.edge_km(nowhere) == city_facts.EDGE_KM
    assert abs(far["edge"]) < 0.2  # of resolution 8
