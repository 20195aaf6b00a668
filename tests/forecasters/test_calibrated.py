"""The law of sums rests on a year of days of the rolling climatology, as known at the validation slice's end."""

import gc

import numpy as np
import pytest
from small_cities import another_future, city, split_of

from stforecast.features.targets import scored
from stforecast.forecasters import calibrated
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.controls import HexagonMean
from stforecast.forecasters.usual import usual
from stforecast.testing import small_city


@pytest.mark.parametrize("late", [False, True])
def test_what_is_usual_is_what_the_rolling_climatology_forecasts(late: bool) -> None:
    cube = city(days=70, late=late)
    learned, issues = 24 * 40, np.array([26, 48, 24 * 50, 24 * 50 + 2, 24 * 66])
    of_forecaster = RollingClimatology(ends=(learned,)).raw(cube, issues)
    np.testing.assert_allclose(usual(cube, issues, learned), of_forecaster, rtol=1e-5)


@pytest.mark.parametrize("late", [False, True])
def test_the_spread_of_sums_knows_a_year_and_nothing_after_the_validation_slice(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube = city(days=160, late=late)
    split, forecaster = split_of(cube), HexagonMean()
    found = forecaster.fit(cube, split).fitted
    _, issues, _, _ = calibrated._calibrated(forecaster.raw, cube, split)
    days, lam, y = calibrated._usual_days(cube, split) or pytest.fail("no year")
    assert {*issues} < {*days}
    assert len(days) == len(lam) == len(y)
    assert HexagonMean().fit(another_future(cube, split.validation_end, late), split).fitted.joint == found.joint
    monkeypatch.setattr(calibrated, "YEAR", 0.0)
    calibrated._newest.clear()
    alone = HexagonMean().fit(cube, split).fitted
    assert alone.joint != found.joint
    assert (alone.spreads, alone.calibration) == (found.spreads, found.calibration)


@pytest.mark.parametrize("step", ["day", "month"])
def test_days_and_months_have_a_year_too(step: str) -> None:
    cube = small_city(400 if step == "day" else 48, False, step=step)
    split = split_of(cube)
    days, lam, y = calibrated._usual_days(cube, split) or pytest.fail("no year")
    assert {*scored(cube, split, "validation")} < {*days}
    assert len(lam) <= (365 if step == "day" else 12)
    assert lam.sum() == pytest.approx(y.sum(), rel=0.2)


def test_a_record_of_a_few_weeks_has_no_more_days_than_the_slice() -> None:
    cube = city(days=60)
    split = split_of(cube)
    assert calibrated._usual_days(cube, split) is None


def test_of_a_large_city_the_year_is_shorter_and_what_is_kept_goes_with_its_cube(monkeypatch) -> None:
    cube = city(days=160)
    split = split_of(cube)
    whole = calibrated._usual_days(cube, split) or pytest.fail("no year")
    assert calibrated._usual_days(cube, split) is whole
    calibrated._newest.clear()
    monkeypatch.setattr(calibrated, "MOST", whole[1][0].size * (len(whole[0]) - 5))
    shorter = calibrated._usual_days(cube, split) or pytest.fail("no year")
    assert shorter[0].tolist() == whole[0][5:].tolist()
    del cube
    gc.collect()
    assert not calibrated._newest
