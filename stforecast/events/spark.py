"""Files read on several machines: each call is a task of Apache Spark.

Spark runs in a process of its own, and so its Java machine, its handler of Ctrl-C and what it prints end with the call.
Jobs and outcomes are pickled over the pipes between the two, which no one else writes to; no file is unpickled.
Every machine needs this package and sees the files, the root and the current folder under the same paths.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import chdir, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

from tqdm import tqdm

from stforecast.errors import ConfigError, StforecastError, in_brief

Job = TypeVar("Job")
Result = TypeVar("Result")
LOCAL = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
"""Where the workers are processes of this machine, no other one is listened to."""
SETTINGS = {"spark.ui.enabled": "false", "spark.log.level": "ERROR", "spark.sql.session.timeZone": "UTC"}
REASON = re.compile(r"^.*(?:Error: |ERROR |Exception in|JAVA_HOME|/java:).*$", re.MULTILINE)
"""The line that matters among all that Spark says when it fails."""


def spark_map(master: str, call: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """What a call makes of each of some jobs, in their order.

    Args:
        master: Spark's master URL.
        call: made by workers; it and the jobs are pickled. It may be made twice where a machine is lost.
        jobs: a task each.

    Raises:
        ConfigError: Spark is not installed, does not start or fails.
        Exception: of the first job that fails.
    """
    if find_spec("pyspark") is None:
        raise ConfigError("ingest.engine: pyspark is not installed. Run `pip install 'stforecast[spark]'`.")
    if not jobs:
        return []
    command = [sys.executable, "-c", f"from {__name__} import main; main()"]
    given = pickle.dumps((master, call, jobs))
    # in a session of its own: Ctrl-C is for this process, which then kills the other
    answer = subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True, start_new_session=True).stdout
    outcomes: list[Result | Exception] = pickle.loads(answer)
    return [_result(outcome) for outcome in outcomes]


def _result(outcome: Result | Exception) -> Result:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def main() -> None:
    """Spark's own process: jobs from standard input, their outcomes to standard output."""
    master, call, jobs = pickle.load(sys.stdin.buffer)
    answer = os.dup(1)
    os.dup2(2, 1)  # what else is printed
    try:
        outcomes = _collect(master, call, jobs)
    except StforecastError as error:
        outcomes = [error]
    with os.fdopen(answer, "wb") as file:
        pickle.dump(outcomes, file)


def _collect(master: str, call: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result | Exception]:
    """The outcomes of the jobs; a bar shows how many are done.

    Raises:
        ConfigError: Spark does not start or fails.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with _session(master) as context, ThreadPoolExecutor(1) as thread:
        outcomes = context.parallelize(jobs, len(jobs)).map(partial(_outcome, call, Path.cwd()))
        found: Future[list[Result | Exception]] = thread.submit(outcomes.collect)
        tracker = context.statusTracker()
        with tqdm(total=len(jobs), unit="file", desc="ingest", disable=None) as bar:
            while wait([found], 0.5).not_done:
                stages = filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
                bar.update(max((stage.numCompletedTasks for stage in stages), default=bar.n) - bar.n)
            bar.update(len(jobs) - bar.n)
        try:
            return found.result()
        except Exception as error:
            raise ConfigError(
                f"ingest.engine: Spark failed on {master} ({_reason(str(error), error)}). Each of its machines needs "
                "this package, and the files, the root and the current folder under the same paths as here."
            ) from None


@contextmanager
def _session(master: str) -> Iterator[Any]:
    """Spark's context, stopped afterwards.

    Raises:
        ConfigError: it does not start.
    """
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(master).appName("stforecast ingest")
    for key, value in (SETTINGS | (LOCAL if master.startswith("local") else {})).items():
        builder = builder.config(key, value)
    terminal = os.dup(2)
    with TemporaryFile() as log:
        os.dup2(log.fileno(), 2)  # where the Java machine that is started here writes
        try:
            session = builder.getOrCreate()
        except Exception as error:
            log.seek(0)
            raise ConfigError(
                f"ingest.engine: Spark does not start on {master} ({_reason(log.read().decode(), error)}). It needs "
                "Java 17 or newer on the path or in JAVA_HOME, and a master that answers (ingest.master)."
            ) from None
        finally:
            os.dup2(terminal, 2)
    try:
        yield session.sparkContext
    finally:
        session.stop()


def _reason(said: str, error: Exception) -> str:
    found = REASON.search(said)
    return " ".join(found[0].split())[:200] if found else in_brief(error)


def _outcome(call: Callable[[Job], Result], here: Path, job: Job) -> Result | Exception:
    """What a worker makes of a job: an error comes back as it is, without Spark's words."""
    try:
        with chdir(here):  # relative paths begin there
            return call(job)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return error
