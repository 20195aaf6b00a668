"""Where a city's files lie under the root: the contract that scripts rely on."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd

from stforecast.config.city import Config
from stforecast.errors import ArtefactError
from stforecast.files import standing, write_text
from stforecast.locks import alone


class Workspace:
    """Paths of one city."""

    def __init__(self, root: Path, city: str) -> None:
        data = root / "data" / city
        self.root, self.city = root, city
        self.bronze, self.silver, self.gold = data / "bronze", data / "silver", data / "gold"
        self.grids, self._locks = data / "grids", data / "locks"
        self.weather = data / "weather"
        """What `weather.source` brought, see `pipeline.weather`."""
        self.layers = data / "layers"
        """What `layers` name, see `pipeline.layers`."""
        self.hashes = data / "hashes.json"
        """Notes on the contents of input files, see `files.contents`; may be removed at any time."""
        self.refused = data / "rejects.parquet"
        """The refused rows of an ingest that stopped at them; those of a finished one lie in `silver`."""
        self.partitions = data / "partitions"
        """What was read of each of the publisher's files, so that none is read twice; may be removed at any time."""
        self.forgotten = data / "forgotten.json"
        """The deny list of reports that were erased, see `events.forgotten`."""
        self.seen = data / "seen"
        """What the event table held after each ingest, see `events.first_seen`; cannot be made again."""
        self.store = data / "forecasts.sqlite"
        """The SQLite file that the service reads, unless `service.database` names another."""
        self.prospective = data / "prospective"
        """The record of published forecasts, see `delivery.prospective`."""
        self.analysis = data / "analysis"
        """The page about the record."""
        self.lake = data / "lake"
        """The Delta tables, see `pipeline.lake`."""
        self.lake_updated = self.lake / "lake.json"
        """Of which events and settings the lake is; may be removed at any time, and all is compared."""
        self.runs = root / "checkpoints" / city
        self.pointer = self.runs / "latest"
        """The file that names the newest finished run."""

    def lock(self, stage: str) -> AbstractContextManager[None]:
        """Hold the lock of a stage: of the processes that would write its results one does, the others leave.

        Raises:
            BusyError: another process or thread holds it.
        """
        return alone(self._locks / f"{stage}.lock", stage)

    def grid(self, issue_time: pd.Timestamp) -> Path:
        """The folder of the grid issued at `issue_time` (UTC)."""
        return self.grids / issue_time.tz_convert("UTC").strftime("%Y%m%dT%H%M%SZ")

    def newest_grid(self) -> Path:
        """The folder of the written grid with the latest issue time.

        Raises:
            ArtefactError: there is none.
        """
        written = sorted(path.parent for path in self.grids.glob("[0-9]*Z/grid.json"))
        if not written:
            raise ArtefactError(f"{self.grids}: no grid of {self.city}. Run `stforecast forecast` first.")
        return written[-1]

    def written_grid(self, issue_time: pd.Timestamp | None) -> Path:
        """The folder of the written grid of an issue time, or of the newest.

        Raises:
            ArtefactError: there is none.
        """
        if issue_time is None:
            return self.newest_grid()
        if not standing(folder := self.grid(issue_time)):
            raise ArtefactError(f"{folder}: no such grid. Run `stforecast forecast` with --issue-time first.")
        return folder

    def latest(self) -> Path:
        """The newest finished run.

        Raises:
            ArtefactError: no run has finished yet.
        """
        pointer = self.pointer
        if not pointer.is_file():
            raise ArtefactError(f"{pointer}: no finished run of {self.city}. Run `stforecast train` first.")
        name = pointer.read_bytes()[:100].decode(errors="replace").strip()
        folder = self.runs / name
        plain = re.fullmatch(r"\w[\w.-]*", name) and not folder.is_symlink()  # nothing that leads out of the folder
        if not plain or not folder.is_dir():
            raise ArtefactError(
                f"{pointer}: {name!r} is no run in this folder. Run `stforecast train` again; of a link, put the "
                "folder itself there."
            )
        return folder

    def set_latest(self, name: str) -> None:
        """Point `latest` at a finished run."""
        write_text(self.pointer, name + "\n")


def database(config: Config) -> str:
    """The URL of the database that refresh writes and the service reads."""
    return config.service.database or f"sqlite:///{Workspace(config.root, config.city).store}"
