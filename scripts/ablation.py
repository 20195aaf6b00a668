"""What the network's channels are worth: leave one out, fit again, compare on the same days of the test slice.

    python scripts/ablation.py configs/reference/synthetic.yaml root=runs

Each variant is fitted, calibrated and scored as `stforecast run` does it. Differences are the variant's deviance minus
the full network's (positive: the channel pays), × 10⁵, with paired 95 % intervals over weekly blocks of days.

    no graph          no hexagon knows its neighbours: no convolution, no excitation, no log-ratios of the ring
    no propagation    conv: none, the network's own graph: convolution and excitation; the ring's log-ratios stay
    no excitation     recent events add nothing to their hexagon and its neighbours but what the log-ratios tell
    no recurrence     nothing is carried from patch to patch but climatology: neither hidden state nor log-ratios
    no hidden state   the log-ratios stay
    no weather        neither observed nor forecast
    shuffled          every event moved by a random number of whole weeks, so that climatology is all there is to learn;
                      the network's deviance minus that of its own offset, λ₀, must not differ from nil
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np

from stforecast.config import Config, load, parse
from stforecast.cube import Cube, Series
from stforecast.features.climatology import SLOW
from stforecast.features.targets import outcomes, scored
from stforecast.files import write_json
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.gcrn import forecaster, inputs, segments, training
from stforecast.forecasters.gcrn.excitation import Excitation
from stforecast.forecasters.gcrn.network import Inputs
from stforecast.forecasters.registry import create_forecaster
from stforecast.pipeline.stages import Stages
from stforecast.scoring.bootstrap import Draws, day_weights, difference, mean_draws
from stforecast.scoring.metrics import daily_losses, skill
from stforecast.scoring.splits import Split


@contextmanager
def forgetful() -> Iterator[None]:
    """The network reads zeros for its features and for the ratios by hour of recurrence."""
    whole = inputs.inputs_of

    def without(*given: Any) -> Inputs:
        x = whole(*given)
        return replace(x, own=x.own * 0, shared=x.shared * 0, seasonal=x.seasonal * 0)

    with ExitStack() as patched:
        for module in (forecaster, segments, training):
            patched.enter_context(patch.object(module, "inputs_of", without))
        yield


def calm() -> Any:
    """The network's excitation is next to nothing."""
    return patch.object(Excitation, "forward", lambda *_: 0.0)


def shuffled(cube: Cube) -> Cube:
    """Every event moved to the same hour of the week of a random week."""
    week = 7 * 24 // cube.step_hours
    slot = cube.hour % week
    hour = np.random.default_rng(0).integers((cube.steps - slot - 1) // week + 1) * week + slot  # to the last step
    order = np.argsort(hour, kind="stable")
    moved = replace(
        cube,
        weather=Series(),
        future=Series(),
        hour=hour.astype(np.int32),
        known_hour=hour.astype(np.int32),
        until_hour=None,
    )
    return moved.with_events(order)


@dataclass(frozen=True)
class Variant:
    """How the network or its cube is changed."""

    model: dict[str, object] | None = None
    cube: Callable[[Cube], Cube] = lambda cube: cube
    remembers: bool = True
    excitation: bool = True


VARIANTS = {
    "full": Variant(),
    "no graph": Variant(cube=lambda cube: replace(cube, edges=np.zeros((2, 0), np.int64))),
    "no propagation": Variant(model={"conv": "none"}),
    "no excitation": Variant(excitation=False),
    "no recurrence": Variant(model={"carry_state": False}, remembers=False),
    "no hidden state": Variant(model={"carry_state": False}),
    "no weather": Variant(cube=lambda cube: replace(cube, weather=Series(), future=Series())),
    "shuffled": Variant(cube=shuffled),
}


def losses(name: str, cube: Cube, split: Split, config: Config, folder: Path) -> np.ndarray:
    """Daily deviance on the test slice, [m]."""
    fitted = create_forecaster(name, config).fit(cube, split, folder)
    intensity = fitted.forecast(cube, scored(cube, split, "test")).intensity
    return daily_losses(intensity, outcomes(cube, split, "test"))["poisson_deviance"]


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
@click.option("--variant", "chosen", multiple=True, type=click.Choice(list(VARIANTS)), help="Default: all.")
def main(config: str, overrides: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    """Fit the variants and write ablation.json beside the city's runs."""
    stages = Stages(load(config, overrides), click.echo)
    stages.ingest()
    cube = stages.build()
    split = stages.split(cube)
    weights, folder = day_weights(len(scored(cube, split, "test"))), stages.place.runs / "ablation"
    draws: dict[str, Draws] = {}

    def add(label: str, name: str, given: Cube, settings: Config) -> None:
        draws[label] = mean_draws(losses(name, given, split, settings, folder / label.replace(" ", "_")), weights)
        click.echo(f"{label:28s} deviance {draws[label].estimate:.6f}")

    add("rolling climatology", "rolling_climatology", cube, stages.config)
    with patch.object(RollingClimatology, "half_lives", {"hour": SLOW}):
        add("shuffled climatology", "rolling_climatology", shuffled(cube), stages.config)
    for label in dict.fromkeys(["full", *(chosen or VARIANTS)]):
        variant, plain = VARIANTS[label], stages.config.model_dump(mode="json")
        plain["model"] |= variant.model or {}
        with nullcontext() if variant.remembers else forgetful(), nullcontext() if variant.excitation else calm():
            add(label, "gcrn", variant.cube(cube), parse(plain, label))

    result: dict[str, Any] = {"deviance": {label: draw.estimate for label, draw in draws.items()}}
    if (limit := stages.oracle(cube, split)) is not None:
        oracle = float(daily_losses(limit, outcomes(cube, split, "test"))["poisson_deviance"].mean())
        result["oracle"] = oracle
        result["skill"] = skill(draws["full"].estimate, draws["rolling climatology"].estimate, oracle)
        click.echo(f"oracle {oracle:.6f}: skill of the full network {result['skill']:.1%}")
    result["cost"] = {}
    for label in draws:
        base = "shuffled climatology" if label == "shuffled" else "full"
        if label not in ("full", "shuffled climatology"):
            i = difference(draws[label], draws[base])
            result["cost"][label] = [1e5 * i.low, 1e5 * i.estimate, 1e5 * i.high]
            low, estimate, high = result["cost"][label]
            click.echo(f"{label:22s} − {base:20s} {estimate:+7.1f} [{low:+.1f}, {high:+.1f}] × 1e-5")
    write_json(folder / "ablation.json", result)
    click.echo(f"wrote {folder / 'ablation.json'}")


if __name__ == "__main__":
    main()
