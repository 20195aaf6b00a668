"""Rates on the report: each report once, small numbers and small counts unseen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stforecast.config.sections import Rate
from stforecast.config.sections.time import Unit
from stforecast.cube.covariates import ALWAYS, Covariate
from stforecast.features.targets import outcomes
from stforecast.reports.evaluated import EvaluatedRun
from stforecast.reports.page import Table, Text
from stforecast.reports.rates import blocks, summed
from stforecast.testing import small_city

RATE = Rate(of="residents")
RESIDENTS = np.array([np.nan, 40, *np.arange(2, 12) * 1000.0])


def run_of(unit: Unit, horizons: int | None = None) -> EvaluatedRun:
    cube = small_city(120 if unit != "month" else 60, step=unit)
    cube = replace(cube, horizons=horizons or cube.horizons)
    split = cube.split()
    counts = outcomes(cube, split, "test")
    return EvaluatedRun("r", cube, split, {}, counts, {"ewma": 2 * counts + 0.5}, lambda _: None, 0)


@pytest.mark.parametrize(("unit", "horizons"), [("hour", 24), ("hour", 48), ("day", 7), ("month", 1), ("month", 3)])
def test_each_report_counts_once(unit: Unit, horizons: int) -> None:
    run = run_of(unit, horizons)
    sums, _ = summed(run, RATE, Covariate.static("residents", RESIDENTS), [0])
    chosen = []
    for issue in run.issues.tolist():
        if not chosen or (issue - run.issues[0]) % max(horizons, run.cube.step.per_day) == 0:
            chosen += [*range(issue, issue + horizons)]
    assert len({*chosen}) == len(chosen)
    direct = run.cube.dense().numpy()[chosen, :, 0].sum(0)
    direct[0] = 0  # its number is not known
    np.testing.assert_allclose(sums.reported, direct)
    cells = np.where(np.isfinite(RESIDENTS), 2 * direct + 0.5 * len(chosen), 0)
    np.testing.assert_allclose(sums.expected, cells)
    found = sums.rates(RATE, 1)["expected"]
    assert np.isnan(found[:2]).all()
    np.testing.assert_allclose(found[2:], 1000 * cells[2:] / RESIDENTS[2:])


def test_exposure_adds_up_over_the_hours_at_which_it_is_known() -> None:
    run = run_of("day")
    first = int(run.issues[0])
    rows = pd.DataFrame({"first": -ALWAYS, "last": ALWAYS, "cell": np.arange(2, 12), "value": 200.0, "known": -ALWAYS})
    half = pd.DataFrame({"first": first + 3, "last": ALWAYS, "cell": [1], "value": 50.0, "known": 0})
    visitors = Covariate.of("visitors", "ahead", pd.concat([rows, half]))
    sums, below = summed(run, Rate(of="visitors"), visitors, [0, 1])
    assert below.words == "per 1,000 hours of exposure (visitors)"
    assert (sums.mean[2:], sums.mean[1], sums.mean[0]) == (pytest.approx(200), pytest.approx(50), 0)
    times = run.cube.times_of(np.array([first, first + 7]))
    weeks = ((run.issues - first) % 7 == 0).sum()
    assert sums.number[2] == pytest.approx(200 * weeks * (times[1] - times[0]) / pd.Timedelta(hours=1), rel=0.01)
    early = run.cube.dense().numpy()[first : first + 3, 1].sum()
    everywhere, _ = summed(run, RATE, Covariate.static("residents", np.full(12, 1000.0)), [0, 1])
    assert sums.reported[1] == everywhere.reported[1] - early


def test_few_reports_and_sexual_offences_are_not_shown() -> None:
    run = run_of("day")
    covariate = Covariate.static("residents", np.full(12, 1000.0))
    reported = summed(run, RATE, covariate, [0])[0].reported
    least = int(np.sort(reported)[4]) + 1  # five cells or more have fewer
    out = blocks(run, RATE, covariate, {"category_1"}, least)
    (table,) = (one.frame for one in out if isinstance(one, Table))
    assert {*table} == {"hexagon", "residents", "expected per 1,000 residents", "reported per 1,000 residents"}
    shown = table.set_index("hexagon")["reported per 1,000 residents"].reindex(run.cube.cells)
    assert (shown.isna() == (reported < least)).all()
    np.testing.assert_allclose(shown.dropna(), reported[reported >= least])
    assert "category 1" not in " ".join(one.words for one in out if isinstance(one, Text))
    assert "0 of 12 hexagons" in out[0].words
    only = blocks(run, RATE, covariate, {*run.cube.categories}, least)
    assert [type(one) for one in only] == [Text]
    exact = np.sort(reported)[0] + 1  # the one cell that is below would follow from the sum
    hidden = blocks(run, RATE, covariate, {"category_1"}, int(exact))
    (table,) = (one.frame for one in hidden if isinstance(one, Table))
    assert table["reported per 1,000 residents"].isna().all() == (np.sum(reported < exact) == 1)


def test_districts_divide_their_reports_by_their_own_residents() -> None:
    run = run_of("day")
    district = ["North"] * 6 + ["South"] * 5 + [None]
    run = replace(run, cube=replace(run.cube, hexagons=run.cube.hexagons.assign(district=district)))
    covariate = Covariate.static("residents", RESIDENTS)
    sums, _ = summed(run, RATE, covariate, [0, 1])
    (table,) = (one.frame for one in blocks(run, RATE, covariate, (), 1) if isinstance(one, Table))
    assert table["district"].tolist() == ["North", "South"]
    assert table["residents"].tolist() == [40 + 2000 + 3000 + 4000 + 5000, 6000 + 7000 + 8000 + 9000 + 10000]
    for row, cells in zip(table.itertuples(index=False), (slice(0, 6), slice(6, 11)), strict=True):
        assert row[2] == pytest.approx(1000 * sums.expected[cells].sum() / row[1])
        assert row[3] == pytest.approx(1000 * sums.reported[cells].sum() / row[1])
