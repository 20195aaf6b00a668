"""Tables and curves of `scripts/first_day.py`, from its files: every city, length of record and forecaster in them.

    python scripts/first_day_table.py denver.json chicago.json --against rolling_climatology --curve first_day.svg

Figures of one city, slice and length that lie in several files are put together, so that forecasters can be measured
one after another; their differences are paired all the same.

    Δ   the forecaster of `--against` minus that of the row, deviance × 10⁵ and average precision, with paired 95 %
        intervals over weekly blocks

The curve has a panel a city: deviance minus that of `--against` over the days of record, with the same intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from stforecast.errors import ConfigError, StforecastError
from stforecast.evaluation.differences import Sample, differences
from stforecast.files import atomic_path, read_json
from stforecast.scoring.bootstrap import Blocks, Draws, of_blocks

SHOWN = ("poisson_deviance", "average_precision")
SCALE = {"poisson_deviance": (1e5, 1), "average_precision": (1, 4), "calibration_slope": (1, 3)}
"""Factor of the unit shown, and decimals."""
ACROSS = 3
"""Panels in a row of the curves."""
TICKS = (0, *(sign * tick for tick in (5, 10, 20, 50, 100, 200, 500, 1000) for sign in (-1, 1)))
SAME = ("first", "until", "issues", "hexagons", "categories", "calibrated_days", "known_time")
"""What results must share to be put together."""


def blocks_of(result: Mapping[str, Any]) -> Blocks:
    """The blocks of days that differences are drawn from."""
    return Blocks.of(result["issues"], result["step"], result["horizons"])


def compared(result: Mapping[str, Any], against: str) -> dict[str, Any]:
    """The forecaster `against` minus each other one, by the other's name: as `differences` has it of a pair."""
    blocks = blocks_of(result)
    weights, samples = blocks.weights(result["issues"]), {}
    for name, entry in result["forecasters"].items():
        daily = np.array(entry["daily_deviance"])
        losses = Sample.of_losses({"poisson_deviance": daily}, weights, None)
        drawn = Draws(entry["average_precision"], np.array(entry["precision_draws"], float))
        samples[name] = Sample({"average_precision": drawn, **losses.draws}, losses.daily)
    ordered = {against: samples.pop(against), **samples}
    return {pair.removeprefix(f"{against} - "): found for pair, found in differences(ordered, blocks).items()}


def number(key: str, value: float | None, sign: bool = False) -> str:
    """A figure as shown."""
    scale, decimals = SCALE[key]
    return "–" if value is None else f"{value * scale:{'+' if sign else ''}.{decimals}f}"


def interval(key: str, found: Mapping[str, float]) -> str:
    """A difference and its interval as shown."""
    low, estimate, high = (number(key, found[part], sign=True) for part in ("low", "estimate", "high"))
    return f"{estimate} [{low}, {high}]" if found["blocks"] > 1 else estimate


def sentence(result: Mapping[str, Any]) -> str:
    """What was scored."""
    return (
        f"{result['city']}, {result['slice']} slice, {result['record_days']} days of record before it (the last "
        f"{result['calibrated_days']} calibrate), {result['issues']} daily issues from {result['first'][:10]}, "
        f"{result['hexagons']} hexagons, categories: {', '.join(result['categories'])}; "
        f"known_time: {result['known_time']}; {of_blocks(blocks_of(result).count)}."
    )


def table(result: Mapping[str, Any], against: str) -> str:
    """The table of one length of record, lowest deviance first."""
    pairs = compared(result, against)
    heads = ["forecaster", "deviance × 10⁵", "AP", "slope", f"Δ deviance: {against} −", "Δ AP", "seeds", "s"]
    rows = [heads]
    for name, entry in sorted(result["forecasters"].items(), key=lambda item: item[1]["poisson_deviance"]):
        cells = [name, *(number(key, entry[key]) for key in SCALE)]
        cells += [interval(key, pairs[name][key]) if name in pairs else "" for key in SHOWN]
        rows.append([*cells, str(entry["seeds"]), "{fit:.0f} + {forecast:.0f}".format(**entry["seconds"])])
    unfair = [f"{name} {entry['unfair']}." for name, entry in result["forecasters"].items() if entry.get("unfair")]
    return "\n".join([sentence(result), *unfair, "", *markdown(rows)])


def markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for i, row in enumerate(rows):
        yield "| " + " | ".join(map(str.ljust, row, widths)) + " |"
        if not i:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"


def reference(result: Mapping[str, Any], against: str | None) -> str:
    """The forecaster that the others are compared with: the one named, else the first.

    Raises:
        ConfigError: it is not among them.
    """
    names = [*result["forecasters"]]
    if against is None or against in names:
        return against or names[0]
    raise ConfigError(f"--against: {against!r} is not one of {', '.join(names)}.")


def merged(files: Sequence[Path]) -> list[dict[str, Any]]:
    """The results of several files, in the order of city, slice and length; those of the same days put together.

    Raises:
        ConfigError: two of one city, slice and length are of other days, or give a forecaster other figures.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for file in files:
        for result in read_json(file, "Run scripts/first_day.py again.")["results"]:
            key = (result["city"], result["slice"], result["record_days"])
            known = found.setdefault(key, {**result, "forecasters": {}})
            if other := [name for name in SAME if known[name] != result[name]]:
                raise ConfigError(
                    f"{file}: {', '.join(map(str, key))}: another {', '.join(other)} than in a file before."
                )
            for name, entry in result["forecasters"].items():
                if known["forecasters"].setdefault(name, entry)["daily_deviance"] != entry["daily_deviance"]:
                    raise ConfigError(
                        f"{file}: {', '.join(map(str, key))}: {name} has other figures in a file before. Leave one out."
                    )
    return [found[key] for key in sorted(found)]


def draw(results: Sequence[Mapping[str, Any]], against: str, path: Path) -> None:
    """The curves of every city, as SVG or PNG, where `against` was measured.

    Raises:
        ConfigError: the name of the file tells neither.
    """
    if path.suffix not in (".svg", ".png"):
        raise ConfigError(f"--curve: {path}: expected a name that ends in .svg or .png.")
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    cities = list(dict.fromkeys(result["city"] for result in results))
    columns, rows = min(len(cities), ACROSS), -(-len(cities) // ACROSS)
    figure = Figure((4.2 * columns + 2, 3.6 * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, 1 + i) for i in range(len(cities))]
    names = list(dict.fromkeys(name for result in results for name in result["forecasters"] if name != against))
    looks = {name: (colormaps["tab10"](i % 10), "os^Dv"[i // 10]) for i, name in enumerate(names)}
    handles: dict[str, Any] = {}
    for city, axis in zip(cities, axes, strict=True):
        mine = [result for result in results if result["city"] == city]
        for place, name in enumerate(names):
            points = [
                (result["record_days"] * 1.03**place, compared(result, against)[name]["poisson_deviance"])
                for result in mine
                if {name, against} <= {*result["forecasters"]}
            ]
            if points:
                days, pairs = zip(*points, strict=True)
                low, middle, high = (
                    -1e5 * np.array([pair[key] for pair in pairs]) for key in ("high", "estimate", "low")
                )
                colour, marker = looks[name]
                spread = [middle - low, high - middle]
                handles[name] = axis.errorbar(days, middle, spread, color=colour, marker=marker, ms=3, lw=1)
        axis.axhline(0, color="0.4", lw=0.8)
        lengths = [result["record_days"] for result in mine]
        axis.set_xscale("log")
        axis.set_xticks(lengths, map(str, lengths), minor=False)
        axis.set_xticks([], minor=True)
        axis.set_yscale("symlog", linthresh=20)
        bottom, top = axis.get_ylim()
        axis.set_yticks([tick for tick in TICKS if bottom <= tick <= top], minor=False)
        axis.yaxis.set_major_formatter("{x:.0f}")
        axis.set(title=city, xlabel="days of record")
    figure.supylabel(f"deviance × 10⁵ minus that of {against} (lower is better)", fontsize="medium")
    known = [name for name in names if name in handles]
    figure.legend([handles[name] for name in known], known, loc="outside right center", frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:])


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--against", help="Forecaster that the others are compared with; default the first of each result.")
@click.option("--curve", type=click.Path(dir_okay=False, path_type=Path), help="SVG or PNG to write.")
def main(files: tuple[Path, ...], against: str | None, curve: Path | None) -> None:
    """Print the tables of all results in FILES, and draw their curves."""
    try:
        results = merged(files)
        for result in results:
            click.echo(table(result, reference(result, against)) + "\n")
        if curve:
            draw(results, reference(results[0], against), curve)
    except StforecastError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
