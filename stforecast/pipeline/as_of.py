"""The events as they were known on a past day, as a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from stforecast.errors import ArtefactError
from stforecast.events.schema import INGESTED
from stforecast.files import atomic_folder
from stforecast.pipeline.preparation import Preparation


def write_as_of(stages: Preparation, time: pd.Timestamp, output: Path) -> None:
    """Write the events as they were known at an instant, as `EventTable.open` reads them.

    Args:
        stages: of the city.
        time: with a time zone.
        output: the folder; an event table there is replaced.

    Raises:
        DataError: there was no ingest yet.
        ArtefactError: the folder holds something else, or the newest events of the city.
    """
    if output.resolve() == stages.place.silver.resolve():
        raise ArtefactError(f"{output}: holds the newest events of the city. Name another folder.")
    if output.is_dir() and any(output.iterdir()) and not (output / INGESTED).is_file():
        raise ArtefactError(f"{output}: holds something else than events. Name another folder.")
    table = stages.as_of(time)
    with atomic_folder(output) as made:
        table.save(made)
    for line in (table.meta["doubts"][-1], f"wrote {len(table):,} events to {output}"):
        stages.say(f"ingest: {line}")
