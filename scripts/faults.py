"""Let every file operation of the package fail: does the old result open, and does a rerun give the uninterrupted one?

    python scripts/faults.py [--each 100] [--verb ingest --verb build ...]

A small simulated city goes through the verbs. For each verb every operation on a file of the city is counted (open,
create, read, write, fsync, rename, exchange, link, unlink, mkdir, truncate; those of Arrow, PyTorch and SQLite too),
and then made to fail: each kind of operation on each kind of file once, and `--each` more drawn at random; by turns the
disk is full, the device broken, the operation half done, the process killed. The verb must end well or with one line;
run again it must give what it gives undisturbed, byte for byte, and leave nothing unfinished. Needs a C compiler (cc).
"""

from __future__ import annotations

import ctypes
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from trial import Outcome, copied, digests, import_all, leftovers, tried, verb

KINDS = ("full disk", "input/output error", "half done", "killed")
KILLED = KINDS.index("killed")
VERBS = ("ingest", "build", "train", "evaluate", "forecast", "backtest", "refresh", "report")
CONFIG = "configs/quickstart.yaml"


def preload() -> None:
    """Start this script anew under the library that makes file operations fail."""
    if "faults.so" in os.environ.get("LD_PRELOAD", ""):
        return
    library = Path(tempfile.mkdtemp()) / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "LD_PRELOAD": str(library)})


def armed(work: Callable[[], object], root: Path, kind: int, number: int, log: int = -1) -> Callable[[], None]:
    """`work` with its operation of that number below `root` failing."""

    def begun() -> None:
        ctypes.CDLL(None).faults_arm(os.fsencode(root), kind, ctypes.c_long(number), log)
        work()

    return begun


def sites(work: Callable[[], object], root: Path) -> list[str]:
    """The operations of `work` on files below `root`, in order: what is done, and on which kind of file."""
    with tempfile.TemporaryFile() as log:
        outcome = tried(armed(work, root, 0, 0, log.fileno()))
        assert outcome.code == 0, outcome.errors
        log.seek(0)
        lines = log.read().decode().splitlines()
    return [re.sub(r"[0-9a-f]{8,}|[0-9]+", "#", line) for line in lines]


class Trial:
    """Verbs, up to the last of `names`, on one small city, each from the state that the verb before it left."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        verbs = VERBS[: 1 + max(map(VERBS.index, names))]
        self.root, self.before = folder / "city", {name: folder / name for name in verbs}
        self.expected = dict[str, dict[str, str]]()
        self.root.mkdir()
        for name in verbs:
            copied(self.root, self.before[name])
            outcome = tried(self.work(name))
            assert outcome.code == 0, f"{name}: {outcome.errors}"
            self.expected[name] = digests(self.root)

    def work(self, name: str) -> Callable[[], None]:
        """A verb on the city."""
        return verb(name, CONFIG, self.root)

    def sites(self, name: str) -> list[str]:
        """The operations of a verb."""
        copied(self.before[name], self.root)
        return sites(self.work(name), self.root)

    def wrong(self, name: str, kind: int, number: int) -> str | None:
        """What is wrong after a verb one of whose operations failed, and was run again."""
        copied(self.before[name], self.root)
        first = tried(armed(self.work(name), self.root, kind, number))
        if not (first.sound or (kind == KILLED and first.code == -9)):
            return f"ended with {first.code}: {_last(first)}"
        if first.code == 0 and (other := self.differing(name)):
            return f"ended well, and not with the result: {other}"
        return self.wrong_again(name)

    def wrong_again(self, name: str) -> str | None:
        """What is wrong after a verb is run again."""
        again = tried(self.work(name))
        if again.code:
            return f"run again it ended with {again.code}: {_last(again)}"
        return (reason := self.wrong_now(name)) and f"run again it {reason}"

    def wrong_now(self, name: str) -> str | None:
        """What is not as the verb leaves it undisturbed."""
        if other := self.differing(name):
            return f"gave another {other}"
        return f"left {left[0]}" if (left := leftovers(self.root)) else None

    def differing(self, name: str) -> str | None:
        """The first file that is not what the verb gives undisturbed."""
        found, expected = digests(self.root), self.expected[name]
        return next((path for path in sorted({*found, *expected}) if found.get(path) != expected.get(path)), None)


def _last(outcome: Outcome) -> str:
    lines = outcome.errors.strip().splitlines()
    return lines[-1] if lines else "no word"


def chosen(operations: list[str], each: int, rng: random.Random) -> list[tuple[int, int]]:
    """Numbers of operations that are to fail: the first of each kind, and others at random; and how, by turns."""
    first = {site: number for number, site in reversed([*enumerate(operations, 1)])}
    numbers = [*sorted(first.values()), *(rng.randint(1, len(operations)) for _ in range(each))]
    return [(number, i % len(KINDS)) for i, number in enumerate(numbers)]


@click.command()
@click.option("--each", default=100, show_default=True, help="Operations drawn at random for every verb.")
@click.option("--sites/--no-sites", "every", default=True, help="Whether each kind of operation fails once.")
@click.option("--verb", "names", multiple=True, type=click.Choice(VERBS), help="Default: all.")
@click.option("--seed", default=0, show_default=True)
def main(each: int, every: bool, names: tuple[str, ...], seed: int) -> None:
    """Try every verb; exit code 1 where something was wrong."""
    preload()
    import_all()
    rng, failed, total, names = random.Random(seed), 0, 0, names or VERBS
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), names)
        for name in names:
            operations = trial.sites(name)
            plan = chosen(operations, each, rng)
            plan = plan if every else plan[-each:]
            found = {}
            for number, kind in plan:
                if reason := trial.wrong(name, kind, number):
                    site = operations[number - 1]
                    found[f"{KINDS[kind]} at {site}: {reason}"] = number
            total, failed = total + len(plan), failed + len(found)
            click.echo(
                f"{name}: {len(operations):,} operations of {len({*operations})} kinds, {len(plan)} failed on "
                f"purpose, {len(found)} ended wrongly"
            )
            for line, number in found.items():
                click.echo(f"    {line} (operation {number})")
    click.echo(f"{total} faults, {failed} wrong")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
