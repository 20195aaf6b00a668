"""What late reports cost: every forecaster on the record as it became known, and as if all were known at once.

    python scripts/cost_of_lag.py configs/denver.yaml 'evaluation.forecasters=[rolling_climatology, gcrn]'

Both records hold the same events in the same hexagons (those of the reports that were known when training ended), and
every forecast is held to the same final counts of the test slice.

    at once      fitted, calibrated and read with every event known in its own hour (known_time: occurred, no embargo)
    as known     fitted, calibrated and read as the configuration says: what live use has
    unprepared   fitted and calibrated on the record at once, but read as known: what a forecaster that was made from a
                 finished export does in live use. The network cannot: late reports are inputs that it would not have
                 learned to read.

Differences are from `at once`, with paired 95 % intervals over weekly blocks of days.
"""

from __future__ import annotations

from dataclasses import asdict

import click

from stforecast.config import load, parse
from stforecast.cube import Cube
from stforecast.cube.build import build
from stforecast.errors import ConfigError
from stforecast.features.targets import outcomes, scored
from stforecast.files import write_json
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.registry import create_forecaster, in_order, kind_of, names_of
from stforecast.pipeline.stages import Stages
from stforecast.scoring.bootstrap import Draws, average_precision_draws, day_weights, difference, mean_draws
from stforecast.scoring.intensity import pool
from stforecast.scoring.metrics import daily_losses
from stforecast.scoring.splits import Slice, Split

READS_ARRIVALS = {"gcrn"}
"""Forecasters whose inputs are of another shape on a record without late reports."""
UNITS = {"average_precision": ("AP", 1.0), "poisson_deviance": ("deviance × 10³", 1e3)}

Scores = dict[str, Draws]


def records(stages: Stages) -> tuple[Cube, Cube]:
    """The record as it became known, and at once, in the same hexagons.

    Raises:
        ConfigError: nothing in the record is late.
    """
    table, config = stages.ingest(), stages.config
    known = build(table, config)
    if not known.late:
        raise ConfigError(
            f"known_time: {known.notes['known_time']}, embargo_hours: {config.embargo_hours}: every event is known in "
            "its own hour, so lag costs nothing. Set known_time=reported where reports carry their time, or an embargo."
        )
    at_once = parse(config.model_dump(mode="json") | {"known_time": "occurred", "embargo_hours": 0}, "at once")
    return known, build(table, at_once, known.cells.tolist())


def costs(stages: Stages, which: Slice = "test") -> dict[str, dict[str, Scores]]:
    """Draws of each metric, by forecaster and by what it was given."""
    known, at_once = records(stages)
    split = stages.split(known)
    issues, truth = scored(at_once, split, which), outcomes(at_once, split, which)
    weights = day_weights(len(issues), seed=stages.config.seed)

    def scores(fitted: Forecaster, cube: Cube) -> Scores:
        intensity = fitted.forecast(cube, issues).intensity
        deviance = daily_losses(intensity, truth)["poisson_deviance"]
        precision = average_precision_draws(pool(intensity), pool(truth), weights)
        return {"average_precision": precision, "poisson_deviance": mean_draws(deviance, weights)}

    ideal, real = fits(stages, at_once, split, "at_once"), fits(stages, known, split, "as_known")
    out: dict[str, dict[str, Scores]] = {}
    for name, kind in names_of(stages.config).items():
        out[name] = {"at once": scores(ideal[name], at_once), "as known": scores(real[name], known)}
        if not {name, *kind.needs(stages.config)} & READS_ARRIVALS:
            out[name]["unprepared"] = scores(ideal[name], known)
    return out


def fits(stages: Stages, cube: Cube, split: Split, folder: str) -> dict[str, Forecaster]:
    """Every forecaster, fitted on a record."""
    out: dict[str, Forecaster] = {}
    for name in in_order(stages.config):
        parts = {part: out[part] for part in kind_of(name, stages.config).needs(stages.config)}
        place = stages.place.runs / "cost_of_lag" / folder / name
        out[name] = create_forecaster(name, stages.config, parts).fit(cube, split, place)
    return out


def report(found: dict[str, dict[str, Scores]]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """The estimates and their differences from `at once`, printed and as plain values."""
    plain: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for name, given in found.items():
        plain[name] = {}
        for label, scores in given.items():
            plain[name][label], said = {}, []
            for metric, (title, unit) in UNITS.items():
                gap = difference(scores[metric], given["at once"][metric])
                plain[name][label][metric] = {"value": scores[metric].estimate, **asdict(gap)}
                text = f"{title} {unit * scores[metric].estimate:.4f}"
                low, middle, high = (unit * value for value in (gap.low, gap.estimate, gap.high))
                said.append(text if label == "at once" else f"{text}  {middle:+.4f} [{low:+.4f}, {high:+.4f}]")
            click.echo(f"{name:24s}{label:12s}" + "   ".join(said))
    return plain


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
def main(config: str, overrides: tuple[str, ...]) -> None:
    """Fit every forecaster of `evaluation.forecasters` on both records and write cost_of_lag.json."""
    stages = Stages(load(config, overrides), click.echo)
    plain = report(costs(stages))
    path = stages.place.runs / "cost_of_lag" / "cost_of_lag.json"
    write_json(path, plain)
    click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
