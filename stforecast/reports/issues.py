"""Section: a typical, a busy and the worst forecast of the test slice, beside what was reported."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import numpy as np
from scipy.stats import poisson

from stforecast.delivery.figures import class_legend, maps
from stforecast.delivery.map import TOP_SHARE, class_bounds, class_labels, colours_of, highest
from stforecast.delivery.small_counts import hides_each
from stforecast.reports.accuracy import deviance_terms
from stforecast.reports.evaluated import EvaluatedRun
from stforecast.reports.page import Block, Picture, Text, listed, note, said, standing, words

COUNTS = np.array([1, 2, 3, 5, 10, 20, 50, 100])
"""Where classes of counts begin, beside that of the smallest ones."""


def blocks(run: EvaluatedRun, sexual: Collection[str], least: int) -> list[Block]:
    """Three issues as pairs of maps, without the categories of sexual offences; counts below `least` look alike."""
    if not run.cube.drawn:
        return [Text("The places have no outlines, so that there is no map.")]
    kept = [at for at, name in enumerate(run.cube.categories) if name not in sexual]
    if not kept:
        return [Text("All categories are of sexual offences, of which no count of a hexagon is shown.")]
    lam, y = (run.summed(values[..., kept]) for values in (run.intensity[run.leader], run.counts))
    pairs = [_pair(run, kind, issue, lam, y, least) for kind, issue in choose(lam, y).items()]
    categories = listed([words(run.cube.categories[at]) for at in kept])
    shown = {"categories": categories, "forecaster": words(run.leader), "share": TOP_SHARE, "least": least}
    return [said("issues_shown", **shown, **run.terms), *pairs, note("issues", **run.terms)]


def choose(lam: np.ndarray, y: np.ndarray) -> dict[str, int]:
    """A typical, a busy and the worst forecast, distinct where possible.

    Args:
        lam: λ summed over the horizon, [m n].
        y: counts summed over the horizon, [m n].

    Returns:
        The index of each issue, by kind.
    """
    total = y.sum(1)
    surprise = deviance_terms(lam.astype(np.float32), y).sum(1) / expected_deviance(lam).sum(1)
    orders = {
        "busy": np.argsort(-total, kind="stable"),
        "worst": np.argsort(-surprise, kind="stable"),
        "typical": np.argsort(np.abs(total - np.median(total)), kind="stable"),
    }
    chosen: dict[str, int] = {}
    for kind, order in orders.items():
        chosen[kind] = next((int(issue) for issue in order if issue not in chosen.values()), int(order[0]))
    return {kind: chosen[kind] for kind in ("typical", "busy", "worst")}


def expected_deviance(lam: np.ndarray) -> np.ndarray:
    """The mean Poisson deviance of a count about its own λ, in the shape of `lam`; read off a table in log λ."""
    table = np.geomspace(1e-4, max(float(lam.max(initial=0)), 1e-3) * 1.01, 200)
    count = np.arange(int(table[-1] + 12 * np.sqrt(table[-1]) + 12))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(count > 0, count * np.log(count / table[:, None]), 0)
    terms = 2 * (table[:, None] - count + logs)
    mean = (poisson.pmf(count, table[:, None]) * terms).sum(1)
    return np.interp(np.log(np.maximum(lam, table[0])), np.log(table), mean)


def count_bounds(counts: np.ndarray, least: int) -> np.ndarray:
    """Limits between classes of counts, whole numbers of any shape: below `least`, then as COUNTS as far as needed."""
    bounds = np.array([least, *COUNTS[least < COUNTS]])
    return bounds[: max(1, np.searchsorted(bounds, counts.max(initial=0), side="right"))]


def count_labels(bounds: np.ndarray) -> list[str]:
    """A label a class, from the lowest to the highest."""
    between = [f"{low}" if high == low + 1 else f"{low} to {high - 1}" for low, high in pairwise(bounds)]
    return ["0" if bounds[0] == 1 else f"fewer than {bounds[0]}", *between, f"{bounds[-1]} and more"]


def _pair(run: EvaluatedRun, kind: str, issue: int, lam: np.ndarray, y: np.ndarray, least: int) -> Picture:
    """An issue's maps of expected reports and counts, in classes that fit all issues: λ and counts [m n]."""
    cube, bounds, counts = run.cube, class_bounds(lam.ravel(), most=6), count_bounds(y, least)
    lam, y = lam[issue], y[issue]
    top = highest(lam, TOP_SHARE)
    summed = hides_each(y[top], least) and hides_each(np.delete(y, top), least)
    fills = {
        f"Expected: {lam.sum():,.0f}": colours_of(lam, bounds),
        f"Reported: {y.sum():,.0f}" if summed else "Reported": colours_of(y, counts),
    }
    figure, axes = maps(cube.geometry, fills, 0.75, top)
    class_legend(axes[0], class_labels(bounds), f"Expected reports of a hexagon in {run.terms['length']}")
    class_legend(axes[1], count_labels(counts), f"Reports of a hexagon in {run.terms['length']}")
    held = float(y[top].sum() / max(y.sum(), 1))
    when = _when(run, issue)
    sums = {"expected": lam.sum(), "came": y.sum(), "share": lam[top].sum() / lam.sum(), "count": len(top)}
    alt = standing("issue_alt" if summed else "issue_alt_unsummed", kind=kind, when=when, held=held, **sums)
    caption = f"{kind.capitalize()} forecast: {when}."
    caption += f" The outlined hexagons held {held:.0%} of the reports." if summed else ""
    return Picture(f"issue_{kind}", figure, alt, caption)


def _when(run: EvaluatedRun, issue: int) -> str:
    """The steps of an issue, in local time."""
    cube = run.cube
    time = cube.time_of(int(run.issues[issue])).tz_convert(cube.time_zone)
    begin = f"{time:%B %Y}" if cube.step_unit == "month" else f"{time:%A} {time.day} {time:%B %Y}"
    if cube.step_unit == "hour":
        begin += f"{time:, %H:%M}"
    elif cube.horizons == 1:
        return begin
    return f"{run.terms['length']} from {begin}"
