"""What the stages say in plain sentences: what an ingest counted, a build left out, and a forecast assumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Weather
from stforecast.cube import Cube, Series
from stforecast.delivery.words import UNTRAINED
from stforecast.evaluation.scorecard import Scorecard, difference_text
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.weights import origin
from stforecast.scoring.metrics import METRICS

NEAR_MIDNIGHT = pd.Timedelta(hours=2)
"""Days of hours begin at most 45 minutes before local midnight, and in summer an hour after it."""
FEW_DAYS = 7
"""Fewer than these tell little of a city's level: of 80 reports a day, seven tell it within a tenth."""

MORE = 0.02
"""Share of the events by which more of the later ones lie outside the study area before it is said."""


def summary(meta: dict[str, Any]) -> list[str]:
    """What an ingest counted, as lines."""
    kinds = ("rejected", "left_out", "corrected")
    counts = [(kind.replace("_", " "), *one) for kind in kinds for one in meta[kind].items()]
    return [f"{kind}: {count:,} {reason}" for kind, reason, count in counts if count]


def built(cube: Cube) -> list[str]:
    """What a build left out, took as holidays and fell back to, as lines."""
    place = "-".join(filter(None, (cube.country, cube.subdivision)))
    holidays = f"public holidays of {place}" if cube.country else "no public holidays (set grid.country)"
    monthly = cube.step_unit == "month"  # no month is a holiday
    return [*_outside(cube), *_elsewhere(cube), *([] if monthly else [holidays]), *cube.notes.get("fallbacks", [])]


def of_no_kind(cube: Cube) -> list[str]:
    """Which categories weights know no kind of offence of, as lines."""
    if cube.kinds is None:
        return []
    names = [name for name, shares in zip(cube.categories, cube.kinds, strict=True) if not shares.any()]
    of = f"no kind of offence is known of {', '.join(names)}, so what the weights tell of kinds is not used there"
    return [f"{of}: name it in source.kinds, and build again"] if names else []


def assumptions(cube: Cube, issue: int, learned_until: int) -> list[str]:
    """What a forecast at the step `issue` had to assume; the run learned from the steps before `learned_until`."""
    lines = []
    if issue < learned_until:
        lines.append("The run learned from days after this issue time: compare it with what happened only with care.")
    lines += _elsewhere(cube)
    if issue > cube.steps:
        late, end = cube.step.words(issue - cube.steps), f"{cube.end:%Y-%m-%d %H:%M} UTC"
        lines.append(f"The record ends {end}, {late} before the issue time: nothing later was used.")
    lines += cube.notes.get("fallbacks", [])
    if cube.notes.get("known_time") == "occurred" and not cube.notes.get("embargo_hours"):
        lines.append(
            f"Every report counts as known in the {cube.step_unit} of its offence (known_time: occurred), earlier than "
            "in real use."
        )
    between = cube.step.between_issues
    if cube.late:
        lines.append(f"Reports of the last {between}s are still arriving: those known at the issue time were used.")
    before = cube.step.per_day
    lines += _missing(cube, cube.weather, issue - before, before, f"observed weather of the {between} before")
    lines += _missing(cube, cube.future, issue, cube.horizons, "weather forecast")
    for one in cube.covariates:
        lacking = 1 - one.window(issue, issue, cube.horizons, cube.n)[1].mean()
        if lacking > 0 and one.kind in ("past", "ahead"):
            lines.append(f"{one.name} is not known for {lacking:.0%} of what is forecast: that part goes without it.")
    return lines


def not_trained(facts: Mapping[str, Any], forecaster: Forecaster, time_zone: str) -> list[str]:
    """That a forecaster of a run is as other records made it, and what it rests on, as lines.

    Args:
        facts: of the run.
        forecaster: the one that forecasts.
        time_zone: of the city.
    """
    started = facts["started"]
    if not started or not forecaster.untrained:
        return []
    begin, end = (
        pd.Timestamp(time).tz_convert(time_zone) for time in (facts["validation_from"], facts["validation_until"])
    )
    first, last = (f"{day:%Y-%m-%d}" for day in (begin + NEAR_MIDNIGHT, end - NEAR_MIDNIGHT))
    span = f"from {first} to {last}" if first < last else f"on {last}"
    return [UNTRAINED, f"The forecaster is that of {origin(started)}, calibrated on this record {span}."]


def rough(facts: Mapping[str, Any]) -> list[str]:
    """That a run was calibrated on few days, as lines. facts: of the run."""
    begin, end = pd.Timestamp(facts["validation_from"]), pd.Timestamp(facts["validation_until"])
    days = round((end - begin) / pd.Timedelta(days=1))
    if facts["step"] == "month" or days >= FEW_DAYS:
        return []
    return [
        f"Level and intervals rest on {days} day{'s' if days > 1 else ''} of the record: take the numbers as rough "
        "until there are more."
    ]


def serving(card: Scorecard) -> str:
    """Which forecaster forecasts, why, and how it did on the test slice."""
    (first, entry), *others = card.forecasters.items()
    deviance = METRICS["poisson_deviance"]
    text = f"{first} forecasts: it is the first of evaluation.forecasters"
    if not others:
        return text
    best = min(card.forecasters, key=lambda name: card.forecasters[name]["poisson_deviance"])
    text += f", with {deviance.heading} {deviance.text(entry['poisson_deviance'])} on the test slice"
    if best == first:
        return f"{text}, the lowest of {len(others) + 1}"
    other = card.forecasters[best]["poisson_deviance"]
    found = card.values["differences"][f"{first} - {best}"]["poisson_deviance"]
    text += (
        f"; the lowest is {best}'s, {deviance.text(other)} (difference {difference_text('poisson_deviance', found)})"
    )
    clear = (found["blocks"] or 0) > 1 and found["low"] > 0
    return f"{text}: put it first to forecast by it" if clear else f"{text}, which chance may explain"


def unfetched(checked: str | None, issue_time: pd.Timestamp) -> list[str]:
    """That the publisher was last asked a day or more before a forecast, as lines."""
    if checked is None or issue_time - pd.Timestamp(checked) < pd.Timedelta(days=1):
        return []
    time = f"{pd.Timestamp(checked):%Y-%m-%d %H:%M} UTC"
    return [f"The publisher was last asked for reports at {time}: what came later is lacking."]


def weather_source(cube: Cube, settings: Weather, newest: np.ndarray, came: pd.Timestamp | None) -> list[str]:
    """What a forecast lacks of weather that is fetched, as lines. newest: steps ahead that were filled from the newest
    weather forecast, [k]; came: when that was there."""
    if settings.source is None:
        return []
    asked = {
        "observed weather": (settings.path, cube.weather),
        "weather forecast": (settings.forecast_path, cube.future),
    }
    lines = [
        f"No {what} was read: Open-Meteo's was not at hand for the days that were learned from."
        for what, (path, series) in asked.items()
        if path and not series.names
    ]
    if filled := int(newest.sum()):
        share = "" if filled == cube.horizons else f" for {filled} of {cube.step.words(cube.horizons)}"
        lines.append(
            f"The weather forecast{share} is the newest one of {came:%Y-%m-%d %H:%M} UTC: made nearer to its hours "
            "than those that were learned from."
        )
    return lines


def _outside(cube: Cube) -> list[str]:
    """Between which instants the steps of a cube lie, if anything was reported before or after."""
    if not (count := cube.notes.get("events", {}).get("outside_axis", 0)):
        return []
    first, last = (f"{time.tz_convert(cube.time_zone):%Y-%m-%d %H:%M}" for time in (cube.start, cube.end))
    standard = "" if first.endswith(" 00:00") else " (days begin at midnight of standard time)"
    between = f"The whole {cube.step.between_issues}s of the record go from {first} to {last}{standard}"
    lie = "1 event lies outside and is" if count == 1 else f"{count:,} events lie outside and are"
    return [f"{between}: {lie} left out."]


def _elsewhere(cube: Cube) -> list[str]:
    """Where nothing is forecast, if anything was reported there."""
    counts = cube.notes.get("events", {"outside_area": 0})
    if not (outside := counts["outside_area"]):
        return []
    share, area = outside / (outside + counts["kept"]), cube.notes["study_area"]
    line = f"Nothing is forecast outside the {area}: {outside:,} of the record's events ({100 * share:.1f} %) lie there"
    after = cube.notes.get("later_events", {"outside_area": 0})
    if missed := after["outside_area"]:
        later = missed / (missed + after["kept"])
        if later > share + MORE:  # the cells were chosen where the events before were
            since = pd.Timestamp(cube.notes["train_until"]).tz_convert(cube.time_zone)
            line += f", and {100 * later:.1f} % of those since {since:%Y-%m-%d %H:%M}"
    return [f"{line}."]


def _missing(cube: Cube, series: Series, first: int, count: int, what: str) -> list[str]:
    missing = int(np.isnan(series.window(first, first + count)).all(1).sum()) if series.names else 0
    if not missing:
        return []
    share = "" if missing == count else f" for {missing} of {cube.step.words(count)}"
    return [f"The {what} is missing{share}: the forecast does without it."]
