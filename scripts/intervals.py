"""What 90 % intervals hold at every intensity: daily and hourly counts of the test slice, by decade of λ.

    python scripts/intervals.py configs/reference/denver.yaml source.path=… 'evaluation.forecasters=[gcrn]'

The run must have been trained with the same settings (`stforecast run`). Intervals of daily counts are those of the
run. Hours get their own by the same law, fitted on the hours of the validation slice.

    below, inside, above   share of the counts below their interval, inside, and above it
    integers               what the central interval of a negative binomial law would hold, were the dispersion of the
                           decade known: more than 90 % only because intervals end at whole counts
    width, integers        mean of high − low (events), and that of those intervals
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from stforecast.config import load
from stforecast.cube import Cube
from stforecast.features.targets import day_sums, known_share, outcomes, scored, settled
from stforecast.files import write_json
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.registry import names_of
from stforecast.pipeline.stages import Stages
from stforecast.scoring.conformal import LEVEL, Spread, fit_dispersion, fit_spread, interval_figures
from stforecast.scoring.metrics import ALL
from stforecast.scoring.splits import Split

DECADES = 10.0 ** np.arange(-3, 2)
LEAST_CELLS = 100
"""A decade of fewer cells says nothing."""
HEADS = ("cells", "below", "inside", "above", "integers", "width", "integers")

Sums = Callable[[np.ndarray, tuple[str, ...]], dict[str, np.ndarray]]


def hour_sums(values: np.ndarray, categories: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Sums for `all` and each category, float64 [m k n]: intensities or counts [m k n c]."""
    values = values.astype(np.float64)
    return {ALL: values.sum(axis=-1)} | {name: values[..., i] for i, name in enumerate(categories)}


def by_decade(spread: Spread, lam: np.ndarray, y: np.ndarray) -> dict[str, dict[str, float]]:
    """What intervals hold, by decade of λ.

    Args:
        spread: of the counts of one view.
        lam: expected events of each cell, in any shape.
        y: counts, in the shape of `lam`.

    Returns:
        The figures of each decade of at least LEAST_CELLS cells, upwards, by its name such as "0.1 to 1".
    """
    lam, y = np.ravel(lam), np.ravel(y)
    low, high = spread.interval(lam)
    decade, out = np.searchsorted(DECADES, lam, side="right"), {}
    for i, name in enumerate(names()):
        here = decade == i
        if np.count_nonzero(here) >= LEAST_CELLS:
            out[name] = figures(spread.level, lam[here], y[here], low[here], high[here])
    return out


def names() -> Iterator[str]:
    """Of the decades, upwards."""
    yield f"below {DECADES[0]:g}"
    yield from (f"{begin:g} to {end:g}" for begin, end in pairwise(DECADES))
    yield f"{DECADES[-1]:g} and more"


def figures(level: float, lam: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, float]:
    """The figures of one decade: all of [cells]."""
    tail = (1 - level) / 2
    ideal = Spread(level, fit_dispersion(lam, y), (), (tail,), (1 - tail,))
    least, most = ideal.interval(lam)
    held = interval_figures(low, high, y)
    return {
        "cells": lam.size,
        "below": float((y < low).mean()),
        "inside": held["coverage"],
        "above": float((y > high).mean()),
        "integers": float((ideal.at_least(least, lam) - ideal.at_least(most + 1, lam)).mean()),
        "width": held["interval_width"],
        "integers_width": float((most - least).mean()),
    }


def measure(forecaster: Forecaster, cube: Cube, split: Split) -> dict[str, Any]:
    """The figures of days and hours, by category and decade."""
    lam, y = forecaster.forecast(cube, scored(cube, split, "test")).intensity, outcomes(cube, split, "test")
    spreads = {"day": forecaster.fitted.spreads, "hour": hourly_spreads(forecaster, cube, split)}
    sums: dict[str, Sums] = {"day": day_sums, "hour": hour_sums}
    out: dict[str, Any] = {}
    for unit, of in sums.items():
        expected, came = of(lam, cube.categories), of(y, cube.categories)
        out[unit] = {name: by_decade(spread, expected[name], came[name]) for name, spread in spreads[unit].items()}
    return out


def hourly_spreads(forecaster: Forecaster, cube: Cube, split: Split) -> Mapping[str, Spread]:
    """Spreads of hourly counts, fitted on the days of the validation slice that those of daily counts are fitted on."""
    share = known_share(cube, split)
    days = settled(share)
    lam = forecaster.forecast(cube, scored(cube, split, "validation")[days]).intensity * share[days]
    expected = hour_sums(lam, cube.categories)
    came = hour_sums(outcomes(cube, split, "validation")[days], cube.categories)
    return {name: fit_spread(expected[name], came[name]) for name in expected}


def show(found: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> None:
    """Print the figures of one forecaster: shares in %."""
    spelled = ("{:,}", "{:.1f}", "{:.1f}", "{:.1f}", "{:.1f}", "{:.2f}", "{:.2f}")
    for unit, views in found.items():
        for view, decades in views.items():
            click.echo(f"  {unit}, {view:24s}" + "".join(f"{head:>12s}" for head in HEADS))
            for decade, row in decades.items():
                scaled = [100 * v if key in ("below", "inside", "above", "integers") else v for key, v in row.items()]
                cells = (form.format(value) for form, value in zip(spelled, scaled, strict=True))
                click.echo(f"    λ {decade:26s}" + "".join(f"{cell:>12s}" for cell in cells))


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
def main(config: str, overrides: tuple[str, ...]) -> None:
    """Measure the intervals of every forecaster of a trained run and write intervals.json beside its scorecard."""
    stages = Stages(load(config, overrides), click.echo)
    cube, run = stages.cube(), stages.run()
    split, result = stages.split(cube), {}
    for name in tqdm(names_of(stages.config), desc="intervals", disable=None):
        result[name] = measure(run.open(name, stages.config), cube, split)
        click.echo(f"{name}, {cube.name}, {LEVEL:.0%} intervals on the test slice")
        show(result[name])
    path = run.folder / "intervals.json"
    write_json(path, result)
    click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
