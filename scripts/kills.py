"""Kill verbs at random moments, and let two of one verb work at once.

    python scripts/kills.py [--kills 100] [--pairs 50] [--verb ingest ...]

A killed verb, run again, must give what it gives undisturbed, byte for byte, and leave nothing unfinished. Of two that
begin at once, in one and in two spaces of process ids (where `unshare --pid` is allowed, as for two containers on a
shared volume), one must do the work, and the other end with exit code 6 and name who is at work, or find all done.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from faults import CONFIG, VERBS, Trial
from trial import SMALL, copied, finish, import_all, start, tried


def killed(trial: Trial, name: str, rng: random.Random, took: dict[str, float]) -> str | None:
    """What is wrong after a verb was killed at a moment of its work, and was run again."""
    copied(trial.before[name], trial.root)
    if name not in took:
        began = time.monotonic()
        tried(trial.work(name))
        took[name] = time.monotonic() - began
        copied(trial.before[name], trial.root)
    tried(trial.work(name), kill_after=rng.uniform(0.01, took[name]))
    return trial.wrong_again(name)


def together(trial: Trial, name: str, spaces: bool, rng: random.Random) -> str | None:
    """What is wrong after two of a verb worked at once; the second begins a little later."""
    copied(trial.before[name], trial.root)
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / "1", Path(folder) / "2"]
        for place in places:
            place.mkdir()
        if spaces:
            command = [sys.executable, "-m", "stforecast", name, CONFIG, f"root={trial.root}", *SMALL]
            pair = [
                subprocess.Popen(
                    ["unshare", "--pid", "--fork", "--mount-proc", *command],
                    stdout=(place / "out").open("w"),
                    stderr=(place / "err").open("w"),
                )
                for place in places
            ]
            codes = [one.wait() for one in pair]
            errors = [(place / "err").read_text() for place in places]
        else:
            first = start(trial.work(name), places[0])
            time.sleep(rng.uniform(0, 0.3))
            second = start(trial.work(name), places[1])
            outcomes = [finish(first, places[0]), finish(second, places[1])]
            codes, errors = [one.code for one in outcomes], [one.errors for one in outcomes]
    if sorted(codes) not in ([0, 0], [0, 6]):
        return f"ended with {codes}: {errors}"
    if 6 in codes and "is at work" not in errors[codes.index(6)]:
        return f"did not say who is at work: {errors}"
    return trial.wrong_now(name)


@click.command()
@click.option("--kills", default=100, show_default=True)
@click.option("--pairs", default=50, show_default=True)
@click.option("--verb", "names", multiple=True, type=click.Choice(VERBS), help="Default: all.")
@click.option("--seed", default=0, show_default=True)
def main(kills: int, pairs: int, names: tuple[str, ...], seed: int) -> None:
    """Kill, and let two work at once; exit code 1 where something was wrong."""
    import_all()
    rng, took, wrong, names = random.Random(seed), dict[str, float](), list[str](), names or VERBS
    allowed = subprocess.run(["unshare", "--pid", "--fork", "true"], check=False, capture_output=True).returncode == 0
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), names)
        for number in range(kills):
            name = names[number % len(names)]
            wrong += [f"{name} killed: {reason}"] if (reason := killed(trial, name, rng, took)) else []
        click.echo(f"{kills} kills, {len(wrong)} wrong")
        before = len(wrong)
        for number in range(pairs):
            name, spaces = names[number % len(names)], allowed and number // len(names) % 2 == 1
            reason = together(trial, name, spaces, rng)
            wrong += [f"two {name}{', two spaces of ids' if spaces else ''}: {reason}"] if reason else []
        where = "half of them in two spaces of process ids" if allowed else "in one space of process ids"
        click.echo(f"{pairs} pairs, {where}, {len(wrong) - before} wrong")
    for line in wrong:
        click.echo(f"    {line}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
