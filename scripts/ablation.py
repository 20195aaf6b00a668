"""What the network's channels are worth: leave one out, fit again, compare on the same days of the test slice.

    python scripts/ablation.py configs/reference/synthetic.yaml root=/tmp/ablation

Each variant is fitted, calibrated and scored as in `stforecast run`. Differences are the variant's deviance minus the
full network's (positive: the channel pays), × 10⁵, with paired 95 % intervals over weekly blocks of days.
`shuffled` moves every event by a random number of whole weeks, so that only climatology is left to learn: its skill
over rolling climatology must be nil.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from stforecast.config import Config, dump, load, parse
from stforecast.cube import Cube, Series
from stforecast.evaluation.backtest import calibrate, outcomes
from stforecast.forecasters.base import forecaster_class
from stforecast.scoring.bootstrap import Draws, day_weights, difference, mean_draws
from stforecast.scoring.metrics import daily_losses, skill
from stforecast.scoring.splits import Split
from stforecast.stages import Stages

VARIANTS: dict[str, dict[str, dict[str, object]]] = {
    "full": {},
    "no graph": {"model": {"conv": "none"}},
    "no recurrence": {"model": {"carry_state": False}},
    "no weather": {},
}


def shuffled(cube: Cube, seed: int) -> Cube:
    """Every event moved to the same hour of the week of a random week."""
    week = 7 * 24
    weeks = cube.steps // week
    hour = np.random.default_rng(seed).integers(0, weeks, cube.hour.size) * week + cube.hour % week
    names = ("name", "start", "steps", "categories", "hexagons", "edges", "time_zone", "resolution", "country")
    rest = {name: getattr(cube, name) for name in names}
    return Cube.from_events(hour, cube.hexagon, cube.category, weight=cube.weight, **rest)


def losses(name: str, cube: Cube, split: Split, config: Config, folder: Path | None) -> np.ndarray:
    """Daily deviance on the test slice, [m]."""
    forecaster = forecaster_class(name)(config).fit(cube, split, folder)
    intensity = calibrate(forecaster, cube, split).forecaster.predict(cube, split.issues("test")).intensity
    return daily_losses(intensity, outcomes(cube, split, "test"))["poisson_deviance"]


@click.command()
@click.argument("path")
@click.argument("overrides", nargs=-1)
@click.option("--seeds", default=1, show_default=True, help="Fits averaged (in loss) per variant.")
def main(path: str, overrides: tuple[str, ...], seeds: int) -> None:
    stages = Stages(load(path, overrides), click.echo)
    stages.ingest()
    cube = stages.build()
    split = stages.split(cube)
    runs = stages.place.runs
    weights = day_weights(len(split.issues("test")))

    def draws(name: str, cube: Cube, config: Config, variant: str) -> Draws:
        fits = []
        for seed in range(seeds):
            folder = runs / f"{variant.replace(' ', '_')}-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            fits.append(losses(name, cube, split, config.model_copy(update={"seed": config.seed + seed}), folder))
        return mean_draws(np.mean(fits, axis=0), weights)

    found: dict[str, Draws] = {}
    for variant, change in VARIANTS.items():
        plain = stages.config.model_dump(mode="json")
        for section, values in change.items():
            plain[section].update(values)
        given = replace(cube, weather=Series(), future=Series()) if variant == "no weather" else cube
        found[variant] = draws("gcrn", given, parse(plain, variant), variant)
        click.echo(f"{variant:16s} deviance {found[variant].estimate:.6f}")
    found["climatology"] = draws("rolling_climatology", cube, stages.config, "climatology")
    limit = stages._oracle(cube, split)
    result: dict[str, object] = {"config": dump(stages.config), "deviance": {k: v.estimate for k, v in found.items()}}
    if limit is not None:
        oracle = daily_losses(limit, outcomes(cube, split, "test"))["poisson_deviance"].mean()
        result["skill"] = {k: skill(v.estimate, found["climatology"].estimate, float(oracle)) for k, v in found.items()}
        click.echo(f"oracle {oracle:.6f}; skill {json.dumps(result['skill'])}")
    lines = {}
    for variant in [*VARIANTS, "climatology"][1:]:
        i = difference(found[variant], found["full"])
        lines[variant] = [1e5 * i.low, 1e5 * i.estimate, 1e5 * i.high]
        click.echo(f"{variant:16s} costs {1e5 * i.estimate:+.1f} [{1e5 * i.low:+.1f}, {1e5 * i.high:+.1f}] × 1e-5")
    mixed = shuffled(cube, stages.config.seed)
    i = difference(
        draws("gcrn", mixed, stages.config, "shuffled"),
        draws("rolling_climatology", mixed, stages.config, "shuffled climatology"),
    )
    lines["shuffled"] = [1e5 * i.low, 1e5 * i.estimate, 1e5 * i.high]
    click.echo(
        f"shuffled: network − climatology {1e5 * i.estimate:+.1f} [{1e5 * i.low:+.1f}, {1e5 * i.high:+.1f}] × 1e-5"
    )
    result["differences"] = lines
    (runs / "ablation.json").write_text(json.dumps(result, indent=2))
    click.echo(f"wrote {runs / 'ablation.json'}", file=sys.stderr)


if __name__ == "__main__":
    main()
