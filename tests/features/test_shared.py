"""What cities share: read by any step, giving way to a city's own record, and telling nothing that is not known."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_cities import another_future, city, split_of

from stforecast.config.sections import KINDS
from stforecast.cube import Cube
from stforecast.features.builder import FeatureBuilder
from stforecast.features.climatology import Climatology
from stforecast.features.scaling import Scales
from stforecast.features.shared import SharedRhythms, shrunken_rates
from stforecast.features.stream import EventStream
from stforecast.forecasters.climatology import RollingClimatology

K = len(KINDS)
KNOWN = np.eye(K, dtype=np.float32)[[0, 5]]


def shared(seed: int = 0, worth: float = 500.0) -> SharedRhythms:
    rng = np.random.default_rng(seed)
    profiles, rhythms = rng.gamma(5, 0.2, (K + 1, 168)), rng.gamma(5, 0.2, (3, 168))
    profiles /= profiles.mean(1, keepdims=True)
    same = np.full(K + 1, 2.0).tolist()
    return SharedRhythms(
        profiles.tolist(), np.full(K + 1, worth).tolist(), same, [3.0, 4.0], rhythms.tolist(), [0.5, 0.3, 0.2]
    )


def test_they_come_back_or_not_at_all(tmp_path: Path) -> None:
    one = shared()
    one.save(tmp_path / "shared.json")
    assert SharedRhythms.open(tmp_path / "shared.json") == one
    scales = Scales.of(city(days=10), 240, one)
    assert Scales.from_dict(asdict(scales)) == scales
    for name, wrong in (("own", [1.0]), ("around", [0.0, 1.0]), ("worth", [np.nan] * (K + 1)), ("shares", ["a"])):
        with pytest.raises(ValueError, match=r"shared rhythms|could not convert"):
            SharedRhythms.from_dict({**asdict(one), name: wrong})


@pytest.mark.parametrize(("unit", "hours", "slots"), [("hour", 1, 168), ("hour", 3, 56), ("day", 24, 7)])
def test_longer_steps_read_the_hours_added_up(unit: str, hours: int, slots: int) -> None:
    cube = Cube.from_dense(np.ones((20, 2, 2)), edge_index=[[0, 1], [1, 0]], step_hours=hours, step_unit=unit)
    found, profiles = shared().prior(replace(cube, kinds=KNOWN)), np.array(shared().profiles)
    assert found is not None
    np.testing.assert_allclose(found.profile, profiles[[0, 5]].reshape(2, slots, -1).mean(2), rtol=1e-6)
    unknown = shared().prior(cube)
    assert unknown is not None
    np.testing.assert_allclose(unknown.profile, profiles[[K, K]].reshape(2, slots, -1).mean(2), rtol=1e-6)


def test_months_know_none() -> None:
    cube = Cube.from_dense(np.ones((30, 2)), edge_index=[[0, 1], [1, 0]], step_unit="month", horizons=1)
    assert shared().prior(cube) is None
    told, plain = (Climatology(EventStream(cube, 1)).learned_state(20, 0, one) for one in (shared(), None))
    assert told.keys() == plain.keys()


def test_a_category_alone_has_the_mean_of_a_gamma_law() -> None:
    events, days = torch.tensor([[0.0, 5.0, 1.0]], dtype=torch.float64), torch.tensor([10.0], dtype=torch.float64)
    prior, alone = torch.tensor([[2.0, 3.0, 4.0]], dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    city = (2 + 1e-5) / 10.01
    found = shrunken_rates(events, days, prior, torch.zeros_like, alone)
    torch.testing.assert_close(found, city * (events + 2) / (city * 10 + 2))


def test_without_a_record_the_week_is_that_of_the_kind_and_with_a_long_one_the_citys_own() -> None:
    cube = replace(city(days=300, rate=3.0), kinds=KNOWN)
    profile = torch.tensor(shared().profiles)[[0, 5]]
    for days, low, high in ((1, 0.9, 1.0), (298, 0.0, 0.4)):
        climatology = Climatology(EventStream(cube, 24))
        one = replace(shared(worth=2000.0), rhythms=np.ones((3, 168)).tolist())
        state = climatology.learned_state(days * 24, 0, one)
        climatology.step(state, 24, days)
        week = state["profile"].view(cube.c, 168, cube.n).mean(2)
        for c in range(2):
            assert low <= float(torch.corrcoef(torch.stack([week[c], profile[c]]))[0, 1]) <= high


def test_nothing_that_comes_later_is_read() -> None:
    cube = replace(city(days=60, late=True, weather=True), kinds=KNOWN)
    t0 = 45 * 24
    model = RollingClimatology(ends=(40 * 24,), shared=shared())
    other = another_future(cube, t0, late=True)
    np.testing.assert_array_equal(model.raw(cube, np.array([t0])), model.raw(other, np.array([t0])))


def test_a_climatology_that_starts_from_them_is_opened_with_them(tmp_path: Path) -> None:
    cube = replace(city(days=60), kinds=KNOWN)
    split = split_of(cube)
    model, plain = (RollingClimatology(shared=one).fit(cube, split) for one in (shared(), None))
    model.save(tmp_path / "told")
    plain.save(tmp_path / "plain")
    issues = split.issues("test")
    told = model.forecast(cube, issues).intensity
    np.testing.assert_array_equal(RollingClimatology.load(tmp_path / "told").forecast(cube, issues).intensity, told)
    alone = RollingClimatology.load(tmp_path / "plain")
    assert alone.shared is None
    assert alone.fingerprint() == plain.fingerprint() != model.fingerprint()
    assert not np.array_equal(alone.forecast(cube, issues).intensity, told)


def test_network_and_trees_read_them_in_their_offset() -> None:
    cube = replace(city(days=30), kinds=KNOWN)
    rates = []
    for one in (None, shared()):
        builder = FeatureBuilder(cube, Scales.of(cube, 20 * 24, one), 24)
        rates.append(builder.step(builder.init_state(0), 20).log_rate)
    assert not torch.allclose(*rates)
    assert rates[1].isfinite().all()
