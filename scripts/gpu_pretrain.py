"""How fast the network is pretrained here, on a GPU where there is one, else on the CPU, in ten minutes at most.

    python scripts/gpu_pretrain.py

Episodes of simulated cities alone, so that nothing has to be fetched; 40 of them, so many side by side. One process
builds their features on the CPU: where more side by side are no faster, it is what the device waits for.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch

from stforecast.pipeline.pretraining import canonical_sizes
from stforecast.pretraining.draws import Draws, simulated_episode
from stforecast.pretraining.network import EPOCH, Plan, pretrain_network

MODEL = {"hidden": 32, "rank": 64, "conv": "hex", "dropout": 0.1, "carry_state": True}
LIMIT = 540
"""Seconds after which no further setting is tried."""


def hourly() -> int:
    """The first seed whose simulated city has steps of an hour."""
    return next(seed for seed in range(100) if simulated_episode(seed).cube.step_hours == 1)


@click.command()
@click.option("--beside", multiple=True, default=(4, 16, 40), show_default=True, help="Episodes side by side.")
def main(beside: tuple[int, ...]) -> None:
    """Print episodes a minute for each number of episodes side by side."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    sizes, began = canonical_sizes(simulated_episode(hourly()).cube, 24), time.monotonic()
    for count in beside:
        if time.monotonic() - began > LIMIT:
            break
        plan = Plan(Draws((), 1.0, 0), sizes, MODEL, EPOCH, beside=count)
        with TemporaryDirectory() as folder:
            start = time.monotonic()
            pretrain_network(plan, Path(folder))
            seconds = time.monotonic() - start
        click.echo(f"{device}: {count} side by side: {60 * EPOCH / seconds:.0f} episodes a minute")


if __name__ == "__main__":
    main()
