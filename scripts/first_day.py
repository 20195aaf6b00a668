"""How good are forecasts on day 7, 60 or 365 of a city's record? Forecasters fitted there, and carried ones.

    python scripts/first_day.py configs/denver.yaml --days 7 --days 60 --days 365 --out denver.json

    record … ─ ─ ─ ─│ the last `--days` days ───────────│ test: half a year, issued daily │
                    │ fit ──────────│ calibrate, choose │

What lies before these days is cut off and read by nobody, and all forecasters are calibrated on the same days: the last
30, and at most half of what there is (3 of 7). The test slice is the last `--test-days` days, and at most a third of
the record, the same for every length. The hexagons are those of the configuration.

With `--validation` all of this ends where the test slice begins: what is chosen while a forecaster is developed is
chosen there. CONFIG may be the folder of a cube. Progress goes to standard error. The file holds the loss of each day
and the draws of average precision, so that `scripts/first_day_table.py` compares forecasters of several files.

    deviance      Poisson's, on the leaves [k n c], × 10⁵
    AP, slope     average precision, and slope of calibration, categories pooled
    Δ             the forecaster of `--against` minus that of the row, with its paired 95 % interval over weekly blocks
    seeds         fits of which the forecasts are averaged; of a carried one the weights of which the figures are means
    s             seconds to fit and calibrate, and to forecast the slice
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from first_day_table import blocks_of, number, reference, table

from stforecast.config import Config, load, parse
from stforecast.cube import Cube
from stforecast.cube.cut import cut
from stforecast.cube.store import open_cube
from stforecast.errors import ConfigError, StforecastError
from stforecast.evaluation.differences import Sample
from stforecast.evaluation.scorecard import finite
from stforecast.features.shared import SharedRhythms
from stforecast.features.targets import outcomes, scored
from stforecast.files import write_json
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.start import StartingNetwork
from stforecast.forecasters.hawkes import Hawkes
from stforecast.forecasters.registry import create_forecaster
from stforecast.forecasters.shared_kernels import SharedKernels
from stforecast.forecasters.trees import PooledTrees
from stforecast.forecasters.trees.pooled import RHYTHMS
from stforecast.forecasters.trees.zoo import LightGBM
from stforecast.forecasters.weights import CARD, KERNELS, NETWORK, Weights
from stforecast.pipeline.stages import Stages
from stforecast.scoring.calibration import calibration_slope
from stforecast.scoring.intensity import pool
from stforecast.scoring.splits import Split

CALIBRATED = 30
"""Days that forecasters are calibrated on; at most half of the record."""
say = partial(click.echo, err=True)


@dataclass(frozen=True)
class City:
    """What a forecaster may read: a record that begins `days` before the scored slice, its slices, carried weights."""

    config: Config
    cube: Cube
    split: Split
    weights: Path | None = None

    @property
    def unfair(self) -> str:
        """What there is to say of forecasts by the carried weights: they may have learned from the scored slice."""
        assert self.weights is not None
        if not (self.weights / CARD).is_file():
            return "comes from weights without a card: nothing tells whether they have learned from this slice"
        return "; ".join(Weights.load(self.weights).seen(self.cube, *self.split.span("test")))


Fit = Callable[[City], Forecaster]


def adapting(city: City, adapt: str) -> Config:
    """The configuration, with this much learned on in the city."""
    training = city.config.training.model_copy(update={"adapt": adapt})
    return city.config.model_copy(update={"training": training})


def here(name: str) -> Fit:
    """A forecaster of the package, fitted to the city's own record."""
    return lambda city: create_forecaster(name, city.config).fit(city.cube, city.split)


def hawkes(adapt: str, city: City) -> Forecaster:
    """The Hawkes process on a climatology that starts from other cities, with their kernels or, if better, its own."""
    assert city.weights is not None
    kernels, shared = SharedKernels.open(city.weights / KERNELS), SharedRhythms.open(city.weights / RHYTHMS)
    return Hawkes(adapting(city, adapt), kernels=kernels, shared=shared).fit(city.cube, city.split)


def network(adapt: str, city: City) -> Forecaster:
    """The network that was learned elsewhere, as it is or learned on here."""
    assert city.weights is not None
    start = StartingNetwork.load(city.weights / NETWORK)
    return GCRN(city.config, start=start, adapt=adapt).fit(city.cube, city.split)


def trees(adapt: str, city: City) -> Forecaster:
    """Trees of many cities as they are, or with rounds of the city's own on top."""
    assert city.weights is not None
    return LightGBM(adapting(city, adapt), start=PooledTrees.load(city.weights)).fit(city.cube, city.split)


def shared_climatology(city: City) -> Forecaster:
    """The rolling climatology that starts from rates and rhythms of other cities."""
    assert city.weights is not None
    return RollingClimatology(city.config, shared=SharedRhythms.open(city.weights / RHYTHMS)).fit(city.cube, city.split)


CARRIED: dict[str, Fit] = {
    "carried_gcrn": partial(network, "none"),
    "adapted_gcrn": partial(network, "all"),
    "adapted_read_out": partial(network, "read_out"),
    "carried_lightgbm": partial(trees, "none"),
    "adapted_lightgbm": partial(trees, "all"),
    "shared_climatology": shared_climatology,
    "carried_hawkes": partial(hawkes, "none"),
    "adapted_hawkes": partial(hawkes, "all"),
}
"""Those that need `--weights`; the first one is compared with the others."""
FITTED: dict[str, Fit] = {
    name: here(name)
    for name in ("gcrn", "rolling_climatology", "hawkes", "hist_gradient_boosting", "xgboost", "lightgbm")
}
"""Those that learn from the city's own record alone."""


def shorten(cube: Cube, days: int | None, test_days: int, validation: bool) -> tuple[Cube, Split]:
    """The part of a record that a forecast on its day `days` may read and is scored on, and its slices.

    Args:
        cube: the whole record.
        days: of the record before the scored slice; None for all.
        test_days: length of the scored slice, at most a third of the record.
        validation: whether it ends where the test slice begins.

    Raises:
        ConfigError: so many days do not lie before it.
    """
    day = cube.step.per_day
    test = min(cube.step.in_days(test_days), cube.steps // 3) // day * day
    end = cube.steps - (test if validation else 0)
    there = (end - test) // day * day
    record = there if days is None else cube.step.in_days(days) // day * day
    if not 2 * day <= record <= there or test < cube.horizons:
        raise ConfigError(
            f"--days: {cube.name} has {there // day} {cube.step.between_issues}s before the scored slice of "
            f"{test // day}. Choose from 2 to {there // day}, or fewer --test-days."
        )
    held = max(min(cube.step.in_days(CALIBRATED), record // 2) // day, 1) * day
    part = cut(cube, end - test - record, end)
    return part, Split(part.steps, 0, day, record - held, record - held, record, record, cube.horizons)


def measure(fit: Fit, city: City, counts: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """A forecaster's figures on the scored slice, and what differences are made of: no forecast is kept."""
    began = time.perf_counter()
    forecaster = fit(city)
    fitted = time.perf_counter()
    lam = forecaster.forecast(city.cube, scored(city.cube, city.split, "test")).intensity
    seconds = {"fit": round(fitted - began, 1), "forecast": round(time.perf_counter() - fitted, 1)}
    sample = Sample.of(lam, counts, weights)
    precision = sample.draws["average_precision"]
    return {
        "poisson_deviance": float(sample.daily["poisson_deviance"].mean()),
        "average_precision": precision.estimate,
        "calibration_slope": calibration_slope(pool(lam), pool(counts)),
        "bias": float(lam.sum(dtype=np.float64) / counts.sum()),
        "daily_deviance": sample.daily["poisson_deviance"].tolist(),
        "precision_draws": precision.values.tolist(),
        "seconds": seconds,
    }


def averaged(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The means of the figures of several forecasters, each for itself."""
    return {
        key: averaged([entry[key] for entry in entries])
        if isinstance(value, dict)
        else np.mean([entry[key] for entry in entries], 0).tolist()
        for key, value in entries[0].items()
    }


def result_of(city: City, days: int | None, slice_name: str) -> dict[str, Any]:
    """What a table says of a city and a length of its record, still without forecasters."""
    cube, split = city.cube, city.split
    issues = scored(cube, split, "test")
    return {
        "city": cube.name,
        "slice": slice_name,
        "days": days,
        "record_days": split.test_start // split.day,
        "calibrated_days": (split.validation_end - split.validation_start) // split.day,
        "first": cube.time_of(split.test_start).isoformat(),
        "until": cube.end.isoformat(),
        "issues": len(issues),
        "step": cube.step_unit,
        "horizons": cube.horizons,
        "hexagons": cube.n,
        "categories": list(cube.categories),
        "known_time": cube.notes.get("known_time", "occurred"),
        "forecasters": {},
    }


def opened(config: str, overrides: tuple[str, ...], seeds: int) -> tuple[Config, Cube]:
    """The configuration and the cube of a city, which is built where it is not; or those of a cube's folder.

    Raises:
        ConfigError: overrides are given for the folder of a cube, which has no configuration.
    """
    if (Path(config) / "cube.json").is_file():
        if overrides:
            raise ConfigError(f"{overrides[0]}: {config} is a built cube. Give a configuration to change a key of it.")
        cube = open_cube(Path(config))
        return parse({"city": cube.name, "seeds": seeds}, config), cube
    stages = Stages(load(config, [*overrides, f"seeds={seeds}"]), say)
    stages.ingest()
    return stages.config, stages.build()


def chosen(only: str | None, weights: Sequence[Path]) -> dict[str, Fit]:
    """The forecasters that were asked for, carried ones first.

    Raises:
        ConfigError: one is unknown, or needs weights that are not given.
    """
    known = {**(CARRIED if weights else {}), **FITTED}
    names = only.split(",") if only else [*known]
    if unknown := [name for name in names if name not in known]:
        hint = " with --weights" if {*unknown} <= {*CARRIED} else ""
        raise ConfigError(f"--only: {', '.join(unknown)}: choose from {', '.join({**CARRIED, **FITTED})}{hint}.")
    return {name: fit for name, fit in known.items() if name in names}


def length(_: Any, __: Any, values: tuple[str, ...]) -> list[int | None]:
    """`--days` as numbers, None for all."""
    if odd := [value for value in values if value != "all" and not value.isdecimal()]:
        raise click.BadParameter(f"{odd[0]!r}: a number of days, or all")
    return [None if value == "all" else int(value) for value in values]


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
@click.option("--days", multiple=True, default=("60",), callback=length, help="Of record, or all; may be repeated.")
@click.option("--test-days", default=180, show_default=True, type=click.IntRange(min=1), help="Of the scored slice.")
@click.option(
    "--weights",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder of pretrained forecasters; of several the figures are averaged.",
)
@click.option("--only", help="Forecasters, with commas between them; default all.")
@click.option("--against", help="Forecaster that the others are compared with; default the first.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="Fits of each, averaged.")
@click.option("--validation", is_flag=True, help="Score the slice before the test slice, and read nothing later.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="JSON file of all figures.")
def main(
    config: str,
    overrides: tuple[str, ...],
    days: list[int | None],
    test_days: int,
    weights: tuple[Path, ...],
    only: str | None,
    against: str | None,
    seeds: int,
    validation: bool,
    out: Path | None,
) -> None:
    """Fit and carry forecasters to a city whose record begins so many days before the slice they are scored on."""
    try:
        fits = chosen(only, weights)
        settings, cube = opened(config, overrides, seeds)
        results = []
        for count, part in [(count, shorten(cube, count, test_days, validation)) for count in days]:
            city = City(settings, *part)
            carried = [replace(city, weights=folder) for folder in weights]
            unfair = "; ".join(dict.fromkeys(words for one in carried if (words := one.unfair)))
            results.append(result_of(city, count, "validation" if validation else "test"))
            counts = outcomes(city.cube, city.split, "test")
            draws = blocks_of(results[-1]).weights(len(counts))
            for name, fit in fits.items():
                given = carried if name in CARRIED else [city]
                entry = finite(averaged([measure(fit, one, counts, draws) for one in given]))
                results[-1]["forecasters"][name] = entry
                entry |= {"seeds": len(given) if name in CARRIED else seeds}
                entry |= {"unfair": unfair} if name in CARRIED and unfair else {}
                deviance = number("poisson_deviance", entry["poisson_deviance"])
                say(f"{cube.name}, {count or 'all'} days: {name} {deviance}")
                if out:
                    write_json(out, {"results": results})
            click.echo(table(results[-1], reference(results[-1], against)) + "\n")
    except StforecastError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
