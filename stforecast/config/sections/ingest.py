"""Where the publisher's files are read."""

from __future__ import annotations

from typing import Literal

from stforecast.config.sections.section import Section


class Ingest(Section):
    """Where the publisher's files are read."""

    engine: Literal["local", "spark"] = "local"
    """local reads one file after another; spark (`pip install 'stforecast[spark]'`, Java 17) reads each file in a task
    of Apache Spark, and gives the same rows"""
    master: str = "local[*]"
    """Spark's master URL, such as spark://host:7077; default a process for each core of this machine"""
