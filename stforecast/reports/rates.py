"""Section: rates: expected and reported per so many residents, or hours of exposure, over the test slice."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stforecast.config.sections import Rate
from stforecast.cube.covariates import Covariate
from stforecast.delivery.figures import maps
from stforecast.delivery.map import (
    GREY,
    TOP_SHARE,
    class_bounds,
    class_labels,
    class_patches,
    colours_of,
    highest,
    patches,
)
from stforecast.delivery.rates import CAUTION, HOUR, Denominator
from stforecast.delivery.small_counts import hides_each
from stforecast.reports.evaluated import EvaluatedRun, district_names, districts_of
from stforecast.reports.page import Block, Picture, Table, Text, listed, said, words

MOST_ROWS = 20
NONE, FEW = "#b9bec4", "#e4e7ea"
"""Colours of cells without a rate, and of those of which only the expected one is shown."""


@dataclass(frozen=True)
class Sums:
    """Sums over the test slice by cell, [n] each, or by district.

    expected, reported: where the number of those who are there is known. number: of them, or hours of exposure. mean:
    of them at a time.
    """

    expected: np.ndarray
    reported: np.ndarray
    number: np.ndarray
    mean: np.ndarray

    def rates(self, rate: Rate, least: int) -> dict[str, np.ndarray]:
        """Expected and reported per so many; NaN where there are too few of them, or fewer reports than `least`."""
        number = np.where(self.mean >= rate.smallest, self.number, np.nan)
        counts = np.where((self.reported >= least) & hides_each(self.reported, least), self.reported, np.nan)
        return {name: rate.per * of / number for name, of in (("expected", self.expected), ("reported", counts))}


def summed(run: EvaluatedRun, rate: Rate, covariate: Covariate, kept: list[int]) -> tuple[Sums, Denominator]:
    """Sums by cell of some categories, each report once; and what the last issue divides by."""
    cube, issues, every = run.cube, run.issues, np.arange(run.cube.n)
    expected, reported, number, hours = np.zeros((4, cube.n))
    for at in np.flatnonzero((issues - issues[0]) % max(cube.horizons, cube.step.per_day) == 0):
        issue = int(issues[at])
        below = Denominator.at(rate, covariate, cube, issue, every)
        times = cube.times_of(issue + np.arange(cube.horizons + 1))
        values = np.broadcast_to(below.values, (cube.horizons, cube.n)).astype(np.float64)
        known = np.isfinite(values)
        expected += (run.intensity[run.leader][at][..., kept].sum(-1, dtype=np.float64) * known).sum(0)
        reported += (run.counts[at][..., kept].sum(-1, dtype=np.float64) * known).sum(0)
        number += np.where(known, values, 0).sum(0)
        hours += known.T @ ((times[1:] - times[:-1]) / HOUR).to_numpy()
    mean = np.divide(number, hours, out=np.zeros(cube.n), where=hours > 0) if below.exposure else below.values
    return Sums(expected, reported, number if below.exposure else np.nan_to_num(mean), np.nan_to_num(mean)), below


def blocks(run: EvaluatedRun, rate: Rate, covariate: Covariate, sexual: Collection[str], least: int) -> list[Block]:
    """Rates by district or of the highest cells, a map of both, and how hot spots by count and by rate differ."""
    cube = run.cube
    kept = [at for at, name in enumerate(cube.categories) if name not in sexual]
    if not kept:
        return [Text("All categories are of sexual offences, of which no count of a hexagon is shown.")]
    sums, below = summed(run, rate, covariate, kept)
    found = sums.rates(rate, least)
    top, by_rate = (highest(np.nan_to_num(of, nan=-1.0), TOP_SHARE) for of in (sums.expected, found["expected"]))
    about = {
        "categories": listed([words(cube.categories[at]) for at in kept]),
        "forecaster": words(run.leader),
        "words": below.words,
        "rule": below.rule,
        "masked": int(np.isnan(found["expected"]).sum()),
        "cells": cube.n,
        "count": len(top),
        "both": np.intersect1d(top, by_rate).size,
        "share": TOP_SHARE,
        "least": least,
    }
    out: list[Block] = [said("rates", **about, **run.terms)]
    if run.overlapping:
        out.append(said("rates_apart", **run.terms))
    if not below.exposure:
        out.append(Text(CAUTION))
    out.append(said("rates_hot_spots", **about))
    number = f"hours of exposure ({below.what})" if below.exposure else below.what
    out.append(_by_district(run, rate, sums, below.words, number, least) or _by_cell(run, sums, found, below, number))
    return [*out, _maps(run, found, below.words)] if cube.drawn else out


def _by_district(run: EvaluatedRun, rate: Rate, sums: Sums, per: str, number: str, least: int) -> Table | None:
    """A row a district that is large enough; None where the record names none."""
    names, district = district_names(run.cube.hexagons), districts_of(run.cube.hexagons).to_numpy()
    if not names:
        return None
    by = pd.DataFrame(vars(sums)).groupby(district).sum().loc[names]
    whole = Sums(**{str(name): column.to_numpy() for name, column in by.items()})
    frame = pd.DataFrame({"district": names, number: whole.number})
    frame = frame.assign(**{f"{name} {per}": values for name, values in whole.rates(rate, least).items()})
    return Table("rates_by_district", frame, "By district, over the test slice")


def _by_cell(run: EvaluatedRun, sums: Sums, found: dict[str, np.ndarray], below: Denominator, number: str) -> Table:
    """The cells of the highest expected rates."""
    order = np.argsort(-np.nan_to_num(found["expected"], nan=-1.0), kind="stable")[:MOST_ROWS]
    order = order[np.isfinite(found["expected"][order])]
    frame = pd.DataFrame({"hexagon": run.cube.cells[order], number: sums.number[order]})
    frame = frame.assign(**{f"{name} {below.words}": values[order] for name, values in found.items()})
    return Table("rates_by_hexagon", frame, "The highest expected rates, over the test slice")


def _maps(run: EvaluatedRun, found: dict[str, np.ndarray], per: str) -> Picture:
    """A map of expected and one of reported rates, in the same classes."""
    pooled = np.concatenate([*found.values()])
    bounds, none = class_bounds(pooled[np.isfinite(pooled)], most=6), np.isnan(found["expected"])
    fills = {}
    for name, values in found.items():
        colours = np.array(colours_of(np.nan_to_num(values), bounds), object)
        colours[np.isnan(values)], colours[none] = FEW, NONE
        fills[f"{name.capitalize()} {per}"] = colours.tolist()
    figure, _ = maps(run.cube.geometry, fills, 0.9)
    handles = class_patches(class_labels(bounds))
    handles += patches({"no rate": NONE, "no reported rate": FEW}, edgecolor=GREY, linewidth=0.4)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    alt = f"Two maps of the hexagons by expected and by reported offences {per}, over the test slice."
    return Picture("rates", figure, alt, f"Over the test slice, {per}.")
