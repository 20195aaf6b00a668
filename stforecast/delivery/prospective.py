"""The prospective record: every forecast that is published, in the order of publication, as it was.

    prospective.jsonl   a line a forecast; its last key, `hash`, is the SHA-256 of the hash of the line before (FIRST
                        for the first line) and of the line without it: no line can be changed, removed or moved
                        without a trace, but by someone who makes all that follow anew, or removes them. Either shows
                        where a later hash was noted elsewhere
    <SHA-256>.forecast  the forecast of a line, as `packed.pack` has it

`written_at` is by this machine's clock. A forecast is kept under a hidden name until its line is written: so what a
killed writer left is told from a forecast whose line was removed, and a line has its forecast at every instant.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.riskgrid import RiskGrid, iso
from stforecast.errors import ArtefactError, in_brief
from stforecast.files import atomic_path

FIRST = "0" * 64
RESTORE = "Restore it from a backup; what cannot be restored is no evidence."


@dataclass
class Findings:
    """What is in a record.

    entries: of lines that are as they were written, and whose forecast is too, oldest first. faults: sentences, none
    where the record is whole. torn: whether a killed writer left a piece of a line at its end, which the next one
    removes. last: the hash of the last line.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    torn: bool = False
    last: str = FIRST


def cube_digest(cube: Cube) -> str:
    """The SHA-256 of what a forecast is made from: a cube's axis, names, hexagons, events and covariates."""
    step = cube.step_hours if cube.step_unit == "hour" else str(cube.step)  # of hours as on older lines
    names = [cube.start.isoformat(), cube.steps, step, *cube.categories, *cube.cells.tolist()]
    found = hashlib.sha256(json.dumps([*names, *cube.weather.names, *cube.future.names]).encode())
    for values in (*(getattr(cube, name) for name in cube.event_columns), cube.weather.values, cube.future.values):
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


class Record:
    """The prospective record in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "prospective.jsonl"

    def append(self, grid: RiskGrid, city: str, made_from: Mapping[str, str]) -> str:
        """Record a forecast, with its usual; one that is recorded is not recorded again.

        Args:
            grid: the forecast.
            city: its city.
            made_from: what else its line is to say.

        Returns:
            The hash of the last line.
        """
        content = pack(grid, city)
        digest = hashlib.sha256(content).hexdigest()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines, _ = _lines(file)
            if not any(digest.encode() in line for line in lines):
                with atomic_path(self.folder / f".{digest}.forecast") as temporary:
                    temporary.write_bytes(content)
                entry = {"issue_time": iso(grid.issue_time), "written_at": _now().isoformat(), "model": grid.model}
                lines.append(_line({**entry, "grid_sha256": digest, **made_from}, _hash_in(lines)))
                file.truncate(sum(map(len, lines[:-1])))  # without what is torn
                file.write(lines[-1])
                file.flush()
                os.fsync(file.fileno())
            self._finish(lines)
            return _hash_in(lines)

    def check(self) -> Findings:
        """Read the record and every forecast in it.

        Raises:
            ArtefactError: there is none.
        """
        if not self.path.is_file():
            raise ArtefactError(f"{self.path}: no record. Run `stforecast forecast`; if there was one, restore it.")
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            lines, torn = _lines(file)
            found, named = Findings(torn=torn), set[str]()
            for number, line in enumerate(lines, 1):
                try:
                    entry = _entry(line, found.last)
                    named.add(entry["grid_sha256"])
                    self.open(entry)
                    found.entries.append(entry)
                except ArtefactError as error:
                    found.faults.append(f"{self.path}, line {number}: {error}")
                found.last = _hash_in([line])
            for path in sorted(self.folder.glob("[!.]*.forecast")):
                if path.stem not in named:
                    found.faults.append(f"{path}: its line in {self.path.name} was changed or removed. {RESTORE}")
        return found

    def entries(self) -> list[dict[str, Any]]:
        """The lines that are as they were written, oldest first; none where there is no record. No forecast is read."""
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            lines, _ = _lines(file)
        out = []
        for before, line in pairwise([b"", *lines]):
            with suppress(ArtefactError):
                out.append(_entry(line, _hash_in([before] if before else [])))
        return out

    def open(self, entry: Mapping[str, Any]) -> RiskGrid:
        """The forecast of a line.

        Raises:
            ArtefactError: it is missing, or not what was recorded.
        """
        try:
            grid = unpack(self._content(entry))
            if (iso(grid.issue_time), grid.model) != (entry["issue_time"], entry["model"]):
                raise ValueError(f"{grid.model} of {iso(grid.issue_time)}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # hashes that are right, of what is not ours
            name = f"{entry['grid_sha256']}.forecast"
            raise ArtefactError(f"{name}: not the forecast of its line ({in_brief(error)}). {RESTORE}") from error
        return grid

    def _content(self, entry: Mapping[str, Any]) -> bytes:
        plain = self.folder / f"{entry['grid_sha256']}.forecast"
        path = plain if plain.is_file() else plain.with_name(f".{plain.name}")  # its writer was killed behind its line
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != entry["grid_sha256"]:
            what = "was changed" if content else "is missing"
            raise ArtefactError(f"{plain}, issued {entry['issue_time']}: {what}. {RESTORE}")
        return content

    def _finish(self, lines: list[bytes]) -> None:
        """Under the lock: make forecasts plain that have a line, and remove what killed writers left."""
        for path in self.folder.glob(".*.forecast"):
            if any(path.stem[1:].encode() in line for line in lines):
                os.replace(path, path.with_name(path.name[1:]))
            else:
                path.unlink()


def _lines(file: BinaryIO) -> tuple[list[bytes], bool]:
    """The lines with their ends, and whether a killed writer left a piece of one behind them."""
    file.seek(0)
    *lines, rest = file.read().split(b"\n")
    return [line + b"\n" for line in lines], bool(rest)


def _hash_in(lines: list[bytes]) -> str:
    """What the last line says that its hash is."""
    return lines[-1][-67:-3].decode(errors="replace") if lines else FIRST


def _line(entry: Mapping[str, Any], previous: str) -> bytes:
    own = hashlib.sha256((previous + json.dumps(entry)).encode()).hexdigest()
    return json.dumps({**entry, "hash": own}).encode() + b"\n"


def _entry(line: bytes, previous: str) -> dict[str, Any]:
    """The entry of a line; an ArtefactError where it is not as it was written behind a line with that hash."""
    with suppress(ValueError, AttributeError):  # not JSON, or no object
        entry = {key: value for key, value in json.loads(line).items() if key != "hash"}
        texts = all(isinstance(entry.get(key), str) for key in ("issue_time", "written_at", "model", "grid_sha256"))
        if texts and _line(entry, previous) == line and pd.Timestamp(entry["written_at"]).tzinfo:
            return entry
    raise ArtefactError(f"it was changed, or lines before it were removed, added or moved. {RESTORE}")


def _now() -> pd.Timestamp:
    return pd.Timestamp.now("UTC")
