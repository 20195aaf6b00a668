"""A training origin of a large city where memory that is freed is kept, and where the C library gives it back.

    python scripts/bench/allocator.py --output allocator.json
    python scripts/bench/allocator.py --small

Both sides are this checkout on the same simulated city, in processes of their own that take turns; they must learn the
same. `peak_mb` is the largest resident memory of each, less what was resident after the imports.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click
from timing import report, summary, turns
from workers import Worker

SIDES = {"given back": False, "kept": True}


@click.command()
@click.option("--hexagons", default=20_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--updates", default=4, show_default=True, help="Of a round.")
@click.option("--small", is_flag=True, help="61 hexagons, in seconds.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
def main(hexagons: int, rounds: int, updates: int, small: bool, output: Path | None) -> None:
    """Seconds of a training origin, and peak memory."""
    size = {"hexagons": 61 if small else hexagons, "days": 150}
    workers = {name: Worker(sys.executable, "ours.py") for name in SIDES}
    losses: dict[str, list[float]] = {name: [] for name in workers}
    peaks = {}

    def taking_turns(name: str, worker: Worker) -> float:
        done = worker.ask("steps", count=updates)
        losses[name] += done["losses"]
        peaks[name] = done["peak"] >> 20
        return sum(done["seconds"]) / sum(done["origins"])

    for name, worker in workers.items():
        worker.ask("simulate", settings={}, keep=SIDES[name], **size)
    seconds = turns({name: partial(taking_turns, name, worker) for name, worker in workers.items()}, rounds)
    for worker in workers.values():
        worker.close()
    if losses["kept"] != losses["given back"]:
        raise SystemExit(f"the sides did not learn the same: {losses}")
    facts = {"unit": "seconds of a training origin", "hexagons": size["hexagons"], "peak_mb": peaks}
    report("allocator", facts | {"sides": summary(seconds, "given back")}, output)


if __name__ == "__main__":
    main()
