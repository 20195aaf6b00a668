"""Test deviance of a peer and of our network after the same time of training, beside the rolling climatology.

    python scripts/bench/peer_skill.py configs/reference/denver.yaml source.path=… root=… --peers /tmp/peers/bin/python

Ours is fitted first, `training.max_epochs` of the configuration. Then the peer trains on the same slice for as long as
that took, or --times as long, with the loss and learning rate of peers.py; the counts that it reads are those of the
cube. Every forecast is calibrated on the validation slice by the same map and scored on the test slice, both on every
--every-th day; differences come with paired 95 % intervals by blocks of days.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import torch
from cities import built, of_a_city, simulated
from peers import PEERS
from timing import report, significant
from workers import Worker

from stforecast.config import load, parse
from stforecast.cube import Cube
from stforecast.features.targets import outcomes, scored
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.pipeline.stages import Stages
from stforecast.scoring.bootstrap import day_weights, difference, mean_draws
from stforecast.scoring.calibration import fit_calibration
from stforecast.scoring.metrics import daily_losses
from stforecast.scoring.splits import Split

Predict = Callable[[np.ndarray], np.ndarray]
SMALL: dict[str, Any] = {"hexagons": 37, "days": 200}
BLOCK_DAYS = 7


def deviance(predict: Predict, cube: Cube, split: Split, every: int) -> np.ndarray:
    """Poisson deviance of the leaves on each scored day of the test slice, calibrated on the validation slice."""
    issues = {which: scored(cube, split, which)[::every] for which in ("validation", "test")}
    counts = {which: outcomes(cube, split, which)[::every] for which in ("validation", "test")}  # type: ignore[arg-type]
    calibration = fit_calibration(predict(issues["validation"]), counts["validation"])
    return daily_losses(calibration.apply(predict(issues["test"])), counts["test"])["poisson_deviance"]


def of_peer(peer: Worker, folder: Path) -> Predict:
    """The peer's λ [m k n c] at issue steps."""

    def predict(issues: np.ndarray) -> np.ndarray:
        peer.ask("forecast", issues=issues.tolist(), output=str(folder / "forecast.npy"))
        return np.load(folder / "forecast.npy")

    return predict


@click.command()
@of_a_city
@click.option("--peers", required=True, help="Interpreter of the peers' environment.")
@click.option("--peer", default="torch-geometric-temporal TGCN, cached", type=click.Choice(list(PEERS)))
@click.option("--times", default=1.0, show_default=True, help="The peer's time over ours.")
@click.option("--every", default=3, show_default=True, help="Days from one scored issue to the next.")
@click.option("--hidden", default=64, show_default=True, help="Width of the state, both sides'.")
def main(
    config: str | None,
    overrides: tuple[str, ...],
    peers: str,
    peer: str,
    times: float,
    every: int,
    hidden: int,
    small: bool,
    output: Path | None,
) -> None:
    """Fit both, score both."""
    if small:
        settings = {"model": {"hidden": hidden}, "training": {"max_epochs": 2}}
        options, cube = parse({"city": "simulated", **settings}, "simulated"), simulated(**SMALL)
    else:
        options = load(str(config), [*overrides, f"model.hidden={hidden}"])
        cube = built(options)[0]
    split = Stages(options, print).split(cube)
    began = time.perf_counter()
    (network := GCRN(options)).learn(cube, split)
    took = time.perf_counter() - began
    (climatology := RollingClimatology(options)).learn(cube, split)
    losses = {one.name: deviance(partial(one.raw, cube), cube, split, every) for one in (network, climatology)}
    with TemporaryDirectory() as folder:
        data = Path(folder) / "counts.npz"
        np.savez(data, counts=cube.dense().numpy(), edges=cube.edges)
        with Worker(peers, "peers.py", peer, str(data), str(hidden)) as worker:
            trained = worker.ask("train", seconds=times * took, until=split.train_end)
            losses[peer] = deviance(of_peer(worker, Path(folder)), cube, split, every)
    days = len(losses["gcrn"])
    weights = day_weights(days, block_days=max(1, BLOCK_DAYS // every))
    found = {
        "city": {"hexagons": cube.n, "categories": cube.c, "test_days_scored": days},
        "seconds": {"gcrn": round(took, 1), peer: round(times * took, 1)},
        "epochs": options.training.max_epochs,
        "origins_of_peer": trained["origins"],
        "poisson_deviance": {name: significant(float(daily.mean()), 5) for name, daily in losses.items()},
        "more_than_gcrn": {
            name: more(daily, losses["gcrn"], weights) for name, daily in losses.items() if name != "gcrn"
        },
        "threads": torch.get_num_threads(),
    }
    report("peer_skill", found, output)


def more(daily: np.ndarray, than: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Mean difference of daily losses, and its 95 % interval."""
    found = difference(mean_draws(daily, weights), mean_draws(than, weights))
    return {"mean": significant(found.estimate), "interval": [significant(found.low), significant(found.high)]}


if __name__ == "__main__":
    main()
