"""Reports that were erased on request: salted hashes of their ids, by which every ingest passes over their rows.

The salt stands beside the hashes: they hide ids from whoever reads the file, not from whoever tries every id of a kind.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd

from stforecast.errors import ArtefactError
from stforecast.events.parsing.text_columns import strip, to_arrow
from stforecast.files import read_json, write_json

KEYS = ("event_id", "incident_id")
"""Fields by which a row is known."""


@dataclass(frozen=True)
class Forgotten:
    """The deny list of a city. hashes: of a field of `KEYS` and an id in it, with `salt` (hexadecimal)."""

    salt: str = ""
    hashes: frozenset[str] = frozenset()

    @staticmethod
    def open(path: Path) -> Forgotten:
        """The list in a file; an empty one where there is none.

        Raises:
            ArtefactError: it is damaged.
        """
        if not path.is_file():
            return Forgotten()
        try:
            found = read_json(path)
            bytes.fromhex(found["salt"])
            return Forgotten(found["salt"], frozenset(found["hashes"]))
        except (ArtefactError, KeyError, TypeError, ValueError) as error:
            raise ArtefactError(
                f"{path}: damaged, and without it erased reports would come back. Restore it from a backup; or remove "
                "it and run `stforecast forget` with every id again."
            ) from error

    def write(self, path: Path) -> None:
        """Write the list."""
        write_json(path, {"salt": self.salt, "hashes": sorted(self.hashes)})

    def with_ids(self, ids: Mapping[str, Iterable[str]]) -> Forgotten:
        """The list with more ids, each with the fields of `KEYS` that may hold it."""
        grown = Forgotten(self.salt or secrets.token_hex(16))
        more = {grown._hash(name, text) for text, names in ids.items() for name in names}
        return Forgotten(grown.salt, self.hashes | more)

    def has(self, text: str, names: Iterable[str] = KEYS) -> bool:
        """Whether an id is on the list, in one of some fields."""
        return any(self._hash(name, text) in self.hashes for name in names)

    def rows(self, frame: pd.DataFrame) -> np.ndarray:
        """Which rows of a chunk of `readers.read_file.read` are on the list, bool [r]."""
        out = np.zeros(len(frame), bool)
        if not self.hashes:
            return out
        for name in KEYS:
            if name in frame:
                out |= np.array([self.has(text, [name]) for text in key_texts(frame[name])], bool)
        for row, cells in broken_cells(frame).items():
            out[row] |= any(map(self.has, cells))
        return out

    def _hash(self, name: str, text: str) -> str:
        return blake2b(f"{name} {text}".encode(), key=bytes.fromhex(self.salt), digest_size=16).hexdigest()


def key_texts(column: pd.Series | list[str]) -> list[str]:
    """Ids as they are compared: without blanks around them and without the .0 of a spreadsheet."""
    return strip(to_arrow(column), key=True).to_pylist()


def broken_cells(frame: pd.DataFrame) -> dict[int, list[str]]:
    """What may be an id in the text of each row of a chunk that could not be read, by its place in the chunk."""
    rows = np.flatnonzero(frame["problem"].to_numpy() != "")
    return {row: key_texts(re.split('[,;\t|"]', frame["value"].iloc[row])) for row in rows.tolist()}
