"""Files read on several machines: each call is a task of Apache Spark.

Spark runs in a process of its own, and so its Java machine, its handler of Ctrl-C and what it prints end with the call.
Every machine needs this package and sees the files, the root and the current folder under the same paths.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import chdir, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from stforecast.errors import ConfigError, StforecastError, in_brief

Job = TypeVar("Job")
Result = TypeVar("Result")
LOCAL = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
"""Where the workers are processes of this machine, no other one is listened to."""
SETTINGS = {"spark.ui.enabled": "false", "spark.log.level": "ERROR", "spark.sql.session.timeZone": "UTC"}


def spark_map(master: str, call: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    """What a call makes of each of some jobs, in their order.

    Args:
        master: Spark's master URL.
        call: made by workers; it and the jobs are pickled. It may be made twice where a machine is lost.
        jobs: a task each.

    Raises:
        ConfigError: Spark is not installed or does not start.
        StforecastError: of the first job that fails.
        OSError: likewise.
    """
    if find_spec("pyspark") is None:
        raise ConfigError("ingest.engine: pyspark is not installed. Run `pip install 'stforecast[spark]'`.")
    if not jobs:
        return []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as driver:
        return [_result(outcome) for outcome in driver.submit(_collect, master, call, jobs).result()]


def _result(outcome: Result | Exception) -> Result:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _collect(master: str, call: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result | Exception]:
    """The outcomes of the jobs; a bar shows how many are done."""
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
        return found.result()


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
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # where the Java machine that is started here writes
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise ConfigError(
            f"ingest.engine: Spark does not start on {master} ({in_brief(error)}). It needs Java 17 or newer on the "
            "path or in JAVA_HOME, and a master that answers (ingest.master)."
        ) from None
    finally:
        os.dup2(terminal, 2)
    try:
        yield session.sparkContext
    finally:
        session.stop()


def _outcome(call: Callable[[Job], Result], here: Path, job: Job) -> Result | Exception:
    """What a worker makes of a job: an error that is the user's to mend comes back as it is, without Spark's words."""
    try:
        with chdir(here):  # relative paths begin there
            return call(job)
    except (StforecastError, OSError) as error:
        return error
