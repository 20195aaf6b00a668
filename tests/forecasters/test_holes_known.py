"""Holes: no forecast rests on one that only shows later, and none takes an unrecorded stretch for a quiet one."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from small_cities import another_future, city, fitted, with_events, with_small_trees

from stforecast.cube import Cube
from stforecast.cube.holes import NEVER, Gap
from stforecast.features.delay import completeness
from stforecast.features.observed import agreeing
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.gcrn.segments import Targets
from stforecast.forecasters.registry import BUILT_IN
from stforecast.forecasters.state_cache import StateCache

DAY, DAYS = 24, 140
SILENT = ((60, 70), (114, 120))
"""Days without reports: one stretch in the training slice, one in the test slice."""
T0 = {"begun": 115 * DAY, "shown": 118 * DAY, "over": 123 * DAY}
NAMES = sorted(BUILT_IN)


@cache
def whole(late: bool) -> Cube:
    return city(days=DAYS, rate=3.0, late=late)


def silent(late: bool) -> Cube:
    cube = whole(late)
    gone = np.any([(cube.hour >= a * DAY) & (cube.hour < b * DAY) for a, b in SILENT], axis=0)
    return with_events(cube, ~gone)


@pytest.fixture(autouse=True)
def _few_rows_and_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    with_small_trees(monkeypatch, 20_000)


def learned(name: str, cube: Cube) -> Forecaster:
    return fitted(name, cube, evaluation={"ensemble": ["rolling_climatology", "hexagon_mean"]})


@pytest.mark.parametrize("late", [False, True])
def test_the_silences_show_as_meant(late: bool) -> None:
    cube = silent(late)
    assert whole(late).masked_before() is None
    assert cube.masked_before(T0["begun"])[100 * DAY :].sum() == 0
    assert cube.masked_before(T0["shown"])[115 * DAY : 117 * DAY].all()
    assert cube.masked_before(T0["over"])[114 * DAY : 120 * DAY].mean() > 0.97
    assert len(set(agreeing(cube, np.array([*T0.values()])))) > 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("late", [False, True])
def test_a_hole_that_shows_later_reaches_no_forecast(name: str, late: bool) -> None:
    """Later reports end the silence, or fall into it, or there are none; holes after the issue come and go."""
    cube, forecaster = silent(late), learned(name, silent(late))
    for t0 in T0.values():
        alone = forecaster.raw(cube, np.array([t0]))
        for changed in (another_future(cube, t0, late=True), with_events(cube, cube.known_hour < t0)):
            found = learned(name, changed).raw(changed, np.array([t0]))
            np.testing.assert_array_equal(alone, found)
    several = forecaster.raw(cube, np.array([*T0.values()]))
    np.testing.assert_allclose(several[-1], alone[0], rtol=2e-5)


@pytest.mark.parametrize(
    "name", ["rolling_climatology", "hexagon_mean", "kernel", "last_week", "mean_of_last_12", "ewma", "hawkes"]
)
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("at", ["shown", "over"])
def test_an_unrecorded_stretch_is_not_taken_for_a_quiet_one(name: str, late: bool, at: str) -> None:
    cube, issues = silent(late), np.array([T0[at]])
    denied = replace(cube, gaps=(Gap(0, cube.steps, None, denied=True),))
    usual, found, quiet = (learned(name, each).raw(each, issues).sum() for each in (whole(late), cube, denied))
    assert found == pytest.approx(usual, rel=0.12)
    assert abs(quiet - usual) > 1.5 * abs(found - usual)


@pytest.mark.parametrize("name", ["hist_gradient_boosting", "gcrn"])
def test_learned_forecasters_go_on_at_their_level(name: str) -> None:
    cube, issues = silent(False), np.array([T0["shown"], T0["over"]])
    usual, found = (learned(name, each).raw(each, issues).sum((1, 2, 3)) for each in (whole(False), cube))
    np.testing.assert_allclose(found, usual, rtol=0.15)


def test_what_is_not_recorded_is_no_target() -> None:
    cube = silent(True)
    share = completeness(cube, 0, cube.steps, cube.steps)
    assert (share[61 * DAY : 69 * DAY] == 0).all()
    assert (share[: 59 * DAY] > 0).all()
    target = Targets(cube, 84 * DAY, "cpu").of([62 * DAY])
    assert target.share.sum() == 0
    assert not len(target.events)


def test_the_level_does_not_fall_in_a_hole() -> None:
    cube, issues = silent(False), np.array([T0["shown"], T0["over"]])
    climatology = learned("rolling_climatology", cube)
    found, plain = climatology.forecast(cube, issues).intensity.sum(), climatology.raw(cube, issues).sum()
    assert found == pytest.approx(plain, rel=0.05)
    denied = replace(cube, gaps=(Gap(0, cube.steps, None, denied=True),))
    assert climatology.forecast(denied, issues).intensity.sum() < 0.92 * climatology.raw(denied, issues).sum()


@pytest.mark.parametrize("name", ["rolling_climatology", "gcrn"])
@pytest.mark.parametrize("late", [False, True])
def test_a_cache_walk_agrees_with_a_replay_through_a_hole(name: str, late: bool, tmp_path: Path) -> None:
    cube, lines = silent(late), []
    model = learned(name, cube)
    cache = StateCache(tmp_path, lines.append)
    for day in range(112, 125):
        known = replace(with_events(cube, (cube.known_hour < day * DAY)), steps=day * DAY)
        issue = np.array([known.steps])
        np.testing.assert_allclose(
            model.forecast(known, issue, cache).intensity, model.forecast(known, issue).intensity, rtol=1e-5
        )
    shown = len({hole.evident for hole in cube.holes if hole.ends == NEVER and hole.first > 100 * DAY})
    assert 1 <= len(lines) <= shown + (2 if late else 0)  # the record is replayed when a hole begins to show
    # one that was cache before and one that is made anew hold the same earlier forecasts
    anew = StateCache(tmp_path / "anew", lines.append)
    np.testing.assert_allclose(
        model.forecast(known, issue, anew).intensity, model.forecast(known, issue).intensity, rtol=1e-5
    )
