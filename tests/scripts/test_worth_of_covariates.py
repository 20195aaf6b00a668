"""What a covariate is worth: what is gained where planned events are and elsewhere, and which tenth is flagged."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stforecast.cube.covariates import Covariate
from stforecast.testing import small_city

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from covariates import of_planned, places, shares, without


def test_flags_fall_to_the_tenth_of_their_cells_and_what_has_no_value_is_left_out() -> None:
    values = np.arange(40.0)
    values[5] = np.nan
    lam = np.ones((3, 2, 40, 1), np.float32)
    lam[:2, :, 39], lam[2, :, 0] = 9, 9
    lam[:, :, 5] = 5  # of the two flags of each issue one goes to the cell without a value
    np.testing.assert_array_equal(shares(values, lam)[:, [0, 9]], [[0, 1], [0, 1], [1, 0]])
    np.testing.assert_allclose(shares(values, lam).sum(1), 1)


def test_what_is_gained_at_events_and_elsewhere_adds_up_to_all() -> None:
    cube, steps = small_city(60, step="day"), np.array([41, 44])
    rows = pd.DataFrame({"first": steps, "last": steps + 1, "cell": 3, "value": 7.0, "known": 0})
    festival = Covariate.of("festivals", "planned", rows)
    cube = replace(cube, covariates=(festival,))
    assert not without(cube, "festivals").covariates
    here = places(cube, festival, np.arange(36, 44))
    assert here.sum(2).tolist()[-1] == [0, 1] + [0] * (cube.horizons - 2)
    terms = {key: np.full((*here.shape, cube.c), value, np.float32) for key, value in (("all", 1.0), ("without", 2.0))}
    found = of_planned(cube, here, terms)
    assert (found["cells"], found["days"]) == (1, int(here.any((1, 2)).sum()))
    for category in cube.categories:
        inside, elsewhere = (found[category][where] for where in ("inside", "elsewhere"))
        assert inside["with"] == here.sum()
        assert inside["with"] + elsewhere["with"] == pytest.approx(here.size)
        assert inside["difference a day"][1] == pytest.approx(here.sum() / found["days"], abs=0.01)
