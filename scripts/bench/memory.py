"""Peak memory of a training run beside what `stforecast doctor` predicts.

    python scripts/bench/memory.py configs/reference/denver.yaml source.path=… root=… --output memory.json
    python scripts/bench/memory.py configs/quickstart.yaml root=/tmp/quickstart
    python scripts/bench/memory.py --simulated 4000
    python scripts/bench/memory.py --small

Measured: the largest resident memory of a process that opens the cube and fits the network for one epoch, validation
included, less what was resident after the imports. Predicted: the items of `cost` that a training run holds. Beside
the run as a whole stand its parts, in processes of their own: updates without validation, and validation.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from cities import built
from timing import report, significant
from workers import Worker

from stforecast.config import load

SMALL: dict[str, Any] = {"hexagons": 61, "days": 200}
NOT_OF_TRAINING = ("forecasts of a year",)
TARGET = {"measured_over_predicted": [0.8, 1.2]}
PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "updates": ("steps", {"count": 10}),
    "validation": ("validate", {}),
    "run": ("fit", {}),
}
MB = 1 << 20


@click.command()
@click.argument("config", required=False)
@click.argument("overrides", nargs=-1)
@click.option("--simulated", "hexagons", type=int, help="A simulated city of so many hexagons and 400 days instead.")
@click.option("--small", is_flag=True, help="A small simulated city, the run alone, in seconds.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
def main(
    config: str | None, overrides: tuple[str, ...], hexagons: int | None, small: bool, output: Path | None
) -> None:
    """Measured and predicted MB of one city."""
    if config is None and not small and hexagons is None:
        raise click.UsageError("Give a configuration, --simulated HEXAGONS or --small.")
    overrides = (*overrides, "training.max_epochs=1")
    gold = None if config is None else built(load(config, overrides))[1]
    sizes = SMALL if small else {"hexagons": hexagons, "days": 400}
    measured: dict[str, float] = {}
    for part in ["run"] if small else PARTS:
        with Worker(sys.executable, "ours.py") as ours:
            if gold is None:
                city = ours.ask("simulate", settings={"training": {"max_epochs": 1}}, **sizes)
            else:
                city = ours.ask("open", path=config, overrides=overrides, gold=str(gold))
            measured["cube"] = round(city["peak"] / MB, 1)
            request, arguments = PARTS[part]
            measured[part] = round(ours.ask(request, **arguments)["peak"] / MB, 1)
            items, settings = ours.ask("predicted"), ours.ask("facts")
    predicted = {item: round(size / MB, 1) for item, size in items.items()}
    total = sum(size for item, size in predicted.items() if item not in NOT_OF_TRAINING)
    found = {
        "unit": "MB",
        "city": {key: city[key] for key in ("hexagons", "categories", "hours")},
        "measured_peak": measured,
        "predicted": predicted,
        "predicted_of_training": round(total, 1),
        "measured_over_predicted": significant(measured["run"] / total, 3),
        "target": TARGET,
    }
    report("memory", found | settings, output)


if __name__ == "__main__":
    main()
