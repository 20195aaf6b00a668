"""What was pulled from a publisher's table: a folder a pull, and the manifest of all of them.

    fetched/<table>/manifest.json     pulls, in order: when, what was asked for, rows, hashes of files, cursor
    fetched/<table>/0001-whole/…      files of a pull of all rows
    fetched/<table>/0002-changes/…    files of what was new or had changed since

A pull under way is a folder with a dot before its name, which takes its place when it is complete. The newest whole
pull and the changes since are the table; what was before them is removed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from stforecast.errors import ArtefactError
from stforecast.files import read_json, sha256_of, write_json
from stforecast.sources.page import Cursor, Page

FETCHED = "fetched"
"""Folder in bronze of what was fetched."""
MANIFEST = "manifest.json"
REWRITING = "being rewritten"
"""In place of the hash of a file that reports are erased from."""
AGAIN = "Remove its folder, and `stforecast fetch` fetches the table anew."


@dataclass
class Pulls:
    """The pulls of a table. facts: of the table and its publisher, as they stand in the manifest."""

    folder: Path
    facts: dict[str, Any]
    pulls: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, facts: dict[str, Any]) -> Pulls:
        """Those in a folder; what a kill left half done is done.

        Raises:
            ArtefactError: the manifest is damaged.
        """
        path = folder / MANIFEST
        known = read_json(path, AGAIN) if path.is_file() else {"pulls": []}
        if known.get("table") != facts.get("table"):  # something else is asked for: all rows are pulled anew
            return cls(folder, facts)
        found = cls(folder, facts, known["pulls"])
        if found.pending is not None and not all(page.is_file() for page in found.page_files()):
            found.give_up()
        elif found.pulls and found.pending is None:
            found._settle()
        return found

    @property
    def newest(self) -> dict[str, Any] | None:
        """The last pull that is complete."""
        return next((pull for pull in reversed(self.pulls) if pull["complete"]), None)

    @property
    def pending(self) -> dict[str, Any] | None:
        """The pull under way."""
        return self.pulls[-1] if self.pulls and not self.pulls[-1]["complete"] else None

    @property
    def rows(self) -> int:
        """Rows of the last whole pull and of the changes since, those that came again among them."""
        return sum(pull["rows"] or 0 for pull in self.live)

    @property
    def live(self) -> list[dict[str, Any]]:
        """The newest whole pull and the changes since."""
        done = [pull for pull in self.pulls if pull["complete"]]
        first = max((i for i, pull in enumerate(done) if pull["whole"]), default=len(done))
        return done[first:]

    def start(self, whole: bool, cursor: Cursor, asks: str, now: str) -> None:
        """Begin a pull; one under way is given up."""
        self.give_up()
        numbers = [int(path.name[:4]) for path in self.folder.glob("[0-9]*-*")]
        number = 1 + max([*numbers, *(pull["number"] for pull in self.pulls)], default=0)
        pull: dict[str, Any] = {"number": number, "whole": whole, "asks": asks, "started": now, "rows": 0, "files": {}}
        pull |= {"begun": dict(cursor), "cursor": dict(cursor), "columns": [], "fields": {}, "complete": False}
        self.pulls.append(pull)
        shutil.rmtree(self.staging, ignore_errors=True)
        self.staging.mkdir(parents=True)
        self._write()

    def give_up(self) -> None:
        """Forget the pull under way."""
        if self.pending is not None:
            staging = self.staging
            self.pulls.pop()
            self._write()
            shutil.rmtree(staging, ignore_errors=True)

    @property
    def staging(self) -> Path:
        """The folder of the newest pull while it is under way."""
        return self.folder / f".{_name(self.pulls[-1])}"

    def page_path(self, ending: str) -> Path:
        """Where the next page goes."""
        pull = self.pulls[-1]
        return self.staging / f"{self.folder.name}-{pull['number']:04}-{len(pull['files']) + 1:05}{ending}"

    def add(self, path: Path, page: Page) -> None:
        """Take in a page, and where the next one begins."""
        pull = self.pulls[-1]
        if path.is_file():
            pull["files"][path.name] = {"rows": page.rows, **_content_of(path)}
        pull["rows"] = None if page.rows is None or pull["rows"] is None else pull["rows"] + page.rows
        pull |= {"cursor": dict(page.cursor), "last": page.last}
        self._write()

    def finish(self, now: str, whole: bool) -> bool:
        """Let the pull take its place; of one that brings nothing new only the cursor is kept. Whether it did."""
        pull, before = self.pulls[-1], self.newest
        asked = {"checked": pull["started"]} | ({"compared": pull["started"]} if whole else {})
        unchanged = before is not None and (not pull["files"] or _hashes(pull) == _hashes(before))
        if before is not None and unchanged and not (whole and pull["rows"] == 0):
            before |= {"cursor": pull["cursor"], **asked}
            self.give_up()
            return False
        pull |= {"finished": now, "complete": True, "whole": whole, **asked}
        self._write()
        self._settle()
        return True

    def checked(self, now: str) -> None:
        """Note that the publisher was asked, and has nothing new."""
        if self.newest is not None:
            self.newest["checked"] = now
            self._write()

    def page_files(self) -> Iterator[Path]:
        """The pages of the pull under way."""
        for name in self.pulls[-1]["files"]:
            yield self.staging / name

    def _settle(self) -> None:
        """Put the newest pull in its place, and remove those that a whole one replaces."""
        for staged in self.folder.glob(f".{self.pulls[-1]['number']:04}-*"):
            staged.rename(self.folder / _name(self.pulls[-1]))
        kept = {_name(pull) for pull in self.live}
        for old in self.folder.iterdir():
            if old.is_dir() and old.name not in kept:
                shutil.rmtree(old)

    def _write(self) -> None:
        write_json(self.folder / MANIFEST, {**self.facts, "pulls": self.pulls})


def check(folder: Path) -> None:
    """Hold the files of a table against its manifest.

    Raises:
        ArtefactError: one is absent, damaged, or was not fetched.
    """
    pulls = Pulls(folder, {}, read_json(folder / MANIFEST, AGAIN)["pulls"]).live
    files = {folder / _name(pull) / name: facts for pull in pulls for name, facts in pull["files"].items()}
    for path, facts in files.items():
        if not path.is_file():
            raise ArtefactError(f"{path}: is absent. {AGAIN}")
        if _content_of(path).items() - facts.items():
            raise ArtefactError(f"{path}: damaged, not what was fetched. {AGAIN}")
    for path in (path for place in fetched_folders(folder.parents[1], [folder]) for path in place.iterdir()):
        if pulls and path not in files:
            raise ArtefactError(f"{path}: was not fetched. Remove it, or put it into {folder.parents[1]}.")


@contextmanager
def rewriting(path: Path) -> Iterator[None]:
    """Rewrite a file; the manifest of one that was fetched knows it as it is then, after a second attempt too.

    Raises:
        ArtefactError: the manifest is damaged.
    """
    manifest = path.parents[1] / MANIFEST
    if not is_fetched(path) or not manifest.is_file():
        yield
        return
    known = read_json(manifest, AGAIN)
    files = (pull["files"] for pull in known["pulls"] if pull["complete"] and _name(pull) == path.parent.name)
    facts: dict[str, Any] = next((each[path.name] for each in files if path.name in each), {})
    if facts.get("sha256") not in (REWRITING, sha256_of(path)):  # damaged, or no file of the pull: `verify` says so
        yield
        return
    facts["sha256"] = REWRITING
    write_json(manifest, known)
    yield
    facts |= _content_of(path)
    write_json(manifest, known)


def manifests(bronze: Path) -> dict[Path, dict[str, Any]]:
    """The manifest of every table that was fetched whole, by its folder.

    Raises:
        ArtefactError: one is damaged.
    """
    found = {path.parent: read_json(path, AGAIN) for path in sorted((bronze / FETCHED).glob(f"*/{MANIFEST}"))}
    return {folder: facts for folder, facts in found.items() if Pulls(folder, {}, facts["pulls"]).live}


def last_checked(bronze: Path) -> str | None:
    """When the table that was not asked for longest was asked for; None where none was fetched."""
    pulls = (Pulls(folder, {}, facts["pulls"]).newest for folder, facts in manifests(bronze).items())
    return min((pull["checked"] for pull in pulls if pull), default=None)


def last_fetched(bronze: Path) -> pd.Timestamp | None:
    """When the newest rows came; None where nothing was fetched."""
    found = (Pulls(folder, {}, facts["pulls"]).newest for folder, facts in manifests(bronze).items())
    return max((pd.Timestamp(pull["finished"]) for pull in found if pull), default=None)


def is_fetched(path: Path) -> bool:
    """Whether a file was fetched."""
    return path.absolute().parts[-4:-3] == (FETCHED,)


def pull_of(path: Path) -> str | None:
    """The pull that a file is a page of; None for files that are whole in themselves."""
    *_, table, pull, name = path.absolute().parts
    paged = is_fetched(path) and re.fullmatch(rf"{re.escape(table)}-\d{{4}}-\d{{5}}\.(csv|json)", name)
    return f"{table}/{pull}" if paged else None


def fetched_folders(bronze: Path, tables: Sequence[Path] | None = None) -> list[Path]:
    """The folders of the files that make up every table fetched into `bronze`, the oldest pull of each first."""
    found: list[Path] = []
    for table in sorted((bronze / FETCHED).glob("*") if tables is None else tables):
        pulls = sorted(path for path in table.glob("[0-9]*-*") if path.is_dir())
        wholes = [i for i, path in enumerate(pulls) if path.name.endswith("-whole")]
        found += pulls[wholes[-1] :] if wholes else []
    return found


def _content_of(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _hashes(pull: dict[str, Any]) -> list[str]:
    return [file["sha256"] for file in pull["files"].values()]


def _name(pull: dict[str, Any]) -> str:
    return f"{pull['number']:04}-{'whole' if pull['whole'] else 'changes'}"
