"""A country: one epoch over 100,000 hexagons × 5 years × 3 categories, in the memory that `stforecast doctor` predicts.

    python scripts/bench/country.py --output country.json
    python scripts/bench/country.py --small

A simulated disc of H3 cells; a process of its own fits the network for one epoch, validation included. About half an
hour on two cores.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from timing import report, significant
from workers import Worker

COUNTRY: dict[str, Any] = {"hexagons": 100_000, "days": 1826, "categories": 3, "rate": 0.03}
SMALL: dict[str, Any] = {"hexagons": 200, "days": 200, "categories": 3, "rate": 0.1}
SETTINGS = {"training": {"max_epochs": 1, "device": "auto"}, "split": {"train": 0.9, "validation": 0.02}}
NOT_OF_TRAINING = ("a year of daily forecasts",)
GB = 1e9


@click.command()
@click.option("--days", default=COUNTRY["days"], show_default=True)
@click.option("--small", is_flag=True, help="A small city, in seconds.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
def main(days: int, small: bool, output: Path | None) -> None:
    """Memory predicted and measured, and seconds."""
    sizes = SMALL if small else COUNTRY | {"days": days}
    with Worker(sys.executable, "ours.py") as ours:
        city = ours.ask("simulate", settings=SETTINGS, **sizes)
        items, done = ours.ask("predicted"), ours.ask("fit")
    predicted = sum(size for item, size in items.items() if item not in NOT_OF_TRAINING)
    found = {
        "city": {key: city[key] for key in ("hexagons", "categories", "hours")} | {"rate": sizes["rate"]},
        "seconds": round(done["seconds"], 1),
        "peak_gb": significant(done["peak"] / GB, 3),
        "predicted_gb": {item: significant(size / GB, 3) for item, size in items.items()},
        "measured_over_predicted": significant(done["peak"] / predicted, 3),
    }
    report("country", found, output)


if __name__ == "__main__":
    main()
