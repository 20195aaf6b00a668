"""The report and the analysis where steps are days or months: every sentence speaks of these."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pandas as pd
import pytest
from report_pages import check_page

from stforecast.config import load
from stforecast.cube.steps import Step
from stforecast.pipeline.pages import analyse, evaluated, report
from stforecast.pipeline.stages import Stages
from stforecast.reports import importance
from stforecast.reports.terms import terms_of

SMALL = (
    *("synthetic.hexagons=19", "training.device=cpu"),
    "evaluation.forecasters=[rolling_climatology, hist_gradient_boosting, last_week]",
)
CITIES = {
    "7 days": ("synthetic.days=130", "time.step=day"),
    "1 day": ("synthetic.days=130", "time.step=day", "time.horizons=1"),
    "1 month": ("synthetic.days=760", "time.step=month"),
    "3 months": ("synthetic.days=1200", "time.step=month", "time.horizons=3"),
}
"""Settings by the length of a forecast."""
FINER = {"day": r"hours?|hourly", "month": r"hours?|hourly|days?|daily|weeks?|weekly|weekdays?"}
"""Words of what is finer than a step."""
ALLOWED = ("opening hours", "counts of the last week or month", "time of day")
OF_THE_RUN = ("forecasters", "curves", "errors", "importance", "issues", "card")


def words_in(path: Path, section: str) -> str:
    """What a reader sees, or is read, of a section."""
    (text,) = re.findall(rf'<section id="{section}">(.*?)</section>', path.read_text(encoding="utf-8"), re.DOTALL)
    return html.unescape(" ".join([*re.findall(r'alt="([^"]*)"', text), re.sub("<[^>]+>", " ", text)]))


@pytest.fixture(scope="module", params=CITIES)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Stages]:
    """A small city, trained and evaluated, and how long its forecasts are."""
    root = tmp_path_factory.mktemp("city")
    stages = Stages(load("quickstart", [f"root={root}", *SMALL, *CITIES[request.param]]), lambda line: None)
    stages.ingest()
    stages.build()
    stages.train()
    stages.evaluate()
    return request.param, stages


def test_no_sentence_speaks_of_less_than_a_step(finished: tuple[str, Stages], monkeypatch: pytest.MonkeyPatch) -> None:
    length, stages = finished
    monkeypatch.setattr(importance, "MOST_ISSUES", 3)
    monkeypatch.setattr(importance, "REPEATS", 1)
    page, record = report(stages), analyse(stages)
    check_page(page)
    check_page(record)
    unit = stages.config.time.step
    told = {section: words_in(page, section) for section in OF_THE_RUN} | {"drift": words_in(record, "drift")}
    for section, text in told.items():
        for allowed in ALLOWED:
            text = text.replace(allowed, "")
        if unit == "month" and section == "drift":
            text = text.replace("days", "")
        assert not re.findall(rf"\b(?:{FINER[unit]})\b", text.replace("4 weeks", "")), (section, text)
    assert f"{length} ahead" in told["card"]
    assert f"Reports in {length} (" in told["issues"]
    assert ("Forecasts overlap" in told["errors"]) == (stages.config.horizons > 1)
    assert (page.parent / "errors_by_horizon.csv").exists() == (stages.config.horizons > 1)
    by = pd.read_csv(page.parent / ("errors_by_month.csv" if unit == "month" else "errors_by_weekday.csv"))
    assert by["reported"].sum() == evaluated(stages).card["events"]
    assert "what differs by hour" in words_in(record, "rhythm")
    assert ("weekend" in words_in(record, "rhythm")) == (unit == "day")
    assert "The last 3 months" in told["drift"] if unit == "month" else "The last 4 weeks" in told["drift"]
    assert "fewer than three whole months" not in words_in(record, "trends")


def test_a_report_is_counted_once_however_many_forecasts_hold_it(finished: tuple[str, Stages]) -> None:
    run = evaluated(finished[1])
    cube, first = run.cube, int(run.issues[0])
    last = int(run.issues[-1]) + cube.horizons
    assert run.reports == int(cube.dense(first, last).sum())
    assert run.reports * cube.horizons >= run.card["events"] >= run.reports


@pytest.mark.parametrize(
    ("step", "horizons", "span", "length", "issues"),
    [
        (Step(), 24, "24 hours", "24 hours", "days"),
        (Step(), 6, "6 hours", "6 hours", "days"),
        (Step("day", 24), 1, "day", "1 day", "days"),
        (Step("month", 730), 3, "3 months", "3 months", "months"),
    ],
)
def test_the_words_for_a_horizon(step: Step, horizons: int, span: str, length: str, issues: str) -> None:
    found = terms_of(step, horizons)
    assert (found["span"], found["length"], found["issues"]) == (span, length, issues)
