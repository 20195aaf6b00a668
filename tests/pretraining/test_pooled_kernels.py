"""Kernels that cities share: recovered where they are known, and carried to a city of a week and other categories."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stforecast.config import parse
from stforecast.errors import ArtefactError, ConfigError
from stforecast.files import write_json
from stforecast.forecasters.hawkes import HALF_LIFE_HOURS, Hawkes
from stforecast.forecasters.shared_kernels import SharedKernels, category_share
from stforecast.pretraining.hawkes import pooled_kernels
from stforecast.scoring.splits import Split
from tests.forecasters.test_hawkes import simulated
from tests.small_cities import city, split_of

H = len(HALF_LIFE_HOURS)


def kernels(seed: int = 0) -> SharedKernels:
    return SharedKernels.of(np.r_[0.8, np.random.default_rng(seed).gamma(0.3, 0.1, 4 * H)], HALF_LIFE_HOURS)


def test_the_weights_of_a_city_and_the_shared_columns_are_the_same_sum() -> None:
    rng, share = np.random.default_rng(1), np.array([0.5, 0.2, 0.3])
    parts, category = rng.gamma(1, 1, (50, 1 + 2 * H * 3)), rng.integers(0, 3, 50)
    shared = kernels()
    theta = np.r_[shared.background, shared.same.ravel(), shared.other.ravel()]
    by_category = shared.weights(share, HALF_LIFE_HOURS)
    expected = (parts * by_category[category]).sum(1)
    np.testing.assert_allclose(SharedKernels.columns(parts, category, share) @ theta, expected)


def test_known_kernels_are_recovered_from_several_cities() -> None:
    cities = [simulated(days, 1.0, own=0.3, ring=0.2, cross=0.1, half_life=HALF_LIFE_HOURS[0]) for days in (200, 300)]
    found = pooled_kernels((one, split_of(one)) for one in cities)
    np.testing.assert_allclose(found.same[:, 0], [0.3, 0.2], atol=0.03)
    np.testing.assert_allclose(found.other[:, 0] / 2, [0.1, 0.0], atol=0.03)
    assert found.background < 0.6


def test_a_record_without_an_event_to_read_counts_as_one_where_none_came() -> None:
    cube = city(days=120)
    empty, full = (cube, Split(2880, 0, 24, 24, 24, 2400, 2400, 24)), (cube, split_of(cube))
    assert pooled_kernels([full, empty]).background == pytest.approx(pooled_kernels([full]).background, rel=0.05)


def test_a_week_of_another_city_needs_nothing_but_calibration(tmp_path: Path) -> None:
    shared = kernels()
    shared.save(tmp_path / "kernels.json")
    cube = city(days=14)
    split = Split(14 * 24, 0, 24, 4 * 24, 4 * 24, 7 * 24, 7 * 24, 24)
    kept = parse({"city": "town", "training": {"adapt": "none"}}, "test")
    hawkes = Hawkes(kept, kernels=SharedKernels.open(tmp_path / "kernels.json")).fit(cube, split)
    share = category_share(cube, split.train_end)
    np.testing.assert_array_equal(hawkes.weights, shared.weights(share, HALF_LIFE_HOURS))
    issues = split.issues("test")
    found = hawkes.forecast(cube, issues).intensity
    assert np.isfinite(found).all()
    hawkes.save(tmp_path / "hawkes")
    np.testing.assert_array_equal(Hawkes.load(tmp_path / "hawkes").forecast(cube, issues).intensity, found)


def test_kernels_stand_only_where_the_validation_slice_prefers_them() -> None:
    cube = simulated(200, 1.0, own=0.3, ring=0.2, cross=0.1, half_life=HALF_LIFE_HOURS[0])
    split = cube.split(0.6, 0.2)
    own = Hawkes().fit(cube, split)
    strong = SharedKernels.of(np.r_[0.1, np.full(4 * H, 0.1)], HALF_LIFE_HOURS)
    wrong = Hawkes(kernels=strong).fit(cube, split)
    np.testing.assert_array_equal(wrong.weights, own.weights)
    assert "other cities" not in wrong.remark
    right = pooled_kernels([(cube, replace(split, train_end=split.validation_end))])  # which have seen the slice
    told = Hawkes(kernels=right).fit(cube, split)
    np.testing.assert_array_equal(told.weights, right.weights(category_share(cube, split.train_end), HALF_LIFE_HOURS))
    assert told.remark == "kernels of other cities stand"


def test_kernels_of_another_version_are_refused(tmp_path: Path) -> None:
    whole = kernels().to_dict()
    for other in ({"half_lives_hours": [6.0]}, {"same": None}, {"background": None}):
        write_json(tmp_path / "kernels.json", whole | other)
        with pytest.raises(ArtefactError, match=r"kernels.json: of another version"):
            SharedKernels.open(tmp_path / "kernels.json")


def test_kernels_of_other_steps_are_refused() -> None:
    with pytest.raises(ConfigError, match="same steps"):
        kernels().weights(np.ones(1), (730.0, 2190.0, 8760.0))
    with pytest.raises(ConfigError, match="one unit"):
        pooled_kernels([])
