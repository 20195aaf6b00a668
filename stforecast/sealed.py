"""Folders that say what is in them: one JSON, written last, with size and SHA-256 of every other file.

A file is held against it before it is opened, so that damage is an error that names the file and not another number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stforecast.errors import ArtefactError, in_brief
from stforecast.files import UNFINISHED, read_json, sha256_of, standing, write_json

FILES = "files"
"""Key of the sizes and hashes."""
FOREIGN = (OSError, KeyError, TypeError, ValueError, AttributeError)
"""What readers meet in files of another version."""
Read = TypeVar("Read")


@dataclass(frozen=True)
class Sealed:
    """A folder by the JSON that says what is in it. again: what the user can do where something is damaged."""

    path: Path
    facts: Mapping[str, Any]
    again: str

    def file(self, name: str) -> Path:
        """A file of the folder, whole.

        Raises:
            ArtefactError: it is absent, or not what was written.
        """
        path, written = self.path.parent / name, self.facts[FILES].get(name)
        if written is None:
            raise ArtefactError(f"{path}: not among the files of {self.path.name}. {self.again}")
        try:
            size = path.stat().st_size
            whole = size == written["bytes"] and sha256_of(path) == written["sha256"]
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ArtefactError(f"{path}: is absent. {self.again}") from None
        if not whole:
            raise ArtefactError(f"{path}: damaged, {size:,} bytes that are not what was written. {self.again}")
        return path

    def check(self) -> None:
        """Hold every file against what was written.

        Raises:
            ArtefactError: the first that is absent or damaged.
        """
        for name in self.facts[FILES]:
            self.file(name)


def seal(path: Path, facts: Mapping[str, Any], files: Iterable[Path] | None = None) -> None:
    """Write the JSON of a folder.

    Args:
        path: of the JSON, in the folder.
        facts: what else it says.
        files: those that it speaks for; default all others in the folder and below.
    """
    folder = path.parent
    found = sorted(folder.rglob("*") if files is None else files)
    found = [file for file in found if file.is_file() and file != path and not file.name.startswith(UNFINISHED)]
    sizes = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256_of(file)} for file in found
    }
    write_json(path, {**facts, FILES: sizes})


def unseal(path: Path, again: str, read: Callable[[Sealed], Read]) -> Read:
    """What `read` makes of a folder; from the start where another process replaces the folder meanwhile.

    Args:
        path: of the folder's JSON.
        again: what the user can do where something is damaged.
        read: opens files by `Sealed.file`.

    Raises:
        ArtefactError: something is absent, damaged or of an older version.
    """
    while True:
        standing(path.parent)
        facts = read_json(path, again)
        if not isinstance(facts.get(FILES), dict):
            raise ArtefactError(f"{path}: does not say what is in the folder: of an older version. {again}")
        try:
            found = read(Sealed(path, facts, again))
        except PermissionError:  # nothing is damaged
            raise
        except Exception as error:
            if read_json(path, again) == facts:
                if isinstance(error, FOREIGN):
                    reason = f"damaged, or of another version ({in_brief(error)})"
                    raise ArtefactError(f"{path.parent}: {reason}. {again}") from error
                raise
        else:
            if read_json(path, again) == facts:
                return found
