"""What was pulled from a publisher's table: a folder a pull, and the manifest of all of them.

    fetched/<table>/manifest.json     pulls, in order: when, what was asked for, rows, hashes of files, cursor
    fetched/<table>/0001-whole/…      files of a pull of all rows
    fetched/<table>/0002-changes/…    files of what was new or had changed since

A pull under way is a folder with a dot before its name, which takes its place when it is complete. The newest whole
pull and the changes since are the table; what was before them is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stforecast.files import read_json, sha256_of, write_json
from stforecast.sources.page import Cursor, Page

MANIFEST = "manifest.json"
AGAIN = "Remove its folder, and `stforecast fetch` fetches the table anew."


@dataclass
class Pulls:
    """The pulls of a table. facts: of the publisher, as they stand in the manifest."""

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
        found = cls(folder, facts, known["pulls"])
        if known.get("table") != facts.get("table"):  # something else is asked for: all rows are pulled anew
            found.give_up()
            found.pulls = []
        elif found.pulls and found.pulls[-1]["complete"]:
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

    def start(self, whole: bool, cursor: Cursor, asks: str, now: str) -> dict[str, Any]:
        """Begin a pull; one under way is given up."""
        self.give_up()
        number = 1 + max((int(path.name[:4]) for path in self.folder.glob("[0-9]*-*")), default=0)
        number = max(number, *(pull["number"] + 1 for pull in self.pulls[-1:]), 1)
        pull: dict[str, Any] = {"number": number, "whole": whole, "asks": asks, "started": now, "rows": 0, "files": {}}
        self.pulls.append({**pull, "begun": dict(cursor), "cursor": dict(cursor), "columns": [], "complete": False})
        self._write()
        return self.pulls[-1]

    def give_up(self) -> None:
        """Forget the pull under way."""
        if self.pending is not None:
            shutil.rmtree(self.staging, ignore_errors=True)
            self.pulls.pop()
            self._write()

    @property
    def staging(self) -> Path:
        """The folder of the newest pull while it is under way."""
        return self.folder / f".{_name(self.pulls[-1])}"

    def page_path(self, ending: str) -> Path:
        """Where the next page goes."""
        pull = self.pulls[-1]
        self.staging.mkdir(parents=True, exist_ok=True)
        return self.staging / f"{_name(pull)}-{len(pull['files']) + 1:05}{ending}"

    def add(self, path: Path, page: Page) -> None:
        """Take in a page, and where the next one begins."""
        pull = self.pulls[-1]
        if path.is_file():
            pull["files"][path.name] = {"rows": page.rows, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
        pull["rows"] = None if page.rows is None or pull["rows"] is None else pull["rows"] + page.rows
        pull["columns"] = list(page.columns) or pull["columns"]
        pull["cursor"] = dict(page.cursor)
        self._write()

    def finish(self, now: str, whole: bool) -> bool:
        """Let the pull take its place; of one that brings nothing new only the cursor is kept. Whether it did."""
        pull, before = self.pulls[-1], self.newest
        unchanged = before is not None and (not pull["files"] or _content(pull) == _content(before))
        if before is not None and unchanged and not (whole and pull["rows"] == 0):
            before |= {"cursor": pull["cursor"], "checked": now} | ({"compared": now} if whole else {})
            self.give_up()
            return False
        pull |= {"finished": now, "checked": now, "complete": True, "whole": whole}
        pull |= {"compared": now} if whole else {}
        self._write()
        self._settle()
        return True

    def page_files(self) -> Iterator[Path]:
        """The pages of the pull under way."""
        for name in self.pulls[-1]["files"]:
            yield self.staging / name

    def _settle(self) -> None:
        """Put the newest pull in its place, and remove those that a whole one replaces."""
        pull = self.pulls[-1]
        for staged in self.folder.glob(f".{pull['number']:04}-*"):
            if pull["files"]:
                staged.rename(self.folder / _name(pull))
            else:
                shutil.rmtree(staged)
        kept = {_name(pull) for pull in self.live}
        for old in self.folder.iterdir():
            if old.is_dir() and old.name not in kept:
                shutil.rmtree(old)

    def _write(self) -> None:
        write_json(self.folder / MANIFEST, {**self.facts, "pulls": self.pulls})


def _content(pull: dict[str, Any]) -> list[str]:
    return [file["sha256"] for file in pull["files"].values()]


def _name(pull: dict[str, Any]) -> str:
    return f"{pull['number']:04}-{'whole' if pull['whole'] else 'changes'}"


FETCHED = "fetched"
"""Folder in bronze of what was fetched."""


def last_checked(bronze: Path) -> str | None:
    """When the table that was not asked for longest was asked for; None where none was fetched."""
    manifests = (read_json(path, AGAIN)["pulls"] for path in sorted((bronze / FETCHED).glob(f"*/{MANIFEST}")))
    return min((max(pull.get("checked", "") for pull in pulls) for pulls in manifests if pulls), default=None)


def is_fetched(path: Path) -> bool:
    """Whether a file is one of a pull, and so one of several that are complete together."""
    return path.absolute().parts[-4:-3] == (FETCHED,)


def fetched_folders(bronze: Path) -> list[Path]:
    """The folders of the files that make up every table fetched into `bronze`, the oldest pull of each first."""
    found: list[Path] = []
    for table in sorted(path for path in (bronze / FETCHED).glob("*") if path.is_dir()):
        pulls = sorted(path for path in table.glob("[0-9]*-*") if path.is_dir())
        wholes = [i for i, path in enumerate(pulls) if path.name.endswith("-whole")]
        found += pulls[wholes[-1] :] if wholes else []
    return found
