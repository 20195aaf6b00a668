"""Damage every file that the package reads back: is it told in a line, mended, or does another number come out?

    python scripts/damage.py CONFIG root=FOLDER [--each 30] [--small] [--quick]

The city of the configuration is made under the root where it is not there yet (a simulated one is best). Then every
file of events, cube, run, states, predictions, scorecard, grids and store is cut short or changed `--each` times, by a
bit, a digit, an exponent, a byte or a block, and the verbs that read it are run on a copy. Each must end with one line
that names the file and with exit code 5 (or 3, 4), or give what it gives undisturbed; in less than 2 GB of memory. Exit
code 1 where one does not.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from trial import SMALL, Outcome, copied, damages, digests, import_all, tried, verb

MEMORY = 2000.0
"""The most that a verb may hold, MB."""
UNREAD = (".png", ".html", ".md", ".csv", ".geojson", ".yaml", ".lock")
"""Endings of files that people and other programs open, and no verb."""


@dataclass(frozen=True)
class Reading:
    """A kind of file by how its path begins, what is removed so that it must be read, and the verbs that read it."""

    name: str
    path: str
    without: tuple[str, ...]
    verbs: tuple[str, ...]


READINGS = (
    Reading("partitions", "data/{city}/partitions", ("data/{city}/silver",), ("ingest",)),
    Reading("events", "data/{city}/silver", ("data/{city}/gold",), ("build",)),
    Reading("cube", "data/{city}/gold", ("data/{city}/grids", "{run}/state"), ("forecast",)),
    Reading("grids", "data/{city}/grids", (), ("map",)),
    Reading("store", "data/{city}/forecasts.sqlite", ("data/{city}/grids",), ("refresh",)),
    Reading("states", "{run}/state", ("data/{city}/grids",), ("forecast",)),
    Reading("predictions", "{run}/predictions", ("{run}/scorecard.json",), ("evaluate",)),
    Reading("backtest", "{run}/backtest", (), ("backtest",)),
    Reading("scorecard", "{run}/scorecard.json", (), ("evaluate", "report")),
    Reading("progress", "{run}/gcrn/progress", ("{run}/gcrn/calibration.json", "{run}/run.json"), ("train",)),
    Reading("run", "{run}", ("data/{city}/grids", "{run}/state", "{run}/scorecard.json"), ("forecast", "evaluate")),
    Reading("latest", "checkpoints/{city}/latest", ("data/{city}/grids",), ("forecast",)),
)


class City:
    """A city on disk, and what each kind of file's verbs give undisturbed."""

    def __init__(self, config: str, overrides: tuple[str, ...], base: Path, work: Path) -> None:
        self.config, self.overrides, self.base, self.work = config, overrides, base, work
        self.city = next((base / "checkpoints").iterdir()).name
        self.run = f"checkpoints/{self.city}/" + (base / "checkpoints" / self.city / "latest").read_text().strip()
        self.expected = dict[str, dict[str, str]]()

    def path(self, pattern: str) -> str:
        """A path of `READINGS` in this city."""
        return pattern.format(city=self.city, run=self.run)

    def files(self, reading: Reading) -> list[Path]:
        """The files of a kind that no kind before it holds, relative to the root."""
        before = [self.path(one.path) for one in READINGS[: READINGS.index(reading)]]
        root = self.base / self.path(reading.path)
        found = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        names = [path.relative_to(self.base) for path in found if path.suffix not in UNREAD]
        return [name for name in names if not any(name.is_relative_to(other) for other in before)]

    def verb(self, name: str) -> Callable[[], None]:
        """A verb on the copy."""
        return verb(name, self.config, self.work, overrides=self.overrides)

    def prepared(self, reading: Reading) -> None:
        """A copy in which the files of a kind have to be read."""
        copied(self.base, self.work)
        for name in reading.without:
            path = self.work / self.path(name)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def tried(self, reading: Reading) -> list[Outcome]:
        """The verbs of a kind, in turn, until one ends with an error."""
        found = []
        for name in reading.verbs:
            found.append(tried(self.verb(name)))
            if found[-1].code:
                break
        return found

    def wrong(self, reading: Reading, file: Path, content: bytes) -> str | None:
        """What is wrong where a file has other content; None where it is told or nothing follows from it."""
        self.prepared(reading)
        if reading.name not in self.expected:
            outcomes = self.tried(reading)
            assert not outcomes[-1].code, outcomes[-1].errors
            self.expected[reading.name] = digests(self.work)
            self.prepared(reading)
        path = self.work / file
        path.unlink()
        path.write_bytes(content)
        outcomes = self.tried(reading)
        last, most = outcomes[-1], max(outcome.peak for outcome in outcomes)
        if most > MEMORY:
            return f"took {most:,.0f} MB"
        if not last.sound:
            lines = last.errors.strip().splitlines()
            return f"ended with {last.code}: {lines[-1] if lines else 'no word'}"
        if last.code == 0:
            found, expected = digests(self.work), self.expected[reading.name]
            mine = {file.as_posix()}  # a damaged file that is no result of these verbs stays as it is
            other = [name for name in {*found, *expected} - mine if found.get(name) != expected.get(name)]
            if other:
                return f"another {sorted(other)[0]} without a word"
        return None


def made(config: str, overrides: tuple[str, ...], root: Path) -> None:
    """Make the city where it is not there yet."""
    for name in ("run", "backtest", "refresh", "report"):
        outcome = tried(verb(name, config, root, overrides=overrides))
        if outcome.code:
            raise click.ClickException(f"{name}: {outcome.errors}")


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1, metavar="root=FOLDER [KEY=VALUE]...")
@click.option("--each", default=30, show_default=True, help="Damages a file.")
@click.option("--small", is_flag=True, help="The settings of a city that every verb is done with within seconds.")
@click.option("--quick", is_flag=True, help="One file of each name, damaged once.")
@click.option("--seed", default=0, show_default=True)
def main(config: str, overrides: tuple[str, ...], each: int, small: bool, quick: bool, seed: int) -> None:
    """Damage every file of a city; exit code 1 where something came out wrong."""
    roots = [word.removeprefix("root=") for word in overrides if word.startswith("root=")]
    if not roots:
        raise click.UsageError("Give root=FOLDER, where the city is or is to be made.")
    rest = (*(SMALL if small else ()), *(word for word in overrides if not word.startswith("root=")))
    import_all()
    total, failed = 0, 0
    with tempfile.TemporaryDirectory(dir=roots[0] if Path(roots[0]).is_dir() else None) as folder:
        base, work = Path(folder) / "base", Path(folder) / "city"
        root = Path(roots[0])
        made(config, rest, root)
        for name in ("data", "checkpoints"):
            copied(root / name, base / name)
        city = City(config, rest, base, work)
        found = {reading: city.files(reading) for reading in READINGS}
        if quick:
            each, deepest = 1, sorted((file for files in found.values() for file in files), key=lambda f: -len(f.parts))
            chosen = {*{file.name: file for file in deepest}.values()}
            found = {reading: [file for file in files if file in chosen] for reading, files in found.items()}
        for reading, files in found.items():
            wrong, tries = dict[str, int](), 0
            for file in files:
                rng = random.Random(f"{seed} {file}")
                for what, content in damages((base / file).read_bytes(), rng, each):
                    tries += 1
                    if reason := city.wrong(reading, file, content):
                        wrong[f"{file}, {what}: {reason}"] = 1
            total, failed = total + tries, failed + len(wrong)
            click.echo(f"{reading.name}: {len(files)} files, {tries} damages, {len(wrong)} wrong")
            for line in wrong:
                click.echo(f"    {line}")
    click.echo(f"{total} damages, {failed} wrong")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
