"""What the trials of durability share: a small city, verbs in child processes, and digests of what stands on disk."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a fork of a process with threads of OpenMP would wait for them

SMALL = (
    *("synthetic.hexagons=37", "synthetic.days=120", "training.max_epochs=1", "training.warm_up_days=28", "seeds=1"),
    *("evaluation.forecasters=[gcrn,rolling_climatology,xgboost]", "model.hidden=8"),
    *("backtest.folds=2", "backtest.test_days=7", "weather.path=null", "weather.forecast_path=null"),
    "weather.channels={}",
)
"""Overrides of the quickstart configuration for a city that every verb is done with within seconds."""
TYPED = (3, 4, 5, 6)
"""Exit codes of errors that are told in a line."""
COMPARED = ("*.parquet", "*.json", "*.safetensors", "*.npy", "*.csv", "*.geojson")
"""Files whose bytes are the result of a stage: the same again after any rerun."""
VOLATILE = ("ingest.json", "simulated.json", "hashes.json", "partition.json", "index.json", "ingests-000001.parquet")
"""Files that say when they were made; their folder's other files are compared."""


@dataclass(frozen=True)
class Outcome:
    """How a verb ended. code: its exit code, minus the signal that ended it. peak: the most memory it held, MB."""

    code: int
    output: str
    errors: str
    peak: float

    @property
    def typed(self) -> bool:
        """Whether it ended with an error told in one line."""
        lines = [line for line in self.errors.splitlines() if line.startswith("error: ")]
        return self.code in TYPED and len(lines) == 1

    @property
    def sound(self) -> bool:
        """Whether it did its work, or said in a line why it did not."""
        return self.code == 0 or self.typed


def start(work: Callable[[], object], output: Path) -> int:
    """A child process that does `work` with standard output and error in files of the folder `output`; its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        work()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def finish(child: int, output: Path) -> Outcome:
    """Wait for a child of `start`."""
    _, status, usage = os.wait4(child, 0)
    texts = [(output / name).read_text(errors="replace") if (output / name).exists() else "" for name in ("out", "err")]
    return Outcome(os.waitstatus_to_exitcode(status), *texts, usage.ru_maxrss / 1024)


def tried(work: Callable[[], object], kill_after: float | None = None) -> Outcome:
    """How `work` ends in a child process; killed with all of its own after so many seconds where they are given."""
    with tempfile.TemporaryDirectory() as folder:
        child = start(work, Path(folder))
        if kill_after is not None:
            signal.signal(signal.SIGALRM, lambda *_: _kill(child))
            signal.setitimer(signal.ITIMER_REAL, kill_after)
        found = finish(child, Path(folder))
        signal.setitimer(signal.ITIMER_REAL, 0)
        return found


def _kill(child: int) -> None:
    with suppress(ProcessLookupError):  # it ended by itself just now
        os.killpg(child, signal.SIGKILL)


def verb(name: str, config: str, root: Path, *more: str, overrides: Iterable[str] = SMALL) -> Callable[[], None]:
    """A verb of the command line on the city of a configuration under `root`."""

    def work() -> None:
        from stforecast.cli import main

        main([name, config, f"root={root}", *overrides, *more])

    return work


def import_all() -> None:
    """Import here what the verbs need, so that children have it."""
    import stforecast.delivery.export
    import stforecast.delivery.map
    import stforecast.forecasters.gcrn.fitting
    import stforecast.pipeline.backtesting
    import stforecast.pipeline.pages
    import stforecast.pipeline.refresh
    import stforecast.reports.page  # noqa: F401


def copied(base: Path, to: Path) -> Path:
    """A copy of a city that costs no time: files are shared, and replaced, never rewritten; but databases are."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(base, to, copy_function=_shared)
    return to


def _shared(source: str, target: str) -> None:
    if any(mark in Path(source).name for mark in (".sqlite", ".lock", ".jsonl", ".tfevents")):
        shutil.copy2(source, target)
    else:
        os.link(source, target)


def digests(root: Path) -> dict[str, str]:
    """A digest of every file of a city that is a stage's result, by its path under `root`."""
    found = {path for pattern in COMPARED for path in root.rglob(pattern)}
    kept = sorted(path for path in found if path.name not in VOLATILE and not _passing(path.relative_to(root)))
    out = {path.relative_to(root).as_posix(): _digest(path) for path in kept}
    for path in sorted(root.rglob("forecasts.sqlite")):
        out[path.relative_to(root).as_posix()] = _stored(path)
    return out


def _digest(path: Path) -> str:
    """Of a file's content; of what was seen first, of everything but when."""
    if path.parent.name == "seen":
        return hashlib.sha256(pq.read_table(path).drop_columns("seen_at").to_pandas().to_csv().encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _passing(path: Path) -> bool:
    return any(part.startswith(".") or part in ("state", "progress", "bronze") for part in path.parts)


def _stored(path: Path) -> str:
    from stforecast.delivery.store import Store

    store = Store(f"sqlite:///{path}", path.parent.name)
    try:
        current = store.state().current
        if current is None:
            return "empty"
        stored = store.open(current)
        return hashlib.sha256(stored.grid.intensity.tobytes() + str(stored.grid.issue_time).encode()).hexdigest()
    finally:
        store.close()


def leftovers(root: Path) -> list[str]:
    """Files and folders that some process left unfinished."""
    return sorted(str(path.relative_to(root)) for path in root.rglob(".*") if not path.name.startswith(".lock"))


def damages(content: bytes, rng: random.Random, count: int) -> Iterable[tuple[str, bytes]]:
    """Truncations and flips of a file's content, with what each is.

    Flips fall anywhere, onto digits (of JSON and text), onto the exponents of 32-bit numbers, and over whole blocks.
    """
    size = len(content)
    kinds = rng.sample(("cut", "bit", "digit", "exponent", "block", "byte"), 6)
    for number in range(count):
        kind, at = kinds[number % len(kinds)], rng.randrange(max(size, 1))
        out = bytearray(content)
        digits = [i for i, byte in enumerate(content[at : at + 4096], at) if 48 <= byte < 58] if kind == "digit" else []
        if not size or kind == "cut":
            out = out[:at] if size else bytearray(b"\0")
        elif digits:
            at = rng.choice(digits)
            out[at] = 48 + (out[at] - 48 + rng.randrange(1, 10)) % 10
        elif kind == "exponent":
            at = min(at // 4 * 4 + 3, size - 1)
            out[at] ^= 0x40
        elif kind == "block":
            end = min(at + 512, size)
            out[at:end] = bytes(end - at) if any(out[at:end]) else b"\xff" * (end - at)
        else:
            out[at] ^= 1 << rng.randrange(8) if kind != "byte" else 0xFF
        yield f"{kind} at {at} of {size}", bytes(out)
