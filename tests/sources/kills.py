"""Fetches that are killed at random moments, and drops and throttling between: what a rerun must make of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from fetched_city import pull, record, rows, stages_of, truth
from publisher import Asked, Publisher, Reply, serving
from publisher import Table as Records
from tqdm import tqdm

from stforecast.errors import StforecastError
from stforecast.sources.pulls import check

LIMIT, ROWS = 25, 500


def killed_at(publisher: Publisher, root: Path, kind: str, seconds: float) -> int:
    """Fetch in a process of its own that is killed after some seconds; its exit code."""
    child = os.fork()
    if not child:
        code = 1
        tqdm.set_lock(threading.RLock())  # its own: the usual one is shared, and is never released by what is killed
        try:
            pull(stages_of(root, publisher.url, kind))
            code = 0
        except StforecastError:
            code = 3
        finally:
            os._exit(code)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def interrupted(kind: str, root: Path, rng: random.Random, times: int) -> int:
    """Fetch a table with so many interruptions, and what changed behind it; how many there were in truth."""
    records, done = Records(), 0
    records.put(rows(0, ROWS))
    with serving(records, limit=LIMIT) as publisher:
        pages = {"file": 1}.get(kind, -(-ROWS // LIMIT))

        def fault(asked: Asked, reply: Reply) -> Reply:
            time.sleep(0.004)  # or all is there before it is killed
            lot = rng.random()
            if lot < 0.05:
                return Reply(b"", status=429, headers={"Retry-After": "0"})
            return reply if lot > 0.08 else Reply(reply.body, reply.kind, cut=len(reply.body) // 2)

        publisher.fault = fault
        while done < times:
            ends = list[int]()
            while 0 not in ends and len(ends) < rng.randint(1, 6):
                ends.append(killed_at(publisher, root, kind, rng.uniform(0.005, 0.25)))
            done += ends.count(-signal.SIGKILL)
            stages = stages_of(root, publisher.url, kind)
            if 0 not in ends:
                pull(stages)
            for path in stages.place.bronze.glob("fetched/*"):
                check(path)
            assert record(stages) == truth(records.rows), "not the publisher's rows"
            left = [path for path in stages.place.bronze.rglob(".*") if path.name != ".lock"]
            assert not left, f"left behind: {left}"
            faults = 0.1 * pages + 8
            twice = _asked_twice(publisher, kind)
            assert twice <= 7 + faults, f"{twice} of {pages} pages were asked for again"
            publisher.asked.clear()
            if rng.random() < 0.5:
                shutil.rmtree(stages.place.bronze)
            else:
                records.put(rows(rng.randrange(ROWS), ROWS + 1, rng.choice(["theft", "burglary"])))
    return done


def _asked_twice(publisher: Publisher, kind: str) -> int:
    """How many requests for a page were made before; the first page is asked for again at the end of a pull."""
    # a fetch that was killed when all was done is followed by one of the same changes
    texts = [asked.text for asked in publisher.asked if asked.is_page and not asked.of_changes]
    return 0 if kind == "file" else max(len(texts) - len(set(texts)) - 1, 0)


if __name__ == "__main__":
    import tempfile

    for name in ("socrata", "arcgis", "ckan", "file"):
        with tempfile.TemporaryDirectory() as folder:
            number = interrupted(name, Path(folder), random.Random(0), int(sys.argv[1]) if len(sys.argv) > 1 else 200)
            print(f"{name}: {number} interruptions, none wrong")
