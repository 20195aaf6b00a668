"""Where a city's files lie under the root: the contract that scripts rely on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stforecast.config.city import Config
from stforecast.errors import ArtefactError
from stforecast.files import atomic_path


@dataclass(frozen=True)
class Workspace:
    """Paths of one city."""

    root: Path
    city: str

    @property
    def bronze(self) -> Path:
        return self.root / "data" / self.city / "bronze"

    @property
    def silver(self) -> Path:
        return self.root / "data" / self.city / "silver"

    @property
    def gold(self) -> Path:
        return self.root / "data" / self.city / "gold"

    @property
    def hashes(self) -> Path:
        """Notes on the contents of input files, see `files.contents`; may be removed at any time."""
        return self.root / "data" / self.city / "hashes.json"

    @property
    def runs(self) -> Path:
        return self.root / "checkpoints" / self.city

    def run(self, name: str) -> Path:
        """The folder of one training run."""
        return self.runs / name

    def grid(self, issue_time: pd.Timestamp) -> Path:
        """The folder of the grid issued at `issue_time` (UTC)."""
        stamp = issue_time.tz_convert("UTC").strftime("%Y%m%dT%H%M%SZ")
        return self.root / "data" / self.city / "grids" / stamp

    @property
    def store(self) -> Path:
        """The SQLite file that the service reads, unless `service.database` names another."""
        return self.root / "data" / self.city / "forecasts.sqlite"

    def newest_grid(self) -> Path:
        """The folder of the written grid with the latest issue time.

        Raises:
            ArtefactError: there is none.
        """
        grids = self.root / "data" / self.city / "grids"
        written = sorted(path.parent for path in grids.glob("[0-9]*Z/grid.json"))
        if not written:
            raise ArtefactError(f"{grids}: no grid of {self.city}. Run `stforecast forecast` first.")
        return written[-1]

    def latest(self) -> Path:
        """The newest finished run.

        Raises:
            ArtefactError: no run has finished yet.
        """
        pointer = self.runs / "latest"
        if not pointer.is_file():
            raise ArtefactError(f"{pointer}: no finished run of {self.city}. Run `stforecast train` first.")
        folder = self.runs / pointer.read_text(encoding="utf-8").strip()
        if not folder.is_dir():
            raise ArtefactError(f"{pointer}: names {folder.name}, which does not exist. Run `stforecast train` again.")
        return folder

    def set_latest(self, name: str) -> None:
        """Point `latest` at a finished run."""
        with atomic_path(self.runs / "latest") as temporary:
            temporary.write_text(name + "\n", encoding="utf-8")


def database(config: Config) -> str:
    """The URL of the database that refresh writes and the service reads."""
    return config.service.database or f"sqlite:///{Workspace(config.root, config.city).store}"
