"""Settings of one tree ensemble, compared on the validation slice. The test slice is never read.

    python scripts/tune_trees.py lightgbm configs/reference/chicago.yaml root=runs

Rows are drawn once; each setting is what it changes of the adapter's defaults (`forecasters/trees/zoo.py`), fitted with
the configured `trees.sampling`; rounds of boosting are chosen, and forecasts calibrated, on the validation slice. All
ensembles get equally many settings.
Written as tune_<tree>.json beside the city's runs:

    deviance            Poisson's, calibrated, on the leaves [k n c], × 10³
    average_precision   categories pooled
    raw                 the deviance before calibration, × 10³
    seconds             to fit, and to forecast the slice
"""

from __future__ import annotations

import time
from typing import Any

import click
import numpy as np

from stforecast.config import load
from stforecast.cube import Cube
from stforecast.features.scaling import Scales
from stforecast.features.targets import known_share, outcomes, scored
from stforecast.files import write_json
from stforecast.forecasters.registry import forecaster_class
from stforecast.forecasters.trees import Trees
from stforecast.pipeline.stages import Stages
from stforecast.scoring.calibration import fit_calibration
from stforecast.scoring.intensity import pool
from stforecast.scoring.metrics import poisson_deviance
from stforecast.scoring.ranking import average_precision, rank
from stforecast.scoring.splits import Split

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "hist_gradient_boosting": [
        {},
        {"max_leaf_nodes": 15},
        {"max_leaf_nodes": 63},
        {"min_samples_leaf": 1000},
        {"min_samples_leaf": 1000, "max_leaf_nodes": 63},
        {"l2_regularization": 50.0},
        {"learning_rate": 0.03},
        {"learning_rate": 0.12},
    ],
    "xgboost": [
        {},
        {"max_leaves": 15},
        {"max_leaves": 31},
        {"min_child_weight": 500},
        {"min_child_weight": 500, "max_leaves": 31},
        {"reg_lambda": 100.0},
        {"learning_rate": 0.03},
        {"learning_rate": 0.12},
    ],
    "lightgbm": [
        {},
        {"num_leaves": 15},
        {"num_leaves": 31},
        {"min_child_weight": 500},
        {"min_child_weight": 500, "num_leaves": 31},
        {"reg_lambda": 100.0},
        {"learning_rate": 0.025},
        {"learning_rate": 0.12},
    ],
    "catboost": [
        {},
        {"depth": 4},
        {"depth": 8},
        {"grow_policy": "Lossguide", "max_leaves": 31},
        {"l2_leaf_reg": 100.0},
        {"rsm": 0.3},
        {"learning_rate": 0.03},
        {"learning_rate": 0.12},
    ],
    "random_forest": [
        {},
        {"min_samples_leaf": 50},
        {"min_samples_leaf": 200},
        {"max_features": 0.15},
        {"max_features": 0.6},
        {"max_samples": 0.05},
        {"max_samples": 0.2},
        {"max_samples": 0.2, "min_samples_leaf": 200},
    ],
    "extra_trees": [
        {},
        {"min_samples_leaf": 100},
        {"min_samples_leaf": 400},
        {"max_features": 0.25},
        {"max_features": 1.0},
        {"max_features": 1.0, "min_samples_leaf": 400},
        {"max_samples": 0.15},
        {"max_samples": 0.6},
    ],
    "balanced_random_forest": [
        {},
        {"min_samples_leaf": 25},
        {"min_samples_leaf": 100},
        {"min_samples_leaf": 200},
        {"max_features": 0.15},
        {"max_features": 0.6},
        {"max_samples": 0.15},
        {"max_samples": 0.6},
    ],
}


def measured(forecaster: Trees, cube: Cube, split: Split) -> dict[str, float]:
    """Figures of a fitted ensemble on the validation slice, as it was known at its end."""
    intensity = forecaster.raw(cube, scored(cube, split, "validation"))
    counts, share = outcomes(cube, split, "validation"), known_share(cube, split)
    calibrated = fit_calibration(intensity, counts, share).apply(intensity) * share
    return {
        "deviance": 1e3 * poisson_deviance(calibrated, counts),
        "average_precision": average_precision(rank(pool(calibrated), pool(counts))),
        "raw": 1e3 * poisson_deviance(intensity * share, counts),
        "bias": float((intensity * share).sum(dtype=np.float64) / max(1, counts.sum())),
    }


@click.command()
@click.argument("tree", type=click.Choice(list(SETTINGS)))
@click.argument("config")
@click.argument("overrides", nargs=-1)
@click.option("--first", type=int, help="Only so many of the settings; the first are the defaults.")
def main(tree: str, config: str, overrides: tuple[str, ...], first: int | None) -> None:
    """Fit the settings of one tree ensemble and print them, best calibrated deviance first."""
    stages = Stages(load(config, overrides), click.echo)
    stages.ingest()
    cube = stages.build()
    split, kind = stages.split(cube), forecaster_class(tree)
    scales = Scales.of(cube.as_known(split.train_end), split.train_end)
    sample, found = None, []
    for changed in SETTINGS[tree][:first]:
        forecaster: Any = kind(stages.config)
        forecaster.settings, forecaster.scales = {**kind.settings, **changed}, scales  # type: ignore[attr-defined]
        if sample is None:
            rows = forecaster.rows(cube, split)
            sample, held_out = rows.training(stages.config.seed), forecaster.held_out(rows)
        began = time.perf_counter()
        forecaster.fits = [forecaster.fit_rows(sample, held_out, stages.config.seed)]
        fitted = time.perf_counter()
        figures = measured(forecaster, cube, split)
        seconds = {"fit": round(fitted - began, 1), "forecast": round(time.perf_counter() - fitted, 1)}
        found.append({"changed": changed, **figures, "seconds": seconds})
        click.echo(line(found[-1]))
    click.echo(f"\n{cube.name}, validation slice, {len(sample.counts):,} rows, best first")
    found.sort(key=lambda one: one["deviance"])
    for one in found:
        click.echo(line(one))
    path = stages.place.runs / f"tune_{tree}.json"
    write_json(path, {"city": cube.name, "sampling": stages.config.trees.sampling, "settings": found})
    click.echo(f"wrote {path}")


def line(one: dict[str, Any]) -> str:
    """A row of the table."""
    changed = ", ".join(f"{key} {value}" for key, value in one["changed"].items()) or "defaults"
    fit, forecast = one["seconds"].values()
    return (
        f"deviance {one['deviance']:.4f}  AP {one['average_precision']:.5f}  raw {one['raw']:.4f}  "
        f"bias {one['bias']:.3f}  {fit:5.0f} s + {forecast:4.0f} s  {changed}"
    )


if __name__ == "__main__":
    main()
