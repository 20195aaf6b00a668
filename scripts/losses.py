"""What the loss buys: focal loss plain and made proper, class-balanced, and the Poisson likelihood, one fit each.

    python scripts/losses.py configs/reference/synthetic.yaml root=runs seeds=1

Each loss is scored on the validation slice, where one is chosen, and on the test slice: as the network gives λ, and
calibrated as every forecaster is. γ = 0 is the Poisson likelihood. Plain focal loss is evaluated at the probability
itself (Lin et al. 2017); made proper, at the q whose focal optimum that probability is. Class-balanced is focal loss
with α from the effective numbers of cells with and without an event (Cui et al. 2019, β = 1 − 10⁻⁶).
"""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest.mock import patch

import click
import numpy as np
from tqdm import tqdm

from stforecast.config import load, parse
from stforecast.cube import Cube
from stforecast.features.targets import outcomes, scored
from stforecast.files import write_json
from stforecast.forecasters.gcrn import training
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.losses import FocalLoss
from stforecast.pipeline.stages import Stages
from stforecast.scoring.calibration import calibration_slope
from stforecast.scoring.intensity import pool
from stforecast.scoring.metrics import poisson_deviance
from stforecast.scoring.ranking import average_precision, rank
from stforecast.scoring.splits import Slice, Split

BETA = 1 - 1e-6


def balanced_alpha(cube: Cube, split: Split) -> float:
    """The share of weight that cells with an event get by effective numbers, from the training slice."""
    counts = cube.dense(0, split.train_end, known_before=split.train_end)
    some = int((counts > 0).sum())
    event, quiet = ((1 - BETA) / (1 - BETA**size) for size in (some, counts.numel() - some))
    return event / (event + quiet)


def figures(intensity: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """Deviance and order of a slice."""
    lam, y = pool(intensity), pool(counts)
    return {
        "poisson_deviance": poisson_deviance(intensity, counts),
        "average_precision": average_precision(rank(lam, y)),
        "calibration_slope": calibration_slope(lam, y),
        "bias": float(lam.sum(dtype=np.float64) / y.sum()),
    }


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
def main(config: str, overrides: tuple[str, ...]) -> None:
    """Fit the network under each loss and write losses.json beside the city's runs."""
    stages = Stages(load(config, overrides), click.echo)
    stages.ingest()
    cube = stages.build()
    split = stages.split(cube)
    alpha = balanced_alpha(cube, split)
    variants = [("proper", gamma, 0.5) for gamma in (0.0, 0.5, 1.0, 2.0)]
    variants += [("plain", gamma, 0.5) for gamma in (0.5, 1.0, 2.0)]
    variants += [("proper, class-balanced", 1.0, alpha), ("plain, class-balanced", 1.0, alpha)]
    result: list[dict[str, Any]] = []
    slices: tuple[Slice, ...] = ("validation", "test")
    for kind, gamma, weight in tqdm(variants, desc="losses", disable=None):
        plain = stages.config.model_dump(mode="json")
        plain["training"] |= {"gamma": gamma, "alpha": weight}
        loss = partial(FocalLoss, proper=kind.startswith("proper"))
        folder = stages.place.runs / "losses" / f"{kind.replace(', ', '_')}_{gamma:g}"
        with patch.object(training, "FocalLoss", loss):
            forecaster = GCRN(parse(plain, kind)).fit(cube, split, folder)
        row: dict[str, Any] = {"loss": kind, "gamma": gamma, "alpha": weight}
        for which in slices:
            issues, counts = scored(cube, split, which), outcomes(cube, split, which)
            row[which] = {
                "before": figures(forecaster.raw(cube, issues), counts),
                "after": figures(forecaster.forecast(cube, issues).intensity, counts),
            }
        result.append(row)
        cells = [
            f"{row[which][when]['poisson_deviance'] * 1e3:.3f} {row[which][when]['average_precision']:.5f} "
            f"{row[which][when]['calibration_slope']:.2f}"
            for which in slices
            for when in ("before", "after")
        ]
        click.echo(f"{kind:24s} γ {gamma:<3g} α {weight:.2f} | " + " | ".join(cells))
    path = stages.place.runs / "losses" / "losses.json"
    write_json(path, result)
    click.echo(f"deviance × 10³, AP, slope: validation before, after calibration; test before, after. Wrote {path}")


if __name__ == "__main__":
    main()
