"""The scorecard: every forecaster on the test slice, by the same metrics, with intervals on the differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.evaluation.differences import Sample, differences
from stforecast.evaluation.predictions import predictions
from stforecast.features.delay import reported_share
from stforecast.features.targets import counts_needed, day_sums, masked_share, outcomes, scored
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.calibrated import ValidationFit
from stforecast.scoring.bootstrap import Blocks, of_blocks
from stforecast.scoring.calibration import Calibration
from stforecast.scoring.conformal import interval_figures
from stforecast.scoring.labels import label_figures
from stforecast.scoring.metrics import ALL, METRICS, poisson_deviance, reported_to_expected, scorecard_entry, skill
from stforecast.scoring.splits import Slice, Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTLED = 0.98
"""Share of the test slice's events that must have been reported for its counts to pass for final without a word."""
PATROL_AREA_KM2 = 5.0
"""Area of the hot-spot metrics beside 1, 5 and 10 % of the hexagons."""


@dataclass(frozen=True)
class Scorecard:
    """What was found of every forecaster on a slice.

    values: all figures as plain values, as `scorecard.json` holds them.
    """

    values: Mapping[str, Any]

    @property
    def forecasters(self) -> Mapping[str, Mapping[str, Any]]:
        """The metrics of each forecaster, by its name."""
        return self.values["forecasters"]

    def table(self) -> pd.DataFrame:
        """A row a forecaster, best average precision first: the metrics of the catalogue, in their own units."""
        rows = {name: shown_metrics(entry) for name, entry in self.forecasters.items()}
        frame = pd.DataFrame.from_dict(rows, orient="index", dtype=float)
        frame = frame[[key for key in METRICS if key in frame]].dropna(axis=1, how="all")
        return frame.sort_values("average_precision", ascending=False).rename_axis("forecaster")

    def differences(self) -> pd.DataFrame:
        """A row for every pair and metric: the first forecaster minus the other, with its paired 95 % interval."""
        rows = [
            {"pair": pair, "metric": metric, **found}
            for pair, metrics in self.values["differences"].items()
            for metric, found in metrics.items()
        ]
        return pd.DataFrame(rows, columns=["pair", "metric", "low", "estimate", "high", "blocks", "p_value"])

    def plot(self, metric: str = "poisson_deviance") -> Figure:
        """Differences of the first forecaster to each other one in a metric, with their intervals.

        Raises:
            ArtefactError: the metric is not among those compared.
        """
        from matplotlib.figure import Figure

        frame = self.differences()
        frame = frame[frame["metric"] == metric]
        if frame.empty:
            raise ArtefactError(f"scorecard: no differences in {metric!r}. Score two forecasters or more.")
        shown, scale = METRICS[metric], METRICS[metric].scale
        figure = Figure(figsize=(7, 1 + 0.4 * len(frame)), layout="constrained")
        axes, middle = figure.subplots(), scale * frame["estimate"]
        reach = [middle - scale * frame["low"], scale * frame["high"] - middle]
        axes.errorbar(middle, frame["pair"], xerr=np.abs(np.nan_to_num(reach)), fmt="o", capsize=3)
        axes.axvline(0, color="0.7", zorder=0)
        axes.invert_yaxis()
        axes.set(xlabel=f"difference in {shown.heading} ({shown.better} is better)")
        return figure

    def __str__(self) -> str:
        """The table as text, then the differences: what `stforecast evaluate` prints."""
        card = self.values
        known = card["notes"].get("known_time", "occurred")
        lines = [f"{card['city']}, {card['slice']} slice, {card['split'][card['slice']]}, known_time: {known}"]
        lines += [words] if (words := masked_words(card)) else []
        if (share := card.get("reported_share") or 1) < SETTLED:
            lines.append(f"taken as final: an estimated {share:.1%} of the events were reported by the record's end")
        frame = self.table()
        text = pd.DataFrame({METRICS[str(key)].heading: frame[key].map(METRICS[str(key)].text) for key in frame})
        lines.append(text.rename_axis(None).to_string())
        lines += [f"{name}: {remark}" for name, one in self.forecasters.items() if (remark := one.get("remark"))]
        lines += unfair_words(card)
        for pair, metrics in card["differences"].items():
            found = "; ".join(f"{METRICS[key].heading} {difference_text(key, found)}" for key, found in metrics.items())
            lines.append(f"{pair}: {found} ({of_blocks(card['blocks'], card['block'])})")
        return "\n".join(lines)


def evaluate(
    cube: Cube,
    split: Split,
    forecasters: Sequence[Forecaster],
    which: Slice = "test",
    patrol_area_km2: float = PATROL_AREA_KM2,
    seed: int = 0,
    calibrated: bool = True,
) -> Scorecard:
    """Score forecasters on a slice; those that are not fitted yet are fitted first.

    Of weights that a forecaster was given to start from it does not know whether they have learned from the slice:
    `stforecast evaluate` does, and so does `Weights.seen`.

    Args:
        cube: the record.
        split: its slices.
        forecasters: the first one is compared with each other one.
        which: the slice that is scored.
        patrol_area_km2: area of the hot-spot metrics beside 1, 5 and 10 % of the hexagons.
        seed: of the draws of days behind the intervals.
        calibrated: false scores what the forecasters give before calibration and level, as the field uses its
            baselines; F1 and the intervals of daily counts, which come from the validation slice, are left out.

    Raises:
        ArtefactError: two forecasters have the same name.
    """
    named = {one.name: one for one in forecasters}
    if len(named) < len(forecasters):
        raise ArtefactError("evaluate: two forecasters have the same name; give one another `name`.")
    for one in named.values():
        if one.calibrated is None:
            one.fit(cube, split)
    plain = ValidationFit(Calibration.identity(cube.c))
    fits = {name: one.fitted if calibrated else plain for name, one in named.items()}
    found = predictions(cube, split, named, which, calibrated=calibrated)
    return score(cube, split, fits, found, which, patrol_area_km2, seed)


def score(
    cube: Cube,
    split: Split,
    fits: Mapping[str, ValidationFit],
    intensity: Mapping[str, np.ndarray],
    which: Slice = "test",
    patrol_area_km2: float = PATROL_AREA_KM2,
    seed: int = 0,
    oracle: np.ndarray | None = None,
    unfair: Mapping[str, str] | None = None,
) -> Scorecard:
    """Score predictions of a slice.

    Args:
        cube: the record.
        split: its slices.
        fits: what was fitted of each forecaster on the validation slice.
        intensity: calibrated λ [m k n c] of each, as `predictions` gives it.
        which: the slice.
        patrol_area_km2: area of the hot-spot metrics beside 1, 5 and 10 % of the hexagons.
        seed: of the draws of days behind the intervals.
        oracle: λ [m k n c] that no forecast can beat, where the city is simulated; adds `skill`, the share of the way
            from rolling climatology (0) to the oracle (1) in deviance.
        unfair: what there is to say, by forecaster, of those that have learned from the slice.
    """
    issues = scored(cube, split, which)
    counts, needed = outcomes(cube, split, which), counts_needed(cube, issues)
    areas = cube.hexagons["area_km2"].to_numpy(float)
    blocks = Blocks.of(len(counts), cube.step_unit, cube.horizons)
    weights = blocks.weights(len(counts), seed)
    entries: dict[str, dict[str, Any]] = {}
    samples: dict[str, Sample] = {}
    for name, fit in fits.items():
        lam = np.asarray(intensity[name])
        entries[name] = scorecard_entry(lam, counts, cube.categories, fit.thresholds, areas, patrol_area_km2)
        for view, figures in day_figures(lam, counts, needed, cube.categories, fit).items():
            (entries[name] if view == ALL else entries[name]["by_category"][view]).update(figures)
        entries[name] |= {"remark": fit.remark} if fit.remark else {}
        samples[name] = Sample.of(lam, counts, weights)
    card: dict[str, Any] = {
        "city": cube.name,
        "slice": which,
        "split": describe(cube, split),
        "hexagons": cube.n,
        "categories": list(cube.categories),
        "events": int(counts.sum()),
        "reported_share": round(reported_share(cube, *split.span(which)), 4) if which == "test" else None,
        "masked": masked_share(cube, split, which),
        "notes": cube.notes,
        "forecasters": entries,
        "step": cube.step_unit,
        "horizons": cube.horizons,
        "blocks": blocks.count,
        "block": blocks.name,
        "differences": differences(samples, blocks),
        "unfair": dict(unfair or {}),
    }
    if oracle is not None:
        limit = poisson_deviance(oracle, counts)
        card["oracle"] = {"poisson_deviance": limit}
        if "rolling_climatology" in entries:
            base = entries["rolling_climatology"]["poisson_deviance"]
            for entry in entries.values():
                entry["skill"] = skill(entry["poisson_deviance"], base, limit)
    return Scorecard(finite(card))


def day_figures(
    lam: np.ndarray, y: np.ndarray, needed: Mapping[str, np.ndarray], categories: Sequence[str], fit: ValidationFit
) -> dict[str, dict[str, float]]:
    """Coverage and width of intervals and how the hot label is met, for `all` and each category: [m k n c]."""
    expected, came, out = day_sums(lam, categories), day_sums(y, categories), {}
    for name, spread in fit.spreads.items():
        hot, probability = came[name] >= needed[name], spread.at_least(needed[name], expected[name])
        intervals = interval_figures(*spread.interval(expected[name]), came[name])
        out[name] = {**intervals, **label_figures(probability, hot, fit.hot_thresholds[name])}
    return out


def describe(cube: Cube, split: Split) -> dict[str, str]:
    """First and last instant of every slice (UTC)."""
    slices: tuple[Slice, ...] = ("train", "validation", "test")
    spans = {which: map(cube.time_of, split.span(which)) for which in slices}
    return {which: " / ".join(time.isoformat() for time in span) for which, span in spans.items()}


def masked_words(card: Mapping[str, Any]) -> str:
    """How much of the slice of a scorecard is masked, as text; empty where nothing is."""
    masked, unit = card.get("masked"), card.get("step", "hour")
    if not masked or not masked["hours"]:
        return ""
    unscored = f"{masked['issues']:.1%} of the {'days' if unit == 'hour' else 'issues'} have such {unit}s"
    return f"not recorded: {masked['hours']:.1%} of the {unit}s; {unscored} and are not scored"


def unfair_words(card: Mapping[str, Any]) -> list[str]:
    """Which forecasters of a scorecard have learned from its slice, as text."""
    return [f"{name} {words}" for name, words in card.get("unfair", {}).items()]


def difference_text(metric: str, found: Mapping[str, float | None]) -> str:
    """A difference as text: estimate, interval and the p-value of Diebold and Mariano, as far as there are any."""
    low, estimate, high = (METRICS[metric].text(found[key], sign=True) for key in ("low", "estimate", "high"))
    p = found.get("p_value")
    bounds = f" [{low}, {high}]" if (found["blocks"] or 0) > 1 else ""
    return f"{estimate}{bounds}" + ("" if p is None else f" (DM p {p:.2g})")


def finite(value: Any) -> Any:
    """JSON has no NaN: what is not defined (no event in a category) becomes null."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def shown_metrics(entry: Mapping[str, Any]) -> dict[str, float | None]:
    """The metrics of the catalogue."""
    return {key: entry.get(key) for key in METRICS} | {"reported_to_expected": reported_to_expected(entry.get("bias"))}
