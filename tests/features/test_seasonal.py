"""Ratios by hour of recurrence, against a plain count of events and of the visits since."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from small_cities import city
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.builder import clone_state
from stforecast.features.seasonal import PRIOR, SeasonalSums
from stforecast.features.stream import EventStream
from stforecast.features.table import SEASONAL_DAYS as DAYS
from stforecast.features.table import SEASONAL_WEEKS as WEEKS


def rolled(
    events: EventStream, first: int, count: int, rate: Tensor | None = None, state: dict[str, Tensor] | None = None
) -> tuple[dict[str, Tensor], Tensor | None]:
    """The state and the ratios after a number of issues."""
    sums = SeasonalSums(events)
    state = sums.init_state() if state is None else state
    return state, sums.step(state, first, events.arrivals(first, count), rate)


def direct(cube: Cube, patch: int, phase: int, issue: int, rate: np.ndarray) -> np.ndarray:
    """[k h n c] at one issue, event by event."""
    record = EventStream(cube, patch)
    kinds = [(half, 24, (1, 2, 3, 2, 1), record.slot_of_day) for half in DAYS]
    kinds += [(half, 168, (1, 2, 1), record.slot) for half in WEEKS]
    issues = list(range(phase, issue + 1, patch))
    out = np.zeros((24, len(kinds), cube.n, cube.c))
    for h, (half, period, kernel, table) in enumerate(kinds):
        slot = {step: int(table[record.at(torch.tensor(step))]) for step in range(-patch, issue + 24)}
        visited = [{slot[step] for step in range(first, last)} for first, last in pairwise(issues)]
        sums = np.zeros((period, cube.n, cube.c))
        for e in range(cube.hour.size):
            hour, known = int(cube.hour[e]), int(cube.known_hour[e])
            if known >= issue or hour < phase:
                continue
            row = max(0, (known - phase) // patch + 1)  # the first issue that knows it
            before = (issues[row] - 1 - hour) // period
            for j, weight in enumerate(kernel):
                place = (slot[hour] + j - len(kernel) // 2) % period
                passed = before + sum(place in some for some in visited[row:])
                sums[place, cube.hexagon[e], cube.category[e]] += (
                    cube.weight[e] * weight / sum(kernel) / 2 ** (passed / half)
                )
        for k in range(24):
            expected = rate[k] / (1 - 0.5 ** (1 / half)) + PRIOR
            out[k, h] = np.log((sums[slot[issue + k]] + PRIOR) / expected)
    return out


@pytest.mark.parametrize(("patch", "phase", "late"), [(24, 0, False), (24, 5, True), (6, 2, True)])
def test_equals_a_plain_count(patch: int, phase: int, late: bool) -> None:
    cube = city(days=24, late=late, rate=2.0)
    count = (cube.steps - phase) // patch + 1
    rate = torch.rand(count, cube.c, 24, cube.n) * 0.1
    found = rolled(EventStream(cube, patch), phase, count, rate)[1]
    assert found is not None
    for row in (count // 2, count - 1):
        expected = direct(cube, patch, phase, phase + row * patch, rate[row].permute(1, 2, 0).numpy())
        np.testing.assert_allclose(found[row].permute(2, 0, 3, 1).numpy(), expected, atol=2e-5)


def test_segments_and_a_kept_state_do_not_matter() -> None:
    cube = city(days=70, late=True)  # the clocks change
    events, rate = EventStream(cube, 24), torch.full((70, cube.c, 24, cube.n), 0.03)
    _, at_once = rolled(events, 0, 70, rate)
    state, _ = rolled(events, 0, 40)
    _, later = rolled(events, 40 * 24, 30, rate[:30], clone_state(state))
    assert at_once is not None
    torch.testing.assert_close(later, at_once[40:], rtol=0, atol=0)


def test_a_later_issue_has_forgotten_a_period() -> None:
    cube = city(days=40)
    events, rate = EventStream(cube, 24, past_end=48), torch.full((cube.c, 24, cube.n), 0.03)
    s = 40 * 24
    state, _ = rolled(events, 0, 41)
    now, later = (SeasonalSums(events).forecast(state, s, issue, rate).exp() for issue in (s, s + 24))
    left = torch.exp2(-1 / torch.tensor(DAYS))[:, None, None, None]
    visits = 1 / (1 - left)
    seen_now, seen_later = ((ratio[: len(DAYS)] * (0.03 * visits + PRIOR)) - PRIOR for ratio in (now, later))
    torch.testing.assert_close(seen_later, seen_now * left, rtol=1e-4, atol=1e-5)


def test_what_recurs_to_the_hour_stands_out() -> None:
    steps = 60 * 24
    weekly = np.arange(30, steps, 168)
    cube = city(days=60)
    rest = {"hexagons": cube.hexagons, "edges": cube.edges, "time_zone": "UTC", "start": cube.start}
    planted = Cube.from_events(
        weekly,
        np.zeros_like(weekly),
        np.zeros_like(weekly),
        None,
        None,
        name="p",
        steps=steps,
        categories=("a",),
        **rest,
    )
    issue = 30 + 168 * 8 - 6  # six hours before the next
    first = issue % 24
    count = (issue - first) // 24 + 1
    _, ratios = rolled(EventStream(planted, 24), first, count, torch.full((count, 1, 24, planted.n), 0.01))
    assert ratios is not None
    week = ratios[-1, len(DAYS), 0, :, 0]
    assert int(week.argmax()) == 6
    assert week[6] > 1
    assert ratios[-1, ..., 1:].max() < 0
