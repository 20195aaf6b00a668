"""The forecast of the next 24 hours from a kept state, against a replay of the record.

    python scripts/bench/forecast.py                        # 500 and 1,000 hexagons, 3 seeds and 1, a year
    python scripts/bench/forecast.py --days 2000 --rounds 3 # as long a record as Denver's: replays take minutes

A city is simulated and networks of chance weights are calibrated by hand: what a forecast costs does not depend on
what was learned. Yesterday's state is kept; then the forecast of today is made three ways, in turns:

    replay  the whole record, as without a kept state
    file    the state file opened and checked, the record hashed, one step, the level found (not yet kept again)
    step    the same with the state already restored and the record checked: one step and the level

`write_s` is what it takes to keep today's state. All ways must give the same intensities but
for what float32 rounds where a segment is read patch by patch: within 5e-6 of each (four units of log λ).
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
from timing import report, summary, turns
from torch import nn

from stforecast.cube import Cube
from stforecast.features.builder import FeatureBuilder, clone_state
from stforecast.features.scaling import Scales
from stforecast.forecasters.calibrated import ValidationFit
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.inputs import patch_steps
from stforecast.forecasters.gcrn.network import network_of
from stforecast.forecasters.gcrn.propagation import Graph
from stforecast.forecasters.gcrn.trained import Trained
from stforecast.forecasters.gcrn.training import settings_of
from stforecast.forecasters.recalibration import PastForecasts, recalibrated, steps_needed
from stforecast.forecasters.state_cache import StateCache
from stforecast.scoring.calibration import Calibration


class ReadOnly(StateCache):
    """Uses what is kept and leaves it as it is."""

    def _keep(self, *_: Any) -> None:
        pass


def network(cube: Cube, hidden: int, seeds: int) -> GCRN:
    """A calibrated network whose weights are chance, small enough that rates stay near the city's."""
    model = GCRN(hidden=hidden, device="cpu", seeds=seeds)
    model.scales = Scales.of(cube, cube.steps // 2)
    builder = FeatureBuilder(cube, model.scales, patch_steps(model.config, cube))
    settings = settings_of(model.config, builder)
    for seed in model.seeds:
        torch.manual_seed(seed)
        best, graph = network_of(settings), Graph(model.config.model.conv, builder.edges, cube.n, cube.c)
        for layer in (best.key, best.by_own, best.by_target):
            nn.init.normal_(layer.weight, std=0.02)
        model.fits.append(Trained(settings, builder.edges, best, graph).to(model.device))
    model.calibrated = ValidationFit(Calibration((0.05,) * cube.c, (0.95,) * cube.c))
    return model


def sides(model: GCRN, cube: Cube, folder: Path, found: dict[str, np.ndarray]) -> dict[str, Callable[[], float]]:
    """The three ways, each of which measures itself and leaves its intensities in `found`."""
    issues, cache = np.array([cube.steps]), ReadOnly(folder, print)
    (path,) = folder.iterdir()
    yesterday = cache._open(path)
    assert yesterday is not None
    earlier = yesterday.past.at(steps_needed(cube, issues)[:-1])
    reader = model.reader(cube, since=int(yesterday.state["next_issue"]))

    def whole(cache: StateCache | None) -> np.ndarray:
        return model.forecast(cube, issues, cache).intensity

    def timed(name: str, forecast: Callable[..., np.ndarray], prepare: Callable[[], Any]) -> Callable[[], float]:
        def call() -> float:
            ready = prepare()
            began = time.perf_counter()
            found[name] = forecast(ready)
            return time.perf_counter() - began

        return call

    def step(state: dict[str, Any]) -> np.ndarray:
        newest = model.step(reader, state, 1, {cube.steps})[cube.steps]
        past = PastForecasts.joined([earlier, model.fitted.past(cube, issues, newest[None])])
        return recalibrated(cube, issues, past)

    return {
        "replay": timed("replay", whole, lambda: None),
        "file": timed("file", whole, lambda: cache),
        "step": timed("step", step, lambda: clone_state(yesterday.state)),
    }


def measured(hexagons: int, days: int, seeds: int, hidden: int, rounds: int) -> dict[str, Any]:
    """One city: seconds by side, the largest difference between them, what keeping costs."""
    cube = simulated(hexagons, days, rate=0.4)  # as many events as Denver has
    before = replace(cube.with_events(cube.known_hour < cube.steps - 24), steps=cube.steps - 24)
    model, found = network(cube, hidden, seeds), dict[str, np.ndarray]()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "state"
        cache = StateCache(place, print)
        model.forecast(before, np.array([before.steps]), cache)
        seconds = turns(sides(model, cube, place, found), rounds)
        size = next(place.iterdir()).stat().st_size
        began = time.perf_counter()
        model.forecast(cube, np.array([cube.steps]), cache)
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
    """Measure forecasts from kept states against replays."""
    runs = [measured(n, days, count, hidden, rounds) for n in hexagons for count in seeds]
    report("forecast", {"runs": runs}, output)


if __name__ == "__main__":
    main()
