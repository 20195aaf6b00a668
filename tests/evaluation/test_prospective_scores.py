"""Which forecasts count as made in advance, when they are settled, and that their figures are the scorecard's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stforecast.cube import Cube
from stforecast.cube.steps import Step
from stforecast.evaluation.prospective import by_month, choose, consistency, settle
from stforecast.scoring.consistency import likelihood_test, number_test
from stforecast.scoring.metrics import score

DAY = pd.Timestamp("2026-03-01T06:00Z")


def chosen(*times: tuple[str, str]) -> tuple[list[str], int]:
    """What becomes of forecasts of 24 hours, from times of issue and of writing after 06:00 of the first day."""
    issued, written = (
        pd.DatetimeIndex([DAY + pd.Timedelta(one) for one in column]) for column in zip(*times, strict=True)
    )
    became, skipped = choose(issued, written, Step(), 24)
    return became.tolist(), skipped


def test_a_forecast_counts_if_it_was_written_before_its_first_hour_was_over() -> None:
    assert chosen(("0h", "-3h")) == (["scored"], 0)
    assert chosen(("0h", "0h")) == (["scored"], 0)  # no hour has begun before that instant
    assert chosen(("0h", "1s")) == (["scored"], 1)  # its first hour is not scored
    assert chosen(("0h", "1h")) == (["scored"], 1)
    assert chosen(("0h", "1h 1us")) == (["back-dated"], 0)
    assert chosen(("0h", "400d")) == (["back-dated"], 0)


def test_every_hour_is_scored_once_by_the_earlier_forecast() -> None:
    every_hour = [(f"{hour}h", f"{hour}h") for hour in range(50)]
    became, _ = chosen(*every_hour)
    assert [i for i, what in enumerate(became) if what == "scored"] == [0, 24, 48]
    assert {*became} == {"scored", "overlapping"}


def test_where_first_hours_are_not_scored_the_next_forecast_may_begin_within_the_last() -> None:
    assert chosen(("0h", "0h 10min"), ("23h", "23h 10min")) == (["scored", "scored"], 1)
    assert chosen(("0h", "0h"), ("23h", "23h")) == (["scored", "overlapping"], 0)


def test_a_forecast_of_one_long_step_counts_if_it_was_written_before_it_began() -> None:
    times = pd.DatetimeIndex([DAY])
    assert choose(times, times, Step("hour", 24), 1)[0].tolist() == ["scored"]
    assert choose(times, times + pd.Timedelta("1s"), Step("hour", 24), 1)[0].tolist() == ["back-dated"]


def test_of_one_issue_time_the_forecast_that_was_written_first_counts() -> None:
    assert chosen(("0h", "0h"), ("0h", "-2h"), ("0h", "-1h"))[0] == ["overlapping", "scored", "overlapping"]


def test_a_back_dated_forecast_takes_no_hours_from_another() -> None:
    assert chosen(("0h", "5h"), ("2h", "2h"))[0] == ["back-dated", "scored"]


def record(days: int, delay: int, silent: slice = slice(0)) -> Cube:
    """Two events an hour at one place; of every tenth day all are reported `delay` hours late."""
    hour = np.repeat(np.arange(24 * days), 2)
    hour = hour[~np.isin(hour, np.arange(24 * days)[silent])]
    known = hour + np.where(hour // 24 % 10 == 0, delay, 0)
    base = Cube.from_dense(np.ones((24 * days, 1, 1)), edge_index=np.zeros((2, 0), int))
    zeros = np.zeros(len(hour), int)
    return Cube.from_events(
        hour, zeros, zeros, known, name="late", start=base.start, steps=24 * days, categories=("a",),
        hexagons=base.hexagons, edges=base.edges,
    )  # fmt: skip


def test_hours_are_settled_when_nearly_all_reports_of_their_age_are_in() -> None:
    cube = record(days=200, delay=72)
    issues = 24 * np.array([150, 195, 196, 197, 199, 200]) + 1
    # the newest hour of an issue must be 72 hours old at the record's end: issues up to 24 · (200 − 3) − 24
    assert settle(cube, issues - 1, 24).tolist() == ["scored", "scored", "scored", *["waiting"] * 3]
    assert settle(cube, issues, 24).tolist()[1:3] == ["scored", "waiting"]
    assert settle(cube, np.array([-1]), 24).tolist() == ["waiting"]


def test_hours_that_were_not_recorded_are_not_scored() -> None:
    cube = record(days=200, delay=0, silent=slice(24 * 150, 24 * 154))
    assert settle(cube, 24 * np.array([148, 149, 150, 153, 154]), 24).tolist() == [
        *("scored", "scored"),
        *("not recorded", "not recorded"),
        "scored",
    ]
    assert settle(cube, np.array([24 * 149 + 1]), 24).tolist() == ["not recorded"]


@pytest.fixture
def made() -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """λ, usual and counts [m k n c] of 40 days that the forecast knows, and their months."""
    rng = np.random.default_rng(0)
    lam = (rng.gamma(0.5, 0.2, (40, 23, 8, 2)) * np.linspace(0.2, 1.8, 8)[:, None]).astype(np.float32)
    return lam, np.full_like(lam, lam.mean()), rng.poisson(lam).astype(np.uint16), ["2026-03"] * 31 + ["2026-04"] * 9


def test_figures_are_those_of_the_scorecard_in_all_and_by_month(made) -> None:
    lam, usual, counts, months = made
    found = by_month("gcrn", lam, usual, counts, months, np.ones(8), 2.0, 0)
    assert [entry["forecasts"] for entry in (found, *found["months"].values())] == [40, 31, 9]
    for entry, rows in ((found, slice(None)), (found["months"]["2026-04"], slice(31, None))):
        assert entry.items() >= score(lam[rows], counts[rows], None, np.ones(8), 2.0).items()
        ratio = entry["intervals"]["reported_to_expected"]
        assert ratio["estimate"] == pytest.approx(counts[rows].sum() / lam[rows].sum())
        assert ratio["low"] < ratio["estimate"] < ratio["high"]
        assert entry["intervals"]["average_precision"]["estimate"] == entry["average_precision"]
    gain = found["differences"]["gcrn - rolling_climatology"]["poisson_deviance"]
    assert gain["high"] < 0  # the forecast that knows the rates is better than their mean
    assert found["blocks"] == 6


def test_the_climatology_is_not_compared_with_itself(made) -> None:
    lam, _, counts, months = made
    found = by_month("rolling_climatology", lam, lam, counts, months, np.ones(8), 2.0, 0)
    assert found["differences"] == {}


def test_consistency_is_of_totals_of_places_and_of_cells(made) -> None:
    lam, _, counts, _ = made
    found = consistency(lam, counts, 0)
    total, came = float(lam.sum(dtype=float)), int(counts.sum())
    assert found["number"] == pytest.approx(number_test(total, came))
    assert found["space"] == likelihood_test(lam.sum((0, 1, 3), dtype=float), counts.sum((0, 1, 3)))
    assert found["conditional_likelihood"] == likelihood_test(lam, counts)
    assert min(found["space"]["quantile"], found["conditional_likelihood"]["quantile"]) > 0.01
    assert consistency(lam, 2 * counts, 0)["number"]["at_least"] < 1e-6
    elsewhere = consistency(lam[:, :, ::-1], counts, 0)  # the same number, in other places
    assert elsewhere["number"] == found["number"]
    assert elsewhere["space"]["quantile"] < 0.01
    at_other_hours = consistency(lam[:, ::-1], counts, 0)  # at the same places, at other hours
    assert at_other_hours["space"] == found["space"]
    assert at_other_hours["conditional_likelihood"]["quantile"] < 0.01
