"""Daily forecasts of predspot and of our forecasters side by side: skill on the same cells and days, and time.

    python scripts/bench/predspot_skill.py configs/reference/denver.yaml source.path=… root=… time.step=day \
        time.horizons=1 'evaluation.forecasters=[gcrn, hist_gradient_boosting, rolling_climatology, ewma]' \
        --peers /tmp/predspot/bin/python

Ours are those of `evaluation.forecasters`; the first is compared with each other one, and so with predspot. All learn
from the training slice (predspot from its last --train-days) and are scored on every --every-th day of the test slice.
--days tries it before the test slice: on so many days of the validation slice, calibrated on as many before it.

Expected counts of predspot: what it gives a cell over its sum over the cells, times the city's total of the rolling
climatology, which knows the weekday; EVENTS of a year are spread evenly, so that no cell is impossible.

Every forecaster is scored `as_given` and `calibrated` on the validation slice by the same map a category (`raw` and
`fit_calibration`; none follows the level of the last weeks). PAI is at 5 % of the cells, all categories together.
Differences are of the calibrated ones, with paired 95 % intervals by blocks of a week
(of two horizons where these are longer).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import shapely
from cities import built, of_a_city, simulated
from timing import report, significant
from workers import Worker

from stforecast.config import Config, load, parse
from stforecast.cube import Cube, hexgrid
from stforecast.evaluation.differences import HIT_RATE, Sample, differences
from stforecast.features.targets import known_share, outcomes, scored
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.registry import create_forecaster, in_order
from stforecast.pipeline.stages import Stages
from stforecast.scoring.bootstrap import Blocks
from stforecast.scoring.calibration import fit_calibration
from stforecast.scoring.hotspots import AREAS, top_count
from stforecast.scoring.splits import Split

Predict = Callable[[np.ndarray], np.ndarray]
"""λ [m k n c] at issue steps [m], not calibrated."""
EVENTS = 1.0
"""A year that predspot's maps spread evenly over the city, in each category."""
SMALL: dict[str, Any] = {"hexagons": 19, "days": 300, "rate": 1.0}
OURS = ["rolling_climatology", "mean_of_last_12", "ewma"]
"""Forecasters of the small city."""


def daily(cube: Cube) -> Cube:
    """A simulated hourly cube by the day."""
    days = {"step_unit": "day", "step_hours": 24, "horizons": 1, "steps": cube.steps // 24}
    return replace(cube, hour=cube.hour // 24, known_hour=cube.known_hour // 24, **days)


def before_test(split: Split, days: int) -> Split:
    """Slices that end in the validation slice, where they are scored."""
    start, end = split.validation_start, split.train_end
    return replace(
        split,
        train_end=end - days,
        validation_start=end - days,
        validation_end=end,
        test_start=start,
        steps=min(start + days, split.validation_end),
    )


def ours(config: Config, cube: Cube, split: Split) -> dict[str, tuple[Forecaster, float]]:
    """Our forecasters, fitted, and the seconds that each took."""
    out: dict[str, tuple[Forecaster, float]] = {}
    for name in in_order(config):
        began, parts = time.perf_counter(), {key: one for key, (one, _) in out.items()}
        forecaster = create_forecaster(name, config, parts).fit(cube, split)
        out[name] = forecaster, time.perf_counter() - began
    return {name: out[name] for name in config.evaluation.forecasters}


def record(cube: Cube, path: Path) -> None:
    """What predspot reads, as a file."""
    columns = ("hour", "hexagon", "category", "known_hour", "weight")
    outlines = shapely.to_wkt(hexgrid.polygons(hexgrid.from_names(cube.cells.tolist())))
    place = {name: cube.hexagons[name].to_numpy(float) for name in ("longitude", "latitude")}
    sizes = {"horizons": cube.horizons, "categories": cube.c}
    np.savez(path, outlines=outlines.astype(str), **{key: getattr(cube, key) for key in columns}, **place, **sizes)


def of_peer(peer: Worker, file: Path, total: Predict, share_of_year: float, issues: np.ndarray) -> np.ndarray:
    """predspot's λ [m k n c] at issue steps: its share of each cell times the city's total.

    total: forecaster whose sum over the cells is the city's total. share_of_year: length of a step.
    """
    peer.ask("forecast", issues=issues.tolist(), output=str(file))
    given, city = np.load(file).astype(np.float64), total(issues).sum(2, keepdims=True)
    sums, evenly = given.sum(2, keepdims=True), EVENTS * share_of_year / given.shape[2]
    share = np.divide(given, sums, out=np.full_like(given, 1 / given.shape[2]), where=sums > 0)
    return (share * city + evenly).astype(np.float32)


def figures(lam: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[dict[str, float], Sample]:
    """Average precision, mean deviance and PAI of λ against counts [m k n c], and what their intervals are made of."""
    sample = Sample.of(lam, y, weights)
    found = {key: draws.estimate for key, draws in sample.draws.items()}
    return {
        "average_precision": significant(found["average_precision"]),
        "poisson_deviance": significant(found["poisson_deviance"], 5),
        f"pai_{HIT_RATE}": significant(found[f"hit_rate_{HIT_RATE}"] / area(y)),
        "expected_over_reported": significant(float(lam.sum(dtype=np.float64) / y.sum())),
    }, sample


def area(y: np.ndarray) -> float:
    """The share of the cells [m k n c] that PAI is of."""
    return top_count(AREAS[HIT_RATE], y.shape[2]) / y.shape[2]


def differences_of(samples: dict[str, Sample], blocks: Blocks, share: float) -> dict[str, Any]:
    """The first forecaster minus each other one, with intervals: average precision, deviance and PAI."""
    scale = {"average_precision": 1.0, "poisson_deviance": 1.0, f"hit_rate_{HIT_RATE}": 1 / share}
    names = {f"hit_rate_{HIT_RATE}": f"pai_{HIT_RATE}"}
    return {
        pair: {
            names.get(key, key): [significant(found[key][bound] * by) for bound in ("estimate", "low", "high")]
            for key, by in scale.items()
        }
        for pair, found in differences(samples, blocks).items()
    }


def compared(sides: dict[str, Predict], cube: Cube, split: Split, every: int) -> dict[str, Any]:
    """Every side on the test slice, and what it takes to forecast one day."""
    issues = {which: scored(cube, split, which)[::every] for which in ("validation", "test")}  # type: ignore[arg-type]
    known, came = (outcomes(cube, split, which)[::every] for which in ("validation", "test"))  # type: ignore[arg-type]
    share, week = known_share(cube, split)[::every], Blocks.of(len(came), "day", cube.horizons)
    length = max(1, week.length // every)
    blocks = replace(week, count=-(-len(came) // length), length=length)
    weights = blocks.weights(len(came))
    found: dict[str, Any] = {"days_scored": len(came), "forecasters": {}}
    samples: dict[str, Sample] = {}
    for name, predict in sides.items():
        calibration = fit_calibration(predict(issues["validation"]), known, share, cube.counted)
        given = predict(issues["test"])
        began = time.perf_counter()
        predict(issues["test"][-1:])
        one_day = time.perf_counter() - began
        plain, _ = figures(given, came, weights)
        better, samples[name] = figures(calibration.apply(given), came, weights)
        found["forecasters"][name] = {"calibrated": better, "as_given": plain, "seconds_a_day": significant(one_day)}
        click.echo(f"{name}: {found['forecasters'][name]}", err=True)
    return found | {"differences": differences_of(samples, blocks, area(came))}


@click.command()
@of_a_city
@click.option("--peers", required=True, help="Interpreter of predspot's environment.")
@click.option("--mapping", "mappings", multiple=True, type=click.Choice(["kde", "counts"]), default=["kde", "counts"])
@click.option("--train-days", default=365, show_default=True, help="Days that predspot learns from.")
@click.option("--every", default=1, show_default=True, help="Days from one scored issue to the next.")
@click.option("--days", type=int, help="Try it on so many days of the validation slice; the test slice is not read.")
@click.option("--threads", default=1, show_default=True, help="Of predspot's forests.")
def main(
    config: str | None,
    overrides: tuple[str, ...],
    peers: str,
    mappings: tuple[str, ...],
    train_days: int,
    every: int,
    days: int | None,
    threads: int,
    small: bool,
    output: Path | None,
) -> None:
    """Fit all, score all."""
    if small:
        options = parse({"city": "simulated", "evaluation": {"forecasters": OURS}, "split": {"gap": 0}}, "simulated")
        cube = daily(simulated(**SMALL))
    else:
        options = load(str(config), overrides)
        cube = built(options)[0]
    if cube.step_unit != "day":
        raise click.UsageError("predspot forecasts days, weeks and months: give time.step=day.")
    split = Stages(options, print).split(cube)
    split = split if days is None else before_test(split, days)
    fits = ours(options, cube, split)
    (climatology := RollingClimatology(options)).learn(cube, split)
    sides: dict[str, Predict] = {name: partial(one.raw, cube) for name, (one, _) in fits.items()}
    trained: dict[str, Any] = {name: {"seconds": significant(seconds)} for name, (_, seconds) in fits.items()}
    with TemporaryDirectory() as folder:
        record(cube, data := Path(folder) / "record.npz")
        for mapping in mappings:
            name, file = f"predspot, {mapping}", Path(folder) / f"{mapping}.npy"
            peer = Worker(peers, "predspot_peer.py", str(data), mapping, str(threads))
            trained[name] = peer.ask("train", until=split.train_end, days=train_days) | peer.ask("facts")
            total = partial(climatology.raw, cube)
            sides[name] = partial(of_peer, peer, file, total, cube.step.days / 365)
        found = compared(sides, cube, split, every)
    city = {"name": cube.name, "cells": cube.n, "categories": list(cube.categories), "horizons": cube.horizons}
    slices = {"train_until": str(cube.time_of(split.train_end)), "scored_from": str(cube.time_of(split.test_start))}
    report("predspot_skill", {"city": city, **slices, "trained": trained, **found}, output)


if __name__ == "__main__":
    main()
