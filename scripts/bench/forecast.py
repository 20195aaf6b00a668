"""The forecast of the next 24 hours from a kept walk, against a replay of the record.

    python scripts/bench/forecast.py                        # 500 and 1,000 hexagons, 3 seeds and 1, a year
    python scripts/bench/forecast.py --days 2000 --rounds 3 # as long a record as Denver's: replays take minutes

A city is simulated and networks of chance weights are calibrated by hand: what a forecast costs does not depend on
what was learned. Yesterday's walk is kept; then the forecast of today is made three ways, in turns:

    replay  the whole record, as without a kept walk
    file    the state file opened and checked, the record hashed, one step walked, the level found (not yet kept again)
    step    the same with the walk already restored and the record checked: one step and the level

`write_s` is what it takes to keep today's walk. All ways must give the same intensities but
for what float32 rounds where a stretch is walked patch by patch: within 5e-6 of each (four units of log λ).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from cities import simulated
from stforecast.features.reader import Reader, Scales, axes_of
from stforecast.forecasters.gcrn.walk import Trained
from stforecast.forecasters.kept import Kept
from stforecast.forecasters.level import Issued, at_level, with_earlier
from stforecast.forecasters.members import Members
from stforecast.forecasters.walking import Walk, as_array
from timing import report, summary, turns
from torch import nn

from stforecast.config import parse
from stforecast.cube import Cube
from stforecast.forecasters.base import Calibrated
from stforecast.forecasters.gcrn.forecaster import GCRN, patch_steps
from stforecast.forecasters.gcrn.inputs import sizes_of
from stforecast.forecasters.gcrn.network import network_of
from stforecast.forecasters.gcrn.propagation import Graph
from stforecast.scoring.calibration import Calibration


class Looking(Kept):
    """Uses what is kept and leaves it as it is."""

    def _keep(self, *_: Any) -> None:
        pass


def network(cube: Cube, hidden: int, seed: int) -> GCRN:
    """A network whose weights are chance, small enough that rates stay near the city's."""
    config = parse({"city": "bench", "seed": seed, "model": {"hidden": hidden}, "training": {"device": "cpu"}}, "bench")
    torch.manual_seed(seed)
    scales = Scales.of(cube, cube.steps // 2)
    reader = Reader(cube, scales, patch_steps(config, cube), "cpu")
    settings = {"model": config.model.model_dump(), "sizes": vars(sizes_of(reader)), "scales": scales.plain()}
    settings |= {"patch": reader.patch, **axes_of(cube)}
    forecaster = GCRN(config)
    best, graph = network_of(settings), Graph(config.model.conv, reader.edges, cube.n)
    for layer in (best.key, best.by_hexagon, best.by_target):
        nn.init.normal_(layer.weight, std=0.02)
    forecaster.module = Trained(settings, reader.edges, best, graph).to(forecaster.device)
    return forecaster


def sides(model: Calibrated, cube: Cube, folder: Path, found: dict[str, np.ndarray]) -> dict[str, Callable[[], float]]:
    """The three ways, each of which measures itself and leaves its intensities in `found`."""
    issues, looking = np.array([cube.steps]), Looking(folder, print)
    walking = model.forecaster.walking()
    assert walking is not None
    (path,) = folder.iterdir()
    yesterday = looking._open(path)
    assert yesterday is not None
    earlier = yesterday.issued.at(with_earlier(cube, issues)[:-1])
    reader = walking.reader(cube, since=yesterday.state["next_issue"])

    def whole(kept: Kept | None) -> Callable[[], np.ndarray]:
        return lambda: model.predict(cube, issues, kept).intensity

    def step(walk: Walk) -> np.ndarray:
        newest = model.issued(issues, as_array(walk.on(1)[1][0])[None])
        return at_level(cube, issues, Issued.together([earlier, newest]))

    def timed(name: str, prepare: Callable[[], Callable[[], np.ndarray]]) -> Callable[[], float]:
        def call() -> float:
            side = prepare()
            began = time.perf_counter()
            found[name] = side()
            return time.perf_counter() - began

        return call

    def restored() -> Callable[[], np.ndarray]:
        walk = walking.walk(reader, cube.steps % reader.patch, yesterday.state)
        return lambda: step(walk)

    return {
        "replay": timed("replay", lambda: whole(None)),
        "file": timed("file", lambda: whole(looking)),
        "step": timed("step", restored),
    }


def measured(hexagons: int, days: int, seeds: int, hidden: int, rounds: int) -> dict[str, Any]:
    """One city: seconds by side, the largest difference between them, what keeping costs."""
    cube = simulated(hexagons, days, rate=0.4)  # as many events as Denver has
    before = replace(cube.with_events(cube.known_hour < cube.steps - 24), steps=cube.steps - 24)
    members = [network(cube, hidden, seed) for seed in range(seeds)]
    forecaster = Members(members[0].config, list(members)) if seeds > 1 else members[0]
    model, found = Calibrated(forecaster, Calibration((0.05,) * cube.c, (0.95,) * cube.c)), {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "state"
        model.predict(before, np.array([before.steps]), Kept(place, print))
        seconds = turns(sides(model, cube, place, found), rounds)
        size = next(place.iterdir()).stat().st_size
        began = time.perf_counter()
        model.predict(cube, np.array([cube.steps]), Kept(place, print))
        keeping = time.perf_counter() - began
    apart = max(float(np.abs(found[name] / found["replay"] - 1).max()) for name in ("file", "step"))
    if apart > 5e-6:
        raise SystemExit(f"{hexagons} hexagons, {seeds} seeds: kept and replayed forecasts differ by {apart:.1e}")
    times = summary(seconds, "replay")
    facts = {"hexagons": hexagons, "seeds": seeds, "days": days, "hidden": hidden, "events": len(cube.hour)}
    written = keeping - times["file"]["median_s"]
    return {**facts, "state_bytes": size, "write_s": round(written, 4), "largest_difference": apart, "seconds": times}


@click.command()
@click.option("--hexagons", multiple=True, default=(500, 1000), show_default=True)
@click.option("--seeds", multiple=True, default=(3, 1), show_default=True)
@click.option("--days", default=365, show_default=True)
@click.option("--hidden", default=64, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
def main(
    hexagons: tuple[int, ...], seeds: tuple[int, ...], days: int, hidden: int, rounds: int, output: Path | None
) -> None:
    """Measure forecasts from kept walks against replays."""
    runs = [measured(n, days, count, hidden, rounds) for n in hexagons for count in seeds]
    report("forecast", {"runs": runs}, output)


if __name__ == "__main__":
    main()
