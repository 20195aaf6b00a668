"""Inputs in named groups: each belongs to one, and the groups are what their names say."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from small_cities import city

from stforecast.cube import Cube
from stforecast.features.builder import FeatureBatch, FeatureBuilder
from stforecast.features.covariates import Covariates
from stforecast.features.groups import COLUMNS, FIELDS, GROUPS, PLACES, InputsByGroup
from stforecast.features.scaling import Scales
from stforecast.features.table import TABLES


def inputs_at(cube: Cube, issue: int) -> tuple[InputsByGroup, FeatureBatch]:
    """The inputs of an issue by group, and what is read there."""
    builder = FeatureBuilder(cube, Scales.of(cube, cube.steps // 2), 24)
    state = builder.init_state(issue % 24)
    builder.skip(state, issue // 24)
    return InputsByGroup(builder, (builder.step(state, 1), state)[1], issue), builder.at_issue(state, issue)


@pytest.fixture(scope="module", params=[False, True], ids=["at once", "late"])
def cube(request: pytest.FixtureRequest) -> Cube:
    return city(days=90, late=request.param, weather=True)


def test_every_input_belongs_to_a_group() -> None:
    assert {field.name for field in fields(FeatureBatch)} == {*FIELDS}
    assert {field.name for field in fields(Covariates)} == {*COLUMNS}
    assert {family.place for table in TABLES.values() for family in table.log_ratios} <= {*PLACES}
    assert {*GROUPS} == {group for groups in FIELDS.values() for group in groups} | {*COLUMNS.values()}


def test_all_groups_as_they_are_is_what_is_read(cube: Cube) -> None:
    inputs, batch = inputs_at(cube, cube.steps)
    read = inputs.read(inputs.groups)
    for name, value in vars(batch).items():
        assert value == vars(read.ahead)[name] if name == "issues" else torch.equal(value, vars(read.ahead)[name]), name
    assert read.covariates is inputs.builder.covariates


def test_as_usual_is_what_is_expected(cube: Cube) -> None:
    inputs, batch = inputs_at(cube, cube.steps)
    read = inputs.read(()).ahead
    level = inputs.layout["level"]
    assert read.features[:, : level.start].abs().max() < 1e-5
    assert torch.equal(read.features[:, level], batch.features[:, level])
    assert not read.seasonal.any()
    days = torch.cat([inputs_at(cube, cube.steps - 24 * i)[1].patch for i in range(1, 20)])
    assert float(read.patch.sum()) == pytest.approx(float(days.sum(1).sum()) / len(days), rel=0.2)
    recent = torch.cat([inputs_at(cube, cube.steps - 24 * i)[1].recent for i in range(1, 20)])
    assert torch.allclose(read.recent.sum((0, 2, 3)), recent.sum((2, 3)).mean(0), rtol=0.2)


def test_weather_as_usual_is_that_of_the_season(cube: Cube) -> None:
    inputs, _ = inputs_at(cube, cube.steps)
    usual, own = inputs.read(()).covariates, inputs.builder.covariates
    ahead = own.events.at(torch.arange(cube.steps, cube.steps + 24))
    value, seen = usual.target[ahead, -2], usual.target[ahead, -1]
    assert torch.equal(seen, own.target[ahead, -1])
    for step, found in zip(range(cube.steps, cube.steps + 24), value[seen > 0].tolist(), strict=False):
        if seen[step - cube.steps]:
            past = inputs.builder.scales.future.window(cube.future, 0, cube.steps)
            rows = past[[step - 24 * back for back in range(1, 15) if step - 24 * back < cube.steps]]
            assert found == pytest.approx(rows[:, 0].sum() / rows[:, 1].sum(), abs=1e-5)
        break
    assert abs(float(value.mean())) < abs(float(own.target[ahead, -2].abs().mean()))


def test_own_and_others_part(cube: Cube) -> None:
    inputs, batch = inputs_at(cube, cube.steps)
    own = torch.zeros(cube.n, dtype=torch.bool)
    own[5] = True
    mine, theirs = (
        inputs.read({"last_days", "city", "late"}, own).ahead,
        inputs.read({"neighbours", "city", "late"}, own).ahead,
    )
    usual, places = inputs.read({"city", "late"}).ahead, inputs.layout
    for read, here in ((mine, own), (theirs, ~own)):
        assert torch.equal(read.seasonal[..., here], batch.seasonal[..., here])
        assert torch.equal(read.patch[..., here], batch.patch[..., here])
        assert not read.seasonal[..., ~here].any()
        assert torch.equal(read.features[:, places["all"]][..., ~here], usual.features[:, places["all"]][..., ~here])
        assert torch.equal(read.features[:, places["each"]][..., here], batch.features[:, places["each"]][..., here])
        assert torch.equal(read.features[:, places["city"]], batch.features[:, places["city"]])
    for read, same in ((theirs, batch), (mine, usual)):
        assert torch.equal(read.features[0, places["ring"], 5], same.features[0, places["ring"], 5])


def test_what_came_late_and_what_came_in_time_add_up() -> None:
    cube = city(days=90, late=True)
    inputs, batch = inputs_at(cube, cube.steps)
    real = frozenset(inputs.groups)
    late, without = inputs.read({"late"}).ahead, inputs.read(real - {"late"}).ahead
    assert torch.equal(late.late, batch.late)
    usual = inputs.read(()).ahead
    assert torch.allclose(late.recent - usual.recent, batch.recent - without.recent, atol=1e-5)
    due = (cube.known_hour >= cube.steps - 24) & (cube.known_hour < cube.steps) & (cube.hour < cube.steps - 24)
    assert float(batch.late.sum()) == pytest.approx(cube.weight[due].sum())
    each = torch.stack([inputs_at(cube, cube.steps - 24 * i)[1].late.sum((0, 2, 3)) for i in range(20)]).mean(0)
    assert torch.allclose(usual.late.sum((0, 2, 3)), each, rtol=0.5, atol=1.0)
