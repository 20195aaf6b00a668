"""The training step of this checkout beside that of another: the same cube, seed and number of updates.

    git worktree add /tmp/before COMMIT
    python scripts/bench/step.py configs/reference/denver.yaml source.path=… root=… model.hidden=64 --before /tmp/before
    python scripts/bench/step.py --small --before /tmp/before

Each side is a process with its own `ours.py` and `stforecast`; they take turns. Losses are the mean over the last
updates of both, whose settings must be the same to be compared; where they differ, the figures say so. Without
--before this checkout stands on both sides: losses are then equal to the last bit, and the ratio tells the noise.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from cities import built, of_a_city
from timing import report, significant, summary, turns
from workers import ROOT, Worker

from stforecast.config import load

SMALL: dict[str, Any] = {"settings": {"model": {"hidden": 16}}, "hexagons": 61, "days": 200}
TARGET = {"this_over_before": 1.5}


@click.command()
@of_a_city
@click.option("--before", default=ROOT, type=click.Path(exists=True, path_type=Path), help="Checkout to compare with.")
@click.option("--rounds", default=9, show_default=True)
@click.option("--updates", default=16, show_default=True, help="Of a round.")
def main(
    config: str | None, overrides: tuple[str, ...], before: Path, rounds: int, updates: int, small: bool, output: Path
) -> None:
    """Milliseconds of a training origin, before and now."""
    gold = None if small else built(load(str(config), overrides))[1]
    sides = {"before": before.resolve(), "this": ROOT}
    workers = {name: Worker(sys.executable, "ours.py", checkout=checkout) for name, checkout in sides.items()}
    losses: dict[str, list[float]] = {name: [] for name in workers}

    def taking_turns(name: str, worker: Worker) -> float:
        done = worker.ask("steps", count=updates)
        losses[name] += done["losses"]
        return sum(done["seconds"]) / sum(done["origins"])

    for worker in workers.values():
        city = (
            worker.ask("simulate", **SMALL)
            if gold is None
            else worker.ask("open", path=config, overrides=overrides, gold=str(gold))
        )
    facts = {name: worker.ask("facts") for name, worker in workers.items()}
    seconds = turns({name: partial(taking_turns, name, worker) for name, worker in workers.items()}, rounds)
    for worker in workers.values():
        worker.close()
    last = len(losses["this"]) // 2
    found = {
        "unit": "seconds of a training origin",
        "city": {key: city[key] for key in ("hexagons", "categories", "hours")},
        "updates": len(losses["this"]),
        "sides": summary(seconds, "before"),
        "loss_of_last_half": {name: significant(float(np.mean(values[-last:])), 6) for name, values in losses.items()},
        "largest_difference_of_losses": float(np.abs(np.subtract(losses["before"], losses["this"])).max()),
        "settings_that_differ": differences(facts["before"], facts["this"]),
        "target": TARGET,
    }
    report("step", found | facts["this"], output)


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Settings of network and training that are not the same on both sides."""
    return {
        f"{part}.{key}": [one[part].get(key), other[part].get(key)]
        for part in ("model", "training")
        for key in one[part] | other[part]
        if one[part].get(key) != other[part].get(key)
    }


if __name__ == "__main__":
    main()
