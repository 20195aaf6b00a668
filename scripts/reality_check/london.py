"""Forecasts of the next month by category, and hot spots, as monthly systems on police open data show them.

    python scripts/reality_check/london.py configs/london_lsoa.yaml root=runs source.path=…

A backtest of the configuration is made, or gone on with, and its predictions are read. By category: the mean Poisson
deviance of an area and month, the share of the reports in the 5 % (and 10 %) of areas where most are expected, and the
prediction accuracy index of 5 % (10 %) of the city's surface, filled from the highest expected density on. Hot spots:
an area is hot in a month with more reports than the mean plus one standard deviation over all areas of the month
before; it is called hot where more are expected. Intervals are over months (all are drawn, and drawn together for all
forecasters).

Every area is scored in every month. Many systems score hot areas against as many quiet ones, drawn from those without
a report: `sampled` is the ROC AUC of that, to show what it hides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from stforecast.config import load
from stforecast.cube import Cube
from stforecast.evaluation.predictions import kept_predictions
from stforecast.evaluation.rolling import Panel, folds, offsets
from stforecast.features.targets import scored
from stforecast.files import write_json
from stforecast.forecasters.registry import names_of
from stforecast.pipeline.backtesting import backtest
from stforecast.pipeline.run import Run
from stforecast.pipeline.stages import Stages
from stforecast.scoring.bootstrap import day_weights, difference, interval, mean_draws
from stforecast.scoring.hotspots import top_count, top_hexagons
from stforecast.scoring.metrics import ALL, poisson_losses
from stforecast.scoring.ranking import rank, roc_auc

DRAWS, SHARES = 2000, (0.05, 0.1)


def by_month(lam: np.ndarray, y: np.ndarray, areas: np.ndarray) -> dict[str, np.ndarray]:
    """Deviance, hit rate and PAI of each month [m], from λ and counts [m n] and areas [n]."""
    out = {"deviance": poisson_losses(lam, y)}
    densest = np.argsort(-lam / areas, axis=1, kind="stable")
    covered = np.cumsum(areas[densest], axis=1) / areas.sum()
    found = np.cumsum(np.take_along_axis(y, densest, 1), axis=1) / y.sum(1, keepdims=True)
    for share in SHARES:
        top = top_hexagons(lam, top_count(share, lam.shape[1]))
        out[f"hit_{share:.0%}"] = np.take_along_axis(y, top, 1).sum(1) / y.sum(1)
        last = np.maximum((covered <= share).sum(1), 1) - 1
        month = np.arange(len(y))
        out[f"pai_{share:.0%}"] = found[month, last] / covered[month, last]
    return out


def hot_spots(lam: np.ndarray, y: np.ndarray, before: np.ndarray, seed: int) -> dict[str, float]:
    """How the hot label is met: λ, counts and those of the month before, [m n] each."""
    bound = (before.mean(1) + before.std(1))[:, None]
    hot, called = y > bound, lam > bound
    hits = int((hot & called).sum())
    precision, recall = hits / max(called.sum(), 1), hits / max(hot.sum(), 1)
    rng, kept = np.random.default_rng(seed), hot.copy()
    for month, quiet in enumerate(y == 0):
        some = np.flatnonzero(quiet)
        kept[month, rng.choice(some, min(len(some), int(hot[month].sum())), replace=False)] = True
    return {
        "hot": float(hot.mean()),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-12),
        "roc_auc": roc_auc(rank(lam, hot)),
        "sampled": roc_auc(rank(lam[kept], hot[kept])),
    }


def panel_of(stages: Stages) -> tuple[Cube, Panel, dict[str, np.ndarray], np.ndarray]:
    """The record, what came, λ of every forecaster [m n c], and the issue steps [m]."""
    folder = backtest(stages)
    cube, options = stages.cube(), stages.config.backtest
    split = stages.split(cube)
    parts = folds(split, options.folds, options.test_days, cube.step)
    hours = offsets(cube, split, None)
    runs = [Run(folder / f"fold_{i + 1}") for i in range(len(parts))]
    lam = {
        name: np.concatenate([kept_predictions(run.predictions(name, hour))[:, 0] for run in runs for hour in hours])
        for name in names_of(stages.config)
    }
    issues = np.concatenate([scored(cube, part, "test") for part in parts])
    return cube, Panel.of(cube, parts, hours), lam, issues


@click.command(help=__doc__)
@click.argument("config")
@click.argument("overrides", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), default="runs/reality_check")
def main(config: str, overrides: tuple[str, ...], out: Path) -> None:
    stages = Stages(load(config, overrides), click.echo)
    cube, panel, lam, issues = panel_of(stages)
    areas = cube.hexagons["area_km2"].to_numpy(float)
    dense, seed = cube.dense().numpy(), stages.config.seed
    weights = day_weights(len(issues), DRAWS, 1, seed)
    found: dict[str, Any] = {"months": len(issues), "areas": cube.n}
    for i, category in enumerate((*cube.categories, ALL)):
        pick = (lambda x: x.sum(-1)) if category == ALL else (lambda x, i=i: x[..., i])
        y, before = pick(panel.counts[:, 0]).astype(np.float64), pick(dense[issues - 1])
        monthly = {name: by_month(pick(values), y, areas) for name, values in lam.items()}
        draws = {
            name: {key: mean_draws(values, weights) for key, values in one.items()} for name, one in monthly.items()
        }
        rows = {}
        for name, one in draws.items():
            rows[name] = {key: vars(interval(values)) for key, values in one.items()}
            rows[name] |= hot_spots(pick(lam[name]), y, before, seed)
            for other in {"ewma", "mean_of_last_12"} & set(draws) - {name}:
                rows[name][f"minus {other}"] = {key: vars(difference(one[key], draws[other][key])) for key in one}
        found[category] = rows
        table = pd.DataFrame(
            {
                name: {
                    **{key: row[key]["estimate"] for key in one},
                    **{key: row[key] for key in ("precision", "recall", "f1", "roc_auc", "sampled")},
                    **{
                        f"deviance {key}": "{estimate:+.4f} [{low:+.4f}, {high:+.4f}]".format(**row[key]["deviance"])
                        for key in row
                        if key.startswith("minus")
                    },
                }
                for (name, row), one in zip(rows.items(), draws.values(), strict=True)
            }
        ).T.sort_values("deviance")
        click.echo(f"\n{category}, hot: {next(iter(rows.values()))['hot']:.1%}\n{table.to_string()}")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / f"{stages.config.city}.json", found)


if __name__ == "__main__":
    main()
