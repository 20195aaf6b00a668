"""Seconds of a training origin: one issue time, all hexagons, 24 hours ahead, forward and backward with the update.

    python scripts/bench/origin.py configs/reference/denver.yaml source.path=… root=… --peers /tmp/peers/bin/python
    python scripts/bench/origin.py --small

Peers (see peers.py, which also says how to make their environment) read a week of hourly counts anew for every origin.
Ours is the training step as it is, features included; `ours, 168 hourly steps` is our cell doing exactly the peers'
work. All have a state of the same width and run in processes of their own, by turns. They are different models, so
that there is no equal result to check: peer_skill.py compares what they forecast. `limit` is the time that the matrix
products of our step need at this machine's rate for products of 1,024² matrices. What an epoch does once before its
first update (the long memory's warm-up) is the difference between `epoch` and `ours`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from cities import built, of_a_city, simulated
from peers import PEERS
from timing import report, significant, summary, turns
from workers import Worker

from stforecast.config import load

HOURS = 168
HANDED_OVER = 3000
"""Hours of counts that peers draw their origins from: the newest."""
SMALL: dict[str, Any] = {"hexagons": 61, "days": 150}
TARGETS = {"ours_over_fastest_peer": 250, "hourly_over_fastest_peer": 10, "ours_over_limit": 2}


@click.command()
@of_a_city
@click.option("--peers", help="Interpreter of the peers' environment; without it ours alone is measured.")
@click.option("--peer", "names", multiple=True, default=tuple(PEERS), help="Only these.")
@click.option("--hidden", default=64, show_default=True, help="Width of the state, everybody's.")
@click.option("--rounds", default=5, show_default=True)
def main(
    config: str | None,
    overrides: tuple[str, ...],
    peers: str | None,
    names: tuple[str, ...],
    hidden: int,
    rounds: int,
    small: bool,
    output: Path | None,
) -> None:
    """Ours and the peers on one city."""
    with ExitStack() as stack:
        ours = stack.enter_context(Worker(sys.executable, "ours.py"))
        if small:
            cube, updates = simulated(**SMALL), 2
            city = ours.ask("simulate", settings={"model": {"hidden": hidden}}, **SMALL)
        else:
            overrides, updates = (*overrides, f"model.hidden={hidden}"), 16
            cube, gold = built(load(str(config), overrides))
            city = ours.ask("open", path=config, overrides=overrides, gold=str(gold))
        data = Path(stack.enter_context(TemporaryDirectory())) / "counts.npz"
        np.savez(data, counts=cube.dense(max(0, cube.steps - HANDED_OVER)).numpy(), edges=cube.edges)
        sides: dict[str, Callable[[], float]] = {
            "ours": lambda: per_origin(ours.ask("steps", count=updates)),
            "ours, 168 hourly steps": lambda: per_origin(ours.ask("hourly", count=4, hours=HOURS)),
        }
        facts = {}
        for name in names if peers else ():
            peer = stack.enter_context(Worker(str(peers), "peers.py", name, str(data), str(hidden)))
            sides[name] = lambda peer=peer: per_origin(peer.ask("steps", count=1))  # type: ignore[misc]
            facts[name] = peer.ask("facts")
        seconds = turns(sides, rounds)
        limit, epoch = ours.ask("limit"), per_origin(ours.ask("epoch"))
        settings = ours.ask("facts")
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    fastest = min(set(medians) & set(names), key=medians.__getitem__, default="ours")
    found = {
        "unit": "seconds of a training origin",
        "city": {key: city[key] for key in ("hexagons", "categories", "hours")},
        "fastest_peer": fastest if fastest in names else "not measured",
        "sides": summary(seconds, fastest),
        "epoch": significant(epoch),
        "limit": {name: significant(value) for name, value in limit.items()},
        "ours_over_limit": significant(medians["ours"] / limit["seconds"]),
        "targets": TARGETS,
        "ours": settings,
        "peers": facts,
    }
    report("origin", found, output)


def per_origin(done: dict[str, Any]) -> float:
    """Seconds an origin took, of an answer."""
    return float(np.sum(done["seconds"]) / np.sum(done["origins"]))


if __name__ == "__main__":
    main()
