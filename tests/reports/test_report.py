"""The report on a run: a small city from the publisher's file to the page, and the parts that have a known truth."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from report_pages import check_page
from sklearn.metrics import auc as area_under
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from stforecast.config import load
from stforecast.cube.covariates import Covariate
from stforecast.delivery.small_counts import hides_each
from stforecast.errors import ArtefactError
from stforecast.events.schema import COLUMNS, EventTable
from stforecast.features.builder import clone_state
from stforecast.features.table import BY_DAY
from stforecast.files import read_json, write_json
from stforecast.forecasters.streaming import LearnedForecaster
from stforecast.pipeline.pages import evaluated, report
from stforecast.pipeline.stages import Stages
from stforecast.reports import card, comparison, importance, issues, quality
from stforecast.reports.accuracy import deviance_terms, ranking_curves
from stforecast.reports.evaluated import with_large_districts
from stforecast.reports.page import Page, Picture, Section, Table, Text, words, write_page
from stforecast.scoring.calibration import Calibration
from stforecast.scoring.metrics import poisson_deviance
from stforecast.scoring.ranking import rank

SMALL = (
    *("synthetic.hexagons=19", "synthetic.days=100", "training.max_epochs=1", "training.warm_up_days=20"),
    *("training.truncation=7", "model.hidden=8", "training.device=cpu"),
    "evaluation.forecasters=[gcrn, rolling_climatology, hist_gradient_boosting]",
)


def stages_at(root: Path, *more: str) -> Stages:
    return Stages(load("quickstart", [f"root={root}", *SMALL, *more]), lambda line: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """A small city, trained and evaluated. Not to be changed."""
    stages = stages_at(tmp_path_factory.mktemp("city"))
    stages.ingest()
    stages.build()
    stages.train()
    stages.evaluate()
    return stages


@pytest.fixture(scope="module")
def page(finished: Stages) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importance, "MOST_ISSUES", 3)
        patch.setattr(importance, "REPEATS", 1)
        yield report(finished)


def test_the_report_needs_nothing_from_outside_and_describes_every_figure(page: Path) -> None:
    check_page(page)
    names = {path.stem for path in page.parent.glob("*.png")}
    assert {
        "curves",
        "differences",
        "lag",
        "errors_by_hour",
        "issue_typical",
        "issue_busy",
        "issue_worst",
    } <= names
    said = r"without it, its deviance of \S+ × 10⁻³ rises by \S+ × 10⁻³; next come the .+ with \S+ × 10⁻³\."
    assert re.search(said, page.read_text())


def test_predictions_are_made_once_and_again_after_another_fit(finished: Stages, page: Path) -> None:
    run = finished.run()
    files = sorted((run.folder / "predictions").rglob("*.npy"))
    assert len(files) == 3
    found = evaluated(finished)
    cube, split = found.cube, found.split
    again = run.open("rolling_climatology", finished.config).forecast(cube, split.issues("test")).intensity
    assert np.array_equal(found.intensity["rolling_climatology"], again)
    before = [path.stat().st_mtime_ns for path in files]
    evaluated(finished)
    assert [path.stat().st_mtime_ns for path in files] == before
    card = read_json(run.folder / "scorecard.json")
    run.forget("rolling_climatology")  # as before it is fitted anew
    write_json(run.folder / "scorecard.json", card)
    evaluated(finished)
    changed = [
        path.parent.parent.name for path, time in zip(files, before, strict=True) if path.stat().st_mtime_ns != time
    ]
    assert changed == ["rolling_climatology"]


def test_without_a_run_or_a_scorecard_the_report_says_what_to_run(finished: Stages, tmp_path: Path) -> None:
    shutil.copytree(finished.config.root, tmp_path / "home")
    stages = stages_at(tmp_path / "home")
    (stages.run().folder / "scorecard.json").unlink()
    with pytest.raises(ArtefactError, match=r"not evaluated by this version\. Run `stforecast evaluate`"):
        report(stages)
    (stages.run().folder / "run.json").unlink()
    with pytest.raises(ArtefactError, match="Run `stforecast train`"):
        report(stages)
    with pytest.raises(ArtefactError, match="Run `stforecast build`"):
        report(stages_at(tmp_path / "nowhere"))


def test_the_errors_by_category_add_up_to_the_scorecard(finished: Stages, page: Path) -> None:
    frame = pd.read_csv(page.parent / "errors_by_category.csv")
    entry = evaluated(finished).card["forecasters"]["gcrn"]
    assert frame["reported"].sum() == evaluated(finished).card["events"]
    assert frame["deviance × 10³"].mean() == pytest.approx(1e3 * entry["poisson_deviance"], rel=1e-4)
    assert frame["expected"].sum() / frame["reported"].sum() == pytest.approx(entry["bias"], rel=1e-5)
    hours = pd.read_csv(page.parent / "errors_by_hour.csv")
    assert hours["reported"].sum() == frame["reported"].sum()


def difference(low: float, high: float) -> dict[str, dict[str, float]]:
    return {
        "poisson_deviance": {"low": low, "estimate": (low + high) / 2, "high": high},
        "average_precision": {"low": -high, "estimate": -(low + high) / 2, "high": -low},
    }


def run_of(**gaps: tuple[float, float]) -> Any:
    """As much of a run as the comparison in words needs: the network minus each, by deviance."""
    return SimpleNamespace(
        intensity=dict.fromkeys(["gcrn", *gaps]),
        leader="gcrn",
        card={"differences": {f"gcrn - {name}": difference(*gap) for name, gap in gaps.items()}},
    )


def test_the_verdict_claims_a_win_only_where_every_interval_is_clear_of_zero() -> None:
    ahead, level, behind = (-3.0, -1.0), (-1.0, 1.0), (1.0, 3.0)
    assert comparison.verdict(run_of(rolling_climatology=ahead, last_week=ahead)).startswith("The network beats")
    said = comparison.verdict(run_of(rolling_climatology=level, last_week=ahead, hist_gradient_boosting=behind))
    assert "does not beat the simple baselines" in said
    assert "better than counts of the last week or month; it cannot be told apart from rolling climatology" in said
    assert "does not beat the tree ensembles" in said
    assert "it is worse than histogram gradient boosting" in said
    assert "holds none of the tree ensembles" in comparison.verdict(run_of(last_week=ahead))
    assert "not among the forecasters" in comparison.verdict(SimpleNamespace(intensity={"kernel": None}))  # type: ignore[arg-type]


def test_the_sentences_turn_round_where_more_is_better() -> None:
    (said,) = comparison.sentences("gcrn", {"last_week": difference(-3.0, -1.0)})
    assert said == "Network against counts of the last week or month: better in deviance and average precision."
    (said,) = comparison.sentences("gcrn", {"last_week": difference(1.0, 3.0)})
    assert "worse in deviance and average precision" in said
    (said,) = comparison.sentences("gcrn", {"last_week": difference(-1.0, 1.0)})
    assert said == "Network against counts of the last week or month: no clear difference."


def test_a_difference_without_bounds_is_neither_ahead_nor_behind() -> None:
    for low, high in ((None, None), (None, 1.0)):
        assert comparison.side("poisson_deviance", {"low": low, "estimate": -1.0, "high": high}) == "level"


def test_the_report_opens_with_what_presence_would_have_covered(finished: Stages) -> None:
    run = evaluated(finished)
    first, second, table, *_ = comparison.blocks(run)
    rate, hexagons = run.card["forecasters"][run.leader]["hit_rate_5"], run.card["hexagons"]
    assert first.words.startswith(f"Presence in the 5 % of hexagons ({round(0.05 * hexagons)} of {hexagons}) that ")
    assert f"would have covered {rate:.1%} of the reports" in first.words
    assert "deviance" not in first.words
    assert "deviance" in second.words or "No difference" in second.words
    assert list(table.frame)[:2] == ["forecaster", "hit rate 5 %"]


@pytest.mark.parametrize("count", [5, 20, 60])
def test_no_verdict_rests_on_one_block(finished: Stages, count: int) -> None:
    found = evaluated(finished)
    short = replace(
        found,
        counts=np.resize(found.counts, (count, *found.counts.shape[1:])),
        card=found.card | {"differences": {f"gcrn - {n}": difference(-3.0, -1.0) for n in found.intensity}},
    )
    blocks = comparison.blocks(short)
    said = " ".join(block.words for block in blocks if isinstance(block, Text))
    assert ("The test days are one week: no interval." in said) == (count == 5)
    assert ("beats" in said) == ("A difference is clear" in said) == (count > 7)
    assert ("Read it with care: 95 % intervals from 3 weeks, too few to be trusted" in said) == (count == 20)
    assert ("95 % intervals from 9 weeks" in said) == (count == 60)


def test_a_scorecard_without_blocks_is_to_be_made_again(finished: Stages, tmp_path: Path) -> None:
    shutil.copytree(finished.config.root, tmp_path / "home")
    stages = stages_at(tmp_path / "home")
    path = stages.run().folder / "scorecard.json"
    card = read_json(path)
    write_json(path, {key: value for key, value in card.items() if key != "blocks"})
    with pytest.raises(ArtefactError, match="Run `stforecast evaluate`"):
        report(stages)
    assert stages.evaluate().values["blocks"] == card["blocks"]


def test_reported_is_divided_by_expected_in_every_table(finished: Stages, page: Path) -> None:
    entries = evaluated(finished).card["forecasters"]
    table = pd.read_csv(page.parent / "forecasters.csv").set_index("forecaster")
    for name, entry in entries.items():
        assert table.loc[words(name), "reported ÷ expected"] == pytest.approx(1 / entry["bias"])
    errors = pd.read_csv(page.parent / "errors_by_category.csv")
    np.testing.assert_allclose(errors["reported ÷ expected"], errors["reported"] / errors["expected"])
    assert errors["weeks"].unique().tolist() == [evaluated(finished).blocks.count]
    text = page.read_text()
    assert f"reported ÷ expected is {1 / entries['gcrn']['bias']:.3f}" in text
    assert not re.search("expected over reported|reported over expected|expected for each", text, re.IGNORECASE)


def test_ranking_curves_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    score = rng.gamma(1, 1, 20_000).astype(np.float32)
    event = rng.random(20_000) < 0.1 * score / score.mean()
    (false, hits), (batch, precision) = ranking_curves(rank(score, event))
    assert area_under(false, hits) == pytest.approx(roc_auc_score(event, score), abs=2e-3)
    reference, at, _ = precision_recall_curve(event, score)
    for r, p in zip(batch[::40], precision[::40], strict=True):
        assert p == pytest.approx(reference[np.isclose(at, r)].max())
    assert np.trapezoid(precision, batch) == pytest.approx(average_precision_score(event, score), abs=0.01)


def test_deviance_terms_have_the_mean_of_the_metric() -> None:
    rng = np.random.default_rng(1)
    lam = rng.gamma(1, 0.3, (3, 4, 5, 2)).astype(np.float32)
    y = rng.poisson(lam)
    assert deviance_terms(lam, y).mean() == pytest.approx(poisson_deviance(lam, y), rel=1e-5)


def test_the_deviance_to_be_expected_is_that_of_many_draws() -> None:
    rng = np.random.default_rng(2)
    lam = np.array([0.05, 0.4, 2.0, 9.0])
    drawn = rng.poisson(lam, (200_000, 4))
    found = deviance_terms(np.broadcast_to(lam, drawn.shape).astype(np.float32), drawn).mean(0)
    assert issues.expected_deviance(lam) == pytest.approx(found, rel=0.02)


def test_the_badly_forecast_day_is_the_planted_one_and_not_merely_the_busy_one() -> None:
    rng = np.random.default_rng(3)
    lam = np.full((30, 60), 0.5)
    lam[7] *= 4  # busy, and foreseen
    y = rng.poisson(lam)
    y[19] = rng.permutation(np.repeat([5, 0], [6, 54]))  # as many as usual, in places no one expected
    chosen = issues.choose(lam, y)
    assert chosen["busy"] == 7
    assert chosen["worst"] == 19
    assert chosen["typical"] not in (7, 19)


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (0, ["fewer than 5", "5 and more"]),
        (12, ["fewer than 5", "5 to 9", "10 and more"]),
        (40, ["fewer than 5", "5 to 9", "10 to 19", "20 and more"]),
        (140, ["fewer than 5", "5 to 9", "10 to 19", "20 to 49", "50 to 99", "100 and more"]),
    ],
)
def test_counts_have_classes_of_whole_numbers(most: int, labels: list[str]) -> None:
    bounds = issues.count_bounds(np.array([[0, most]]), 5)
    assert issues.count_labels(bounds) == labels
    assert np.searchsorted(bounds, [0, 1, 4, 5], side="right").tolist() == [0, 0, 0, 1]
    assert issues.count_labels(issues.count_bounds(np.array([2]), 1)) == ["0", "1", "2 and more"]


def test_days_show_no_small_count_and_no_sexual_offence(finished: Stages, page: Path) -> None:
    run = evaluated(finished)
    first, *rest = run.cube.categories
    about, *found, _ = issues.blocks(run, {first}, 5)
    assert isinstance(about, Text)
    assert f"({' and '.join(rest)})" in about.words
    came = run.counts[..., 1:].sum((1, 3))
    for block in found:
        assert isinstance(block, Picture)
        (number,) = re.findall(r" ([\d,]+) came", block.alt) or [None]
        hidden = [*came[came.sum(1) == int(number.replace(",", ""))]] if number else []
        assert not number or any(hides_each(counts, 5) for counts in hidden)
    assert issues.blocks(run, {*run.cube.categories}, 5) == [
        Text("All categories are of sexual offences, of which no count of a hexagon is shown.")
    ]
    assert "no past count of a hexagon in 24 hours below 5, and none of sexual offences" in page.read_text()


def test_districts_of_few_reports_are_not_named() -> None:
    hexagons = pd.DataFrame({"district": ["1", "1", "2", None], "area_km2": 1.0})
    found = with_large_districts(hexagons, np.array([2, 3, 4, 9]), 5)["district"]
    assert found.fillna("").tolist() == ["1", "1", "", ""]
    assert with_large_districts(hexagons[["area_km2"]], np.array([2, 3, 4, 9]), 5)["district"].isna().all()


def test_exposure_counts_flags_by_district_and_covariates() -> None:
    hexagons = pd.DataFrame(
        {"district": ["1", "1", "2", None], "area_km2": [1.0, 1.0, 2.0, 4.0], "population": [10.0, 20.0, 30.0, 40.0]}
    )
    flagged = card.flags(np.array([[3.0, 1, 2, 0], [1, 0, 2, 0], [5, 0, 0, 0], [4, 1, 1, 1]]))
    assert flagged.sum(1).tolist() == [1, 1, 1, 1]
    frame = card.exposure(hexagons, flagged, np.array([6.0, 2, 1, 1])).set_index("district")
    assert frame["share of flags"].to_dict() == {"1": 0.75, "2": 0.25, card.WITHOUT: 0.0}
    assert frame["share of reports"].to_dict() == {"1": 0.8, "2": 0.1, card.WITHOUT: 0.1}
    assert frame.loc["1", "flags ÷ area"] == pytest.approx(0.75 / 0.25)
    assert frame.loc["2", "share of population"] == pytest.approx(0.3)
    found = card.covariates(hexagons, flagged.mean(0)).set_index("column")
    assert found.loc["population"].tolist() == pytest.approx([25.0, 0.75 * 10 + 0.25 * 30])


def test_the_lag_curve_is_the_share_reported_by_each_age() -> None:
    occurred = pd.date_range("2024-01-01", periods=400, freq="12h", tz="UTC").as_unit("us")
    delay = pd.to_timedelta(np.tile([0, 5, 30, 200], 100), unit="h")
    places = {"latitude": 39.7, "longitude": -105.0, "offence": "theft", "category": "theft"}
    texts = {"event_id": [str(i) for i in range(400)], "incident_id": None, "area": None, "district": None}
    frame = pd.DataFrame({"occurred_at": occurred, "reported_at": occurred + delay, **texts, **places})
    frame["occurred_until"] = pd.Series(pd.NaT, frame.index, dtype=frame["occurred_at"].dtype)
    frame["arrest"] = pd.Series(pd.NA, frame.index, dtype="boolean")
    frame = frame[list(COLUMNS)]
    events = EventTable(frame, {"categories": ["theft"]})
    hours, share = quality.lag_curves(events)["all"]
    for age, expected in ((1, 0.25), (6, 0.5), (48, 0.75), (250, 1.0)):
        assert np.interp(age, hours, share) == pytest.approx(expected, abs=0.01)
    at_once = EventTable(frame.assign(reported_at=frame["occurred_at"]), events.meta)
    assert quality.lag_curves(at_once) == {}


def test_text_of_a_publisher_is_neither_markup_nor_a_formula(tmp_path: Path) -> None:
    frame = pd.DataFrame({"district": ["<b>x</b>", "=1+1"], "share of flags": [0.5, np.nan]})
    table = Table("exposure", frame)
    path = write_page(Page("p", "Title", {}, [Section("s", "S", [Text("5 % of 1 < 2"), table])]), tmp_path / "page")
    text = path.read_text()
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "50.0\u00a0%" in text
    assert "–" in text
    assert pd.read_csv(tmp_path / "page" / "exposure.csv")["district"].tolist() == ["<b>x</b>", "'=1+1"]


# importance


def learned(stages: Stages, name: str = "hist_gradient_boosting") -> LearnedForecaster:
    model = stages.run().open(name, stages.config)
    assert isinstance(model, LearnedForecaster)
    return model


@pytest.mark.parametrize("name", ["gcrn", "hist_gradient_boosting"])
def test_shuffles_change_a_forecast_and_nothing_else(finished: Stages, page: Path, name: str) -> None:
    found = evaluated(finished)
    model, rng = learned(finished, name), np.random.default_rng(0)
    builder = model.reader(found.cube)
    state = model.init_state(builder, int(found.issues[0]) % builder.patch)
    model.step(builder, state, (int(found.issues[0]) - int(state["next_issue"])) // builder.patch, ())
    batch = builder.step(clone_state(state), 1)
    before = model.forecast_features(builder, state, batch)
    for shuffle in importance.groups(found.cube, found.issues).values():
        covariates, shuffled = shuffle(builder.covariates, batch, rng)
        assert not np.array_equal(model.forecast_features(builder, state, shuffled, covariates), before)
    assert np.array_equal(model.forecast_features(builder, state, batch), before)
    own, kept = model.fitted.calibration.apply(before), np.asarray(found.intensity[name][0])
    assert Calibration.between(own, kept).apply(own) == pytest.approx(kept, rel=0.02)


def test_a_group_that_a_forecaster_does_not_read_loses_nothing(finished: Stages, page: Path) -> None:
    found, trees = evaluated(finished), learned(finished)

    class Climatology(type(trees)):  # type: ignore[misc]
        """Reads the slow climatology alone."""

        def forecast_features(self, reader: Any, state: Any, batch: Any, covariates: Any = None) -> np.ndarray:
            return batch.log_rate[0].permute(1, 2, 0).exp().numpy()

    model = Climatology(finished.config)
    model.scales = trees.scales
    lost = importance.importance(found, "rolling_climatology", model.uncalibrated(found.cube))
    assert lost.pop("average of past weeks (climatology)").low > 0.5
    assert {gain.estimate for gain in lost.values()} == {0.0}


def test_each_covariate_is_a_group_whatever_its_name(finished: Stages) -> None:
    cube = finished.cube()
    cube = replace(cube, covariates=(Covariate.static("weather", np.arange(float(cube.n))),))
    groups = importance.groups(cube, np.array([0, 24]))
    assert groups.keys() == importance.groups(replace(cube, covariates=()), np.array([0, 24])).keys() | {
        "covariate weather"
    }


def test_what_a_group_is_shuffled_over_keeps_everything_else(finished: Stages) -> None:
    cube = finished.cube()
    builder = learned(finished).reader(cube)
    state = builder.init_state(0)
    builder.skip(state, 40)
    batch, own = builder.step(state, 1), builder.covariates
    rng, at_midnight = np.random.default_rng(1), np.arange(0, 10) * 24 + 41 * 24
    shuffles = importance.groups(cube, at_midnight)
    assert "weather" in shuffles
    _, moved = shuffles["past reports of its neighbours"](own, batch, rng)
    at = BY_DAY.layout(cube.c)
    changed = (moved.features != batch.features).any(2)[0].nonzero()[:, 0].tolist()
    assert changed
    assert set(changed) <= {*range(at["ring"].start, at["ring each"].stop)}
    assert torch.equal(moved.log_rate, batch.log_rate)
    ring = slice(at["ring"].start, at["ring"].stop)
    assert torch.equal(moved.features[0, ring].sort(1).values, batch.features[0, ring].sort(1).values)
    other, same = shuffles["weather"](own, batch, rng)
    assert same is batch
    days = 7 + builder.events.per_day + 3
    assert torch.equal(other.target[:, :days], own.target[:, :days])
    assert not torch.equal(other.target[:, days:], own.target[:, days:])
    assert own.target is not other.target
