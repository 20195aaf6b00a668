"""Forecasters on a published grid, and the table of what each scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from metrics import Metric

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.files import write_json
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.registry import create_forecaster, in_order, kind_of
from stforecast.scoring.bootstrap import Interval, day_weights, difference, interval
from stforecast.scoring.splits import Split

DRAWS = 2000

Row = Mapping[str, Metric | float]
"""A metric by its name: measured here, or a published number."""


def intensities(
    cube: Cube, split: Split, config: Config, issues: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Every configured forecaster: name, λ of the step after each issue as fitted and as delivered, [m n c] each.

    Delivered is calibrated to risk, and follows the city's level.
    """
    fitted: dict[str, Forecaster] = {}
    for name in in_order(config):
        parts = {part: fitted[part] for part in kind_of(name, config).needs(config)}
        with TemporaryDirectory() as folder:  # without one the network keeps its last epoch, not its best
            one = fitted[name] = create_forecaster(name, config, parts).fit(cube, split, Path(folder))
        yield name, one.raw(cube, issues)[:, 0], one.forecast(cube, issues).intensity[:, 0]


def measured(rows: Mapping[str, Row], days: int, block_days: int, against: str) -> dict[str, Any]:
    """Every metric of every row with its 95 % interval over blocks of days, and its difference from the row `against`.

    The same days are drawn for all rows, so that differences are paired.
    """
    weights = day_weights(days, DRAWS, block_days)
    draws = {
        (name, key): metric.draws(weights)
        for name, row in rows.items()
        for key, metric in row.items()
        if isinstance(metric, Metric)
    }
    result: dict[str, Any] = {}
    for name, row in rows.items():
        result[name] = {}
        for key, metric in row.items():
            if not isinstance(metric, Metric):
                result[name][key] = {"estimate": metric}
                continue
            entry = _plain(interval(draws[name, key]))
            if name != against and (against, key) in draws:
                entry["difference"] = _plain(difference(draws[name, key], draws[against, key]))
            result[name][key] = entry
    return result


def publish(title: str, result: Mapping[str, Any], against: str, out: Path | None) -> None:
    """Print the result; `out` receives it as JSON and as Markdown."""
    text = markdown(result, against)
    click.echo(f"\n{text}")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / f"{title}.json", result)
        (out / f"{title}.md").write_text(text, encoding="utf-8")


def markdown(result: Mapping[str, Any], against: str) -> str:
    """Two tables: estimates with their intervals, and differences from the row `against`."""

    def estimate(entry: dict[str, Any]) -> str:
        return _number(entry["estimate"]) + (
            f" [{_number(entry['low'])}, {_number(entry['high'])}]" if "low" in entry else ""
        )

    def change(entry: dict[str, Any]) -> str:
        return estimate(entry["difference"]) if "difference" in entry else ""

    kept = {name: row for name, row in result.items() if any("difference" in entry for entry in row.values())}
    return "\n".join([*_lines(result, estimate), "", f"Minus *{against}*:", "", *_lines(kept, change), ""])


def _lines(result: Mapping[str, Any], cell: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    keys = list(dict.fromkeys(key for row in result.values() for key in row))
    yield "| | " + " | ".join(key.replace("|", "\\|") for key in keys) + " |"
    yield "|---" * (len(keys) + 1) + "|"
    for name, row in result.items():
        yield f"| {name} | " + " | ".join(cell(row[key]) if key in row else "" for key in keys) + " |"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 5 else f"{value:.4f}"


def _plain(bounds: Interval) -> dict[str, Any]:
    return {"low": bounds.low, "estimate": bounds.estimate, "high": bounds.high}
