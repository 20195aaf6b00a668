"""What each covariate is worth, and whom it sends attention to: leave one out, fit again, compare on the same days.

    python scripts/covariates.py my_city.yaml root=runs --forecaster hist_gradient_boosting --by deprivation

Each variant is fitted, calibrated and scored as `stforecast run` does it. Differences are the deviance without a
covariate minus that with all (positive: it pays), × 10⁵, with paired 95 % intervals over blocks of issues (weeks where
steps are hours). Of planned events with a place, the deviance of their own cells and steps is summed up beside that of
all others, by category, with intervals over the days that they touch. `--by` names a column of the cells: exposure is
the share of the hexagon-days flagged (top 5 %) that falls to each tenth of the cells, from the lowest value to the
highest, and what reading a covariate moves to the three highest tenths stands beside it with its interval, of
100 flags.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click
import numpy as np

from stforecast.config import load
from stforecast.cube import Cube
from stforecast.cube.covariates import Covariate
from stforecast.features.targets import outcomes, scored
from stforecast.files import write_json
from stforecast.forecasters.registry import create_forecaster
from stforecast.pipeline.stages import Stages
from stforecast.reports.accuracy import deviance_terms
from stforecast.reports.card import flags
from stforecast.scoring.bootstrap import Blocks, Interval, day_weights, difference, mean_draws
from stforecast.scoring.metrics import daily_losses


def without(cube: Cube, name: str) -> Cube:
    """The cube without a covariate."""
    return replace(cube, covariates=tuple(one for one in cube.covariates if one.name != name))


def places(cube: Cube, covariate: Covariate, issues: np.ndarray) -> np.ndarray:
    """Where and when a covariate is not 0, bool [m k n]."""
    return np.stack([covariate.window(s, s, cube.horizons, cube.n)[0] > 0 for s in issues.tolist()])


def shares(values: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    """The share of each issue's flags that falls to each tenth of the cells, [m 10].

    Args:
        values: of the cells, [n]; those without one are left out.
        intensity: λ, [m k n c].
    """
    known = np.isfinite(values)
    tenth = values[known].argsort().argsort() * 10 // known.sum()
    found = flags(intensity.sum((1, 3), dtype=np.float64))[:, known] @ np.eye(10)[tenth]
    return found / found.sum(1, keepdims=True)


def listed(interval: Interval, unit: float) -> list[float]:
    """Low, estimate and high in a unit."""
    return [round(unit * value, 2) for value in (interval.low, interval.estimate, interval.high)]


def of_planned(cube: Cube, here: np.ndarray, terms: dict[str, np.ndarray]) -> dict[str, Any]:
    """Sums of deviance terms [m k n c] by category in the places [m k n] of events, and in all others."""
    out: dict[str, Any] = {"cells": int(here.any((0, 1)).sum()), "days": int((days := here.any((1, 2))).sum())}
    block = Blocks.of(len(here), cube.step_unit, cube.horizons).length
    for c, category in enumerate(cube.categories):
        inside = {key: np.where(here, value[..., c], 0).sum((1, 2), dtype=np.float64) for key, value in terms.items()}
        outside = {key: value[..., c].sum((1, 2), dtype=np.float64) - inside[key] for key, value in terms.items()}
        out[category] = {}
        for where, sums, which, length in (("inside", inside, days, 1), ("elsewhere", outside, slice(None), block)):
            weights = day_weights(len(sums["all"][which]), block_days=length)
            draws = {key: mean_draws(value[which], weights) for key, value in sums.items()}
            out[category][where] = {
                "with": round(float(sums["all"].sum()), 2),
                "without": round(float(sums["without"].sum()), 2),
                "difference a day": listed(difference(draws["without"], draws["all"]), 1.0),
            }
    return out


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
@click.option("--forecaster", "names", multiple=True, default=("hist_gradient_boosting",), show_default=True)
@click.option("--by", "column", help="Column of the cells by whose tenths exposure is shown.")
def main(config: str, overrides: tuple[str, ...], names: tuple[str, ...], column: str | None) -> None:
    """Fit with and without each covariate, and write covariates.json beside the city's runs."""
    stages = Stages(load(config, overrides), click.echo)
    stages.ingest()
    cube = stages.build()
    split = stages.split(cube)
    issues, counts = scored(cube, split, "test"), outcomes(cube, split, "test")
    weights, result = Blocks.of(len(issues), cube.step_unit, cube.horizons).weights(len(issues)), dict[str, Any]()
    for name in names:

        def lam(given: Cube, name: str = name) -> np.ndarray:
            return create_forecaster(name, stages.config).fit(given, split).forecast(given, issues).intensity

        whole, found = lam(cube), dict[str, Any]()
        base = mean_draws(daily_losses(whole, counts)["poisson_deviance"], weights)
        for covariate in cube.covariates:
            less = lam(without(cube, covariate.name))
            cost = difference(mean_draws(daily_losses(less, counts)["poisson_deviance"], weights), base)
            entry: dict[str, Any] = {"deviance without minus with, 1e-5": listed(cost, 1e5)}
            if covariate.kind == "planned" and not covariate.city_wide:
                terms = {"all": deviance_terms(whole, counts), "without": deviance_terms(less, counts)}
                entry["planned"] = of_planned(cube, places(cube, covariate, issues), terms)
            if column:
                exposed, before = (shares(cube.hexagons[column].to_numpy(float), each) for each in (whole, less))
                entry["exposure by tenth without"] = before.mean(0).round(4).tolist()
                high = [mean_draws(each[:, -3:].sum(1), weights) for each in (exposed, before)]
                entry["flags moved to the three highest tenths, of 100"] = listed(difference(*high), 100)
            found[covariate.name] = entry
            click.echo(f"{name}, {covariate.name}: {entry}")
        result[name] = {"deviance": base.estimate, "covariates": found}
        if column:
            exposed = shares(cube.hexagons[column].to_numpy(float), whole)
            result[name]["exposure by tenth"] = exposed.mean(0).round(4).tolist()
            click.echo(f"{name}: exposure by tenth of {column} {result[name]['exposure by tenth']}")
    path = stages.place.runs / "covariates.json"
    write_json(path, result)
    click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
