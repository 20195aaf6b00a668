"""Tree ensembles: the factor on climatology, balanced classes and the way back, and what every adapter must do."""

import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from small_cities import another_future, city, half_late, settings, split_of

from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.builder import FeatureBuilder
from stforecast.features.scaling import Scales, Standard
from stforecast.features.table import BY_DAY
from stforecast.features.tabular import CATEGORY, LOG_RATE, Sample, chance, tabular_rows
from stforecast.features.targets import outcomes
from stforecast.forecasters import resampling
from stforecast.forecasters.registry import BUILT_IN, forecaster_class
from stforecast.forecasters.trees import Trees, zoo
from stforecast.scoring.metrics import levelled_loss, poisson_deviance

TREES = sorted(name for name, where in BUILT_IN.items() if ".zoo:" in where)
BOOSTED = sorted(name for name in TREES if not issubclass(forecaster_class(name), zoo.Forest))
ONE_LEAF: dict[str, Mapping[str, Any]] = {
    "hist_gradient_boosting": {"max_iter": 1, "min_samples_leaf": 10**6},
    "xgboost": {"n_estimators": 60, "learning_rate": 0.5, "gamma": 10**9, "reg_lambda": 0, "subsample": 1},
    "lightgbm": {"n_estimators": 1, "min_child_samples": 10**6},
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trees, "quiet_rows", 20_000)
    for name in TREES:
        kind: Any = forecaster_class(name)
        size = "max_iter" if "max_iter" in kind.settings else "n_estimators"
        monkeypatch.setattr(kind, "settings", {**kind.settings, size: 30})


def tree(name: str, sampling: str = "none", **changed: Any) -> Any:
    forecaster: Any = forecaster_class(name)(settings(trees={"sampling": sampling}))
    forecaster.settings = {**forecaster.settings, **changed}
    return forecaster


def intensity_of(forecaster: Trees, sample: Sample, rows: np.ndarray) -> np.ndarray:
    """λ of rows after a fit to a sample, with as many rounds as help there."""
    return forecaster.intensity_of(rows, forecaster.fit_rows(sample, sample))


def loss(lam: np.ndarray, sample: Sample) -> float:
    """What rounds are compared by."""
    return levelled_loss(lam, sample.counts, sample.weight * sample.share, sample.rows[:, CATEGORY].astype(int))


def rows(log_rate: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Rows of a feature x, of one category."""
    table = np.zeros((len(x), 8), np.float32)
    table[:, LOG_RATE], table[:, -1] = log_rate, x
    return table


def world(cells: int, density: float, seed: int = 0) -> tuple[Sample, np.ndarray, np.ndarray]:
    """A drawn sample of cells whose intensity is λ₀ or 3 λ₀; rows of both kinds, and their true risks."""
    rng = np.random.default_rng(seed)
    kind = rng.random(cells) < 0.3
    log_rate = rng.normal(-3.5, 0.7, cells)
    rate = np.exp(log_rate) * np.where(kind, 3, 1)
    counts = rng.poisson(rate)
    drawn = (counts > 0) | (rng.random(cells) < chance(np.exp(log_rate), density))
    given_rows = rows(log_rate, kind)
    sample = Sample(given_rows[drawn], counts[drawn].astype(np.float32), density)
    return sample, given_rows, -np.expm1(-rate)


@pytest.mark.parametrize("name", ONE_LEAF)
def test_a_single_leaf_is_poisson_regression_with_an_offset(name: str) -> None:
    """The maximum-likelihood level is Σ y / Σ λ₀, each drawn cell counted for those it stands for."""
    sample, every, _ = world(20_000, density=2.0)
    forecaster = tree(name, **ONE_LEAF[name])
    table = forecaster._table(sample, None)
    found = np.exp(every[:, LOG_RATE]) * forecaster.fit_until(forecaster.estimator(False, 0), table, table).predict(
        every
    )
    level = sample.counts.sum() / (sample.rate * sample.weight).sum()
    np.testing.assert_allclose(found, np.exp(every[:, LOG_RATE]) * level, rtol=1e-4)


@given(
    p=st.floats(1e-4, 0.9),
    drawn=st.floats(0.02, 1),
    events=st.integers(10, 10**6),
    quiet=st.integers(10, 10**6),
)
def test_the_odds_of_balanced_classes_lead_back_to_the_risk(p: float, drawn: float, events: int, quiet: int) -> None:
    """A cell of risk p: its quiet copies are drawn at `drawn`, then events weigh quiet / events each."""
    as_event, as_quiet = p * quiet / events, (1 - p) * drawn
    seen = as_event / (as_event + as_quiet)
    if resampling.CERTAIN < seen < 1 - resampling.CERTAIN:
        found = resampling.intensity(np.array([seen]), np.array([events / quiet * drawn]))
        assert -np.expm1(-found[0]) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("sampling", ["none", "under", "smote"])
def test_known_risks_are_recovered(name: str, sampling: str) -> None:
    """Two kinds of cells: whatever balances the classes, the mean risk of each comes out as it is."""
    sample, every, risk = world(60_000, density=3.0)
    forest = issubclass(forecaster_class(name), zoo.Forest)
    few = {"max_samples": 0.5, "max_features": 1.0, "min_samples_leaf": 50} if forest else {"learning_rate": 0.3}
    found = -np.expm1(-intensity_of(tree(name, sampling, **few), sample, every))
    for kind in (0, 1):
        here = every[:, -1] == kind
        assert found[here].mean() == pytest.approx(risk[here].mean(), rel=0.1)


@pytest.mark.parametrize("name", BOOSTED)
@pytest.mark.parametrize("sampling", ["none", "under"])
def test_the_validation_slice_chooses_the_rounds(name: str, sampling: str, tmp_path: Path) -> None:
    """What holds there is kept; where nothing holds, plain climatology is the forecast, saved and opened too."""
    sample, every, _ = world(20_000, density=3.0)
    held_out, _, _ = world(20_000, density=3.0, seed=1)
    few = {"learning_rate": 0.3, "max_features": 1.0, "colsample_bytree": 1.0, "rsm": 1.0}
    few = {key: value for key, value in few.items() if key in forecaster_class(name).settings}  # type: ignore[attr-defined]
    forecaster, opened = tree(name, sampling, **few), tree(name, sampling)
    kept = forecaster.fit_rows(sample, held_out)
    assert 0 < kept.rounds <= 30
    assert loss(forecaster.intensity_of(held_out.rows, kept), held_out) < loss(held_out.rate, held_out)
    held_out.rows[:, -1] = 1 - held_out.rows[:, -1]  # the kinds of cells change places
    none = forecaster.fit_rows(sample, held_out)
    assert (none.rounds, none.saved) == (0, b"")
    np.testing.assert_allclose(forecaster.intensity_of(every, none) / np.exp(every[:, LOG_RATE]), none.model, rtol=1e-5)
    forecaster.fits, forecaster.scales = [kept, none], Scales(0.1, Standard([], [], []), Standard([], [], []), 9)
    assert forecaster.remark.startswith(f"{kept.rounds}, 0 rounds by the validation slice; where 0, climatology")
    forecaster.save_fit(tmp_path)
    opened.load_fit(tmp_path)
    assert opened.fits[0].rounds == kept.rounds
    assert opened.fingerprint() == forecaster.fingerprint()


@given(level=st.floats(0.1, 10))
def test_rounds_are_compared_at_the_best_level_of_each_category(level: float) -> None:
    sample, _, _ = world(2_000, density=2.0)
    sample.rows[:, CATEGORY] = np.arange(len(sample.rows)) % 2
    other = sample.rate * np.where(sample.rows[:, CATEGORY] == 1, level, 1)
    assert loss(other, sample) == pytest.approx(loss(sample.rate, sample), rel=1e-6)
    assert loss(sample.rate**2, sample) > loss(sample.rate, sample) + 1


def test_reports_that_are_still_to_come_do_not_make_validation_days_quiet() -> None:
    cube = half_late(city(days=120, rate=3.0), 100)
    forecaster, split = tree("lightgbm"), split_of(cube)
    forecaster.scales = Scales.of(cube, split.train_end)
    found = forecaster.held_out(forecaster.rows(cube, split))
    here = (cube.hour >= split.validation_start) & (cube.hour < split.validation_end)
    assert found.counts.sum() == cube.weight[here & (cube.known_hour < split.validation_end)].sum()
    assert found.share.min() == pytest.approx(0.5, abs=0.05)
    assert (found.rate * found.weight * found.share).sum() == pytest.approx(found.counts.sum(), rel=0.1)


@pytest.mark.parametrize("how", ["under", "smote"])
def test_resampling_balances_and_keeps_categories_apart(how: Any) -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(4000, 9)).astype(np.float32)
    event = np.arange(4000) < 301
    table[:, CATEGORY] = np.where(event, rng.integers(0, 2, 4000), rng.integers(0, 3, 4000))
    table[event, 0] += 10 * table[event, CATEGORY]  # events of two categories lie apart
    table[0, CATEGORY], table[0, 0] = 2, 50  # and one has a single event
    found, label = resampling.balance(table, event, how, seed=1)
    assert label.sum() * 2 == label.size
    assert set(np.unique(found[label, CATEGORY])) <= {0, 1, 2}
    if how == "smote":
        assert label.sum() == (~event).sum()
        np.testing.assert_array_equal(found[:4000], table)
        made = found[4000:]
        single = made[:, CATEGORY] == 2
        np.testing.assert_array_equal(made[single], np.repeat(table[:1], single.sum(), 0))
        for category in (0, 1):  # between neighbours of the category: within its bounds
            own, of_it = table[event & (table[:, CATEGORY] == category)], made[made[:, CATEGORY] == category]
            assert (of_it >= own.min(0) - 1e-4).all()
            assert (of_it <= own.max(0) + 1e-4).all()
            assert len(of_it) / len(made) == pytest.approx(len(own) / 301, abs=0.01)
    else:
        assert {row.tobytes() for row in found} <= {row.tobytes() for row in table}
    again, _ = resampling.balance(table, event, how, seed=1)
    np.testing.assert_array_equal(found, again)


def test_more_events_than_quiet_rows_are_balanced_too() -> None:
    table = np.random.default_rng(0).normal(size=(100, 7)).astype(np.float32)
    table[:, CATEGORY] = 0
    found, label = resampling.balance(table, np.arange(100) < 80, "smote", seed=0)
    assert (len(found), label.sum()) == (160, 80)


@pytest.fixture(scope="module")
def busy() -> Cube:
    """A city with a strong rhythm over the day."""
    return city(days=120, rate=2.0)


def test_the_drawn_rows_stand_for_all(busy: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trees, "quiet_rows", 10**9)
    forecaster, split, drawn = tree("lightgbm"), split_of(busy), {}
    forecaster.scales = Scales.of(busy, split.train_end)
    for density in (2.0, 1e9):
        monkeypatch.setattr(Trees, "quiet_per_event", density)
        drawn[density] = forecaster.rows(busy, split).training(seed=0)
    thin, every = drawn.values()
    assert thin.event.sum() == every.event.sum() > 0
    assert (every.weight == 1).all()
    assert len(thin.rows) < len(every.rows) / 5
    assert (thin.rate * thin.weight).sum() == pytest.approx((every.rate * every.weight).sum(), rel=0.03)


def test_days_that_are_still_reported_are_not_learned_from() -> None:
    cube = half_late(city(days=40), 100)
    forecaster, split = tree("lightgbm"), split_of(cube)
    end = split.train_end
    forecaster.scales = Scales.of(cube, end)
    days = (cube.hour >= end // 3 // 24 * 24) & (cube.hour < end - 5 * 24) & (cube.known_hour < end)
    assert forecaster.rows(cube, split).training(0).counts.sum() == cube.weight[days].sum()


def test_rows_by_hand() -> None:
    """Columns about the day before the issue, at five in the morning, of a target that is `lead` hours ahead."""
    cube, phase, category = city(days=30, rate=3.0, weather=True), 5, 1
    builder = FeatureBuilder(cube, Scales.of(cube, 20 * 24), 24)
    batch = builder.step(builder.init_state(phase), 25)
    hexagon = int(np.bincount(cube.hexagon).argmax())
    issue, weather = batch.issues[-1], cube.weather.values[:, 0]
    series, again = weather[issue - 24 : issue], batch.seasonal.shape[1]
    recent = -again - 2 * 2 * len(BY_DAY.recent_hours)
    for lead in (0, 9, 23):
        at = tuple(torch.tensor([place]) for place in (24, lead, hexagon, category))
        row = tabular_rows(builder, batch, at)[0].numpy()
        here = (cube.hexagon == hexagon) & (cube.hour >= phase) & (cube.hour < issue)
        own = here & (cube.category == category)
        slot = int(builder.events.slot_of_day[builder.events.at(torch.tensor(issue + lead))])
        assert row[2:5].tolist() == [lead, category, slot]
        fades = np.log(2) / np.array(BY_DAY.recent_hours)
        age = issue + lead - cube.hour[own]
        expected = (cube.weight[own] * fades[:, None] * np.exp(-fades[:, None] * age)).sum(1)
        np.testing.assert_allclose(row[recent:][: len(fades)], expected, rtol=1e-4)
        scaled = (series - np.nanmean(weather[: 20 * 24])) / np.nanstd(weather[: 20 * 24])
        expected = [np.nansum(scaled) / 24, np.isfinite(series).mean()]
        np.testing.assert_allclose(row[recent - 2 : recent], expected, rtol=1e-4)


@pytest.mark.parametrize("name", TREES)
def test_every_adapter_beats_the_hexagon_mean(name: str, busy: Cube) -> None:
    split = split_of(busy)
    counts = outcomes(busy, split, "test")

    def deviance(which: str) -> float:
        forecaster = forecaster_class(which)(settings()).fit(busy, split)
        assert ("rounds by the validation slice" in forecaster.fitted.remark) == (which in BOOSTED)
        return poisson_deviance(forecaster.forecast(busy, split.issues("test")).intensity, counts)

    assert deviance(name) < 0.98 * deviance("hexagon_mean")


@pytest.mark.parametrize("sampling", ["under", "smote"])
def test_resampling_sees_no_test_slice_and_is_repeatable(sampling: str, tmp_path: Any) -> None:
    cube = city(days=80, late=True, weather=True)
    split = split_of(cube)
    t0 = np.array([split.validation_end])
    changed = another_future(cube, split.validation_end, late=False)
    found = [tree("lightgbm", sampling) for _ in range(3)]
    for forecaster, one in zip(found, (cube, cube, changed), strict=True):
        forecaster.learn(one, split)
    np.testing.assert_array_equal(found[0].raw(cube, t0), found[1].raw(cube, t0))
    np.testing.assert_array_equal(found[0].raw(cube, t0), found[2].raw(cube, t0))
    found[0].save_fit(tmp_path)
    opened = zoo.LightGBM(settings())
    opened.load_fit(tmp_path)  # whatever the configuration says now
    np.testing.assert_array_equal(found[0].raw(cube, t0), opened.raw(cube, t0))


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("count", [0, 2])
def test_without_both_classes_it_is_climatology(name: str, count: int) -> None:
    """Nothing ever happened, or something everywhere: no class to tell from the other."""
    log_rate = np.linspace(-4, -1, 300)
    sample = Sample(rows(log_rate, np.zeros(300)), np.full(300, count, np.float32), 1e9)
    found = intensity_of(tree(name, "smote"), sample, sample.rows)
    np.testing.assert_allclose(found, np.maximum(count * sample.rate * 300 / sample.rate.sum(), 1e-7), rtol=1e-4)


def test_a_level_is_saved_too(tmp_path: Path) -> None:
    (one, other, opened), none = (tree("lightgbm", "smote") for _ in range(3)), Standard([], [], [])
    for forecaster, count in ((one, 0), (other, 2)):
        sample = Sample(rows(np.full(9, -2.0), np.zeros(9)), np.full(9, count, np.float32), 1e9)
        forecaster.fits, forecaster.scales = [forecaster.fit_rows(sample, sample)], Scales(0.1, none, none, 9)
    other.save_fit(tmp_path)
    opened.load_fit(tmp_path)
    assert opened.fingerprint() == other.fingerprint() != one.fingerprint()
    np.testing.assert_array_equal(
        opened.intensity_of(sample.rows, opened.fits[0]), other.intensity_of(sample.rows, other.fits[0])
    )


def test_a_model_of_other_columns_says_so(busy: Cube, tmp_path: Path) -> None:
    fitted = tree("hist_gradient_boosting")
    fitted.learn(busy, split_of(busy))
    fitted.fits[0].columns -= 1
    with pytest.raises(ArtefactError, match=r"hist_gradient_boosting: was fitted to \d+ columns.*train --fresh"):
        fitted.raw(busy, np.array([busy.steps]))
    fitted.save_fit(tmp_path)
    with pytest.raises(ArtefactError, match=r"seed-0\.skops: cannot be opened \(X has .*train --fresh"):
        type(fitted)(fitted.config).load_fit(tmp_path)
    fitted.fits[0].columns = 10**10
    fitted.save_fit(tmp_path)
    with pytest.raises(ArtefactError, match="claims to read 10,000,000,000 columns"):
        type(fitted)(fitted.config).load_fit(tmp_path)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("sampling", ["none", "smote"])
def test_a_saved_fit_is_the_same_to_the_last_bit(name: str, sampling: str, tmp_path: Path) -> None:
    """As the file gives it, as the library fitted it, and as another equal fit is saved."""
    sample, every, _ = world(20_000, density=3.0)
    fitted, models = tree(name, sampling), list[Any]()
    pack, none = fitted.pack, Standard([], [], [])
    fitted.pack = lambda model, *rounds: models.append(model) or pack(model, *rounds)
    fitted.fits, fitted.scales = [fitted.fit_rows(sample, sample)], Scales(0.1, none, none, 20_000)
    fitted.save_fit(tmp_path)
    opened = type(fitted)(settings())
    opened.load_fit(tmp_path)
    assert opened.fingerprint() == fitted.fingerprint()
    one, other = fitted.fits[0], opened.fits[0]
    found, expected = opened.intensity_of(every, other), fitted.intensity_of(every, one)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 1000
    raw = models[0].predict(every) if one.odds is None else models[0].predict_proba(every)[:, 1]
    np.testing.assert_array_equal(opened.predicted(every, other), raw)
    again = tree(name, sampling).fit_rows(sample, sample)
    assert again.saved == one.saved


@pytest.mark.parametrize("name", ["hist_gradient_boosting", "balanced_random_forest"])
def test_a_file_of_another_estimator_is_refused(name: str) -> None:
    for other in (LinearRegression(), [1, 2]):
        with pytest.raises(ValueError, match=rf"holds a {type(other).__name__}, not a "):
            tree(name).unpack(skops.io.dumps(other), classes=True)
    bomb = zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED)
    with bomb:
        bomb.writestr("schema.json", bytes(10**7))
    with pytest.raises(ValueError, match="claim to hold 10,000,000"):
        tree(name).unpack(buffer.getvalue(), classes=True)


@pytest.mark.parametrize(("name", "library"), [("lightgbm", "lightgbm"), ("balanced_random_forest", "imblearn")])
def test_an_absent_library_is_named(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"{name}: {library} .*pip install 'stforecast\[trees\]'"):
        forecaster_class(name)(settings())


def test_smote_needs_its_library_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imblearn", None)
    zoo.LightGBM(settings())
    with pytest.raises(ConfigError, match="imblearn is not installed"):
        zoo.LightGBM(settings(trees={"sampling": "smote"}))
