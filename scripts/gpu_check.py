"""Whether a GPU trains and forecasts as it should, in one run of under ten minutes.

    python scripts/gpu_check.py FOLDER --output bench/gpu_check.json     (FOLDER holds Denver's crime.csv.gz)
    python scripts/gpu_check.py                                          (a simulated city; on a CPU a small one)

Measured are the device's own limits (a large product, a large copy); training origins with 1, 8 and 32 streams in
bfloat16, with the network's step compiled and not, and their share of these limits; whole fits and the test deviance
they reach, on the GPU and on the CPU; and how far forecasts differ from those of the same weights on the CPU.
Arithmetic counts the matrix products, memory what each operation reads and writes; a compiled step joins some of them,
and is held to the same counts. What stays in a cache is faster than a copy, so that a small city's share
of memory can exceed 1. A CPU is measured at less: 1 and 8 streams, nothing compiled.

Each section has a time of its own and ends with it. One that fails or is stopped says so, and the next begins in a new
process. What was found is written after each, so that a run that is cut short leaves its figures.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

import click

sys.path.append(str(Path(__file__).with_name("bench")))

from cities import built
from timing import machine, significant
from workers import ROOT, Worker

from stforecast.config import load
from stforecast.files import write_json

CONFIG = str(ROOT / "configs/reference/denver.yaml")
SIZES = {"cuda": {"hexagons": 442, "days": 2099}, "cpu": {"hexagons": 120, "days": 427}}
"""Of the simulated city: Denver's for a GPU, the quickstart's for a CPU."""
ENOUGH = 5
"""Seconds without which a section does not begin."""
NOT = "not_measured"
"""What a section has that found nothing, and why."""
Facts = dict[str, Any]


class Check:
    """Questions to a worker on the device, until the time is over; `facts` holds what was found, by section."""

    def __init__(self, minutes: float, output: Path | None) -> None:
        self.output, self.end = output, time.monotonic() + 60 * minutes
        self.facts: Facts = {"benchmark": "gpu_check", "sections": {}}
        self.city: Facts = {}
        self.worker: Worker | None = None

    def ask(self, within: float, what: str, training: Facts | None = None, **arguments: Any) -> Facts:
        """The answer `within` so many seconds, of the city with these settings of `training`, or as it stands."""
        limit = min(within, self.end - time.monotonic())
        if limit < ENOUGH:
            return {NOT: "no time was left"}
        self.worker = worker = self.worker or Worker(sys.executable, "on_device.py")
        clock, began = Timer(limit, worker.process.kill), time.monotonic()
        clock.start()
        try:
            if training is not None:
                self.facts["city"] = self._open(worker, training)
            return worker.ask(what, **arguments)
        except RuntimeError as error:
            self.worker = None
            return {NOT: f"stopped after {limit:.0f} s" if time.monotonic() - began >= limit else str(error)}
        finally:
            clock.cancel()

    def _open(self, worker: Worker, training: Facts) -> Facts:
        if "gold" not in self.city:
            return worker.ask("simulate", settings={"training": training}, **self.city)
        settings = [f"training.{key}={value}" for key, value in training.items()]
        overrides = [*self.city["overrides"], *settings]
        return worker.ask("open", path=CONFIG, overrides=overrides, gold=self.city["gold"])

    def add(self, section: str, found: Facts) -> Facts:
        """Keep what a section found, and tell it."""
        self.facts["sections"][section] = found
        click.echo(f"{section:34s} {told(found)}")
        if self.output:
            write_json(self.output, self.facts | {"machine": machine()})
        return found

    def close(self) -> None:
        """End the worker."""
        if self.worker:
            self.worker.close()


def shares(found: Facts, asked: Facts, limits: Facts, precision: str) -> Facts:
    """What measured origins take of the device's limits; `asked`: what one asks for. Nothing where one is unknown."""
    if NOT in found or NOT in limits or "flop" not in asked:
        return {}
    seconds = found["seconds_per_origin"]
    arithmetic = asked["flop"] / seconds / limits["flop_per_second"][precision]
    memory = asked["bytes"] / seconds / limits["bytes_per_second"]
    return {"share_of_arithmetic": significant(arithmetic), "share_of_memory": significant(memory)}


def side_by_side(streams: int) -> str:
    """So many streams, in words."""
    return f"{streams} stream{'s' if streams > 1 else ''}"


def told(found: Facts) -> str:
    """A section in a line."""
    if NOT in found:
        return f"not measured: {found[NOT]}"
    if "kind" in found:
        rates = ", ".join(f"{value / 1e12:.3g} TFLOP/s in {kind}" for kind, value in found["flop_per_second"].items())
        return f"{found['name']}: {rates}; copies {found['bytes_per_second'] / 1e9:.3g} GB/s"
    if "deviance" in found:
        return f"{found['seconds']:.1f} s, test deviance {found['deviance']:.5f}"
    if "forecasts" in found:
        times = ", ".join(f"{side} {value:.2f} s" for side, value in found["seconds"].items())
        return f"{found['forecasts']} days: {times}; λ differs by {found['largest_relative_difference']:.1e} at most"
    parts = [f"{1000 * found['seconds_per_origin']:.3g} ms an origin, loss {found['loss']:.4f}"]
    if "share_of_memory" in found:
        parts.append(f"{found['share_of_arithmetic']:.2%} of arithmetic, {found['share_of_memory']:.1%} of memory")
    if "peak_bytes" in found:
        parts.append(f"{found['peak_bytes'] / 1e9:.2g} GB")
    return "; ".join(parts)


@click.command()
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--minutes", default=9.0, show_default=True, help="For all sections together.")
@click.option("--seconds", default=6.0, show_default=True, help="Of training that is timed, a section.")
@click.option("--epochs", default=10, show_default=True, help="Of a fit.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
def main(folder: Path | None, minutes: float, seconds: float, epochs: int, output: Path | None) -> None:
    """The sections, from those that tell most."""
    check = Check(minutes, output)
    with ExitStack() as stack:
        stack.callback(check.close)
        limits = check.add("limits", check.ask(60, "limits"))
        gpu = limits.get("kind") == "cuda"
        found = [folder / name for name in ("crime.csv.gz", "crime.csv") if (folder / name).is_file()] if folder else []
        if found:
            root = stack.enter_context(TemporaryDirectory())
            overrides = [f"source.path={found[0].resolve()}", f"root={root}"]
            check.city = {"overrides": overrides, "gold": str(built(load(CONFIG, overrides))[1])}
        else:
            click.echo("The city is a simulated one" + (f": {folder} holds no crime.csv.gz." if folder else "."))
            check.city = SIZES["cuda" if gpu else "cpu"]
        asked: Facts = {}

        def origins(streams: int, precision: str, box: float, compiled: bool = False) -> None:
            training = {"streams": streams, "compile": compiled}
            one = check.ask(box, "timed", training, precision=precision, seconds=seconds)
            asked.setdefault(streams, one)
            name = f"{side_by_side(streams)}, {precision}{', compiled' if compiled else ''}"
            check.add(name, one | shares(one, asked[streams], limits, precision))

        def fit(streams: int, box: float, device: str = "auto") -> None:
            training = {"streams": streams, "max_epochs": epochs, "device": device}
            check.add(
                f"fit, {side_by_side(streams)}{', CPU' if device == 'cpu' else ''}", check.ask(box, "fit", training)
            )

        every = (1, 8, 32) if gpu else (1, 8)
        for streams in every:
            origins(streams, "bfloat16" if gpu else "float32", 45)
        origins(8, "float32" if gpu else "bfloat16", 45)
        for streams in every:
            fit(streams, 120)
        check.add("the same weights on the CPU", check.ask(60, "beside_cpu"))
        if gpu:
            fit(1, 150, "cpu")
            for streams in every:
                origins(streams, "bfloat16", 90, compiled=True)


if __name__ == "__main__":
    main()
