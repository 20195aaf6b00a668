"""Plain files: one over HTTP(S), or the files of a folder of an object store (`pyarrow.fs`)."""

from __future__ import annotations

import os
import posixpath
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from stforecast.config.sections import Table
from stforecast.config.sections.tables import WEB
from stforecast.errors import FetchError, in_brief
from stforecast.files import atomic_path, write_bytes
from stforecast.sources.page import Begin, Cursor, Look, Page
from stforecast.sources.web import CHUNK, Web

ENDINGS = (
    ".csv",
    ".tsv",
    ".txt",
    ".json",
    ".geojson",
    ".parquet",
    ".gpkg",
    ".xlsx",
    ".xls",
    ".zip",
    ".gz",
    ".xz",
    ".bz2",
)


BEGINNING, MOST_TO_LOOK = 8 << 20, 256 << 20
"""Bytes of a file of lines, and of one that cannot be read in part, that are looked at."""
ACCOUNT = "AZURE_STORAGE_ACCOUNT"
"""Variable of the environment with the account of an address that begins with az://."""


class _Files:
    """What is common to tables whose rows are not looked at."""

    always_whole = True

    def count(self) -> None:
        """See `Client.count`."""

    def keys(self, page: Path) -> np.ndarray | None:
        """See `Client.keys`."""
        return None

    def same(self, page: Path, other: Path) -> bool:
        """See `Client.same`."""
        return page.read_bytes() == other.read_bytes()


class Download(_Files):
    """A file over HTTP(S). It comes again whole when it has changed."""

    def __init__(self, web: Web, table: Table) -> None:
        self._web, self._url = web, table.urls[0]

    def ending(self, cursor: Cursor) -> str:
        """See `Client.ending`."""
        return _ending(self._url)

    def begin(self, since: Cursor | None) -> Begin:
        """See `Client.begin`."""
        return Begin(True, {"file": dict(since["file"]) if since else {}}, "the file")

    def page(self, cursor: Cursor, into: Path) -> Page:
        """See `Client.page`."""
        part = into.with_name(f".{into.name}.part")
        found = self._web.download(self._url, part, cursor["file"])
        if part.is_file():
            part.rename(into)
            part.with_name(f"{part.name}.json").unlink()
        return Page(None, {"file": found}, True)

    def look(self, folder: Path, most: int) -> Look:
        """See `Client.look`: the first lines of a long file of lines, any other file whole."""
        target = folder / f"file{_ending(self._url)}"
        headers = {"Range": f"bytes=0-{BEGINNING}", "Accept-Encoding": "identity"}
        body = self._web.ask(self._url, lambda answer: answer.body, headers=headers, first=BEGINNING)
        whole = len(body) <= BEGINNING
        if whole or (b"\0" not in body and body.lstrip()[:1] not in (b"{", b"[")):
            write_bytes(target, body if whole else body[: body.rfind(b"\n") + 1])
            return Look([target], whole)
        self._web.download(self._url, target, {}, MOST_TO_LOOK)
        return Look([target], True)


class Store(_Files):
    """A file or folder of an object store. New files are fetched; if one was changed or removed, all are."""

    def __init__(self, table: Table) -> None:
        self._url = table.urls[0]
        try:
            self._system, self._path = _opened(self._url)
        except (OSError, ValueError, NotImplementedError) as error:
            raise FetchError(
                f"{self._url}: {in_brief(error)}. Correct the address, or the keys in the environment."
            ) from error

    def ending(self, cursor: Cursor) -> str:
        """See `Client.ending`."""
        return f"-{posixpath.basename(cursor['left'][0])}"

    def begin(self, since: Cursor | None) -> Begin | None:
        """See `Client.begin`."""
        found, known = self._listed(), dict(since["done"]) if since else {}
        if since and known == found:
            return None
        grown = bool(since) and all(found.get(path) == facts for path, facts in known.items())
        new = sorted(found.keys() - known.keys()) if grown else sorted(found)
        return Begin(not grown, {"left": new, "all": found, "done": known if grown else {}}, f"{len(new):,} files")

    def page(self, cursor: Cursor, into: Path) -> Page:
        """See `Client.page`."""
        path, *left = cursor["left"]
        try:
            source = self._system.open_input_stream(path)
            with source, atomic_path(into) as part, part.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
                if target.tell() != (size := cursor["all"][path][0]):
                    raise FetchError(f"{path}: {target.tell():,} bytes came of {size:,}. Fetch again.")
        except OSError as error:
            raise FetchError(f"{path}: cannot be read ({in_brief(error)}). Try again later.") from error
        done = {**cursor["done"], path: cursor["all"][path]}
        return Page(None, {**cursor, "left": left, "done": done}, not left)

    def look(self, folder: Path, most: int) -> Look:
        """See `Client.look`.

        Raises:
            FetchError: always.
        """
        raise FetchError(f"{self._url}: stores are not looked into. Copy a file here, and `stforecast init FILE`.")

    def _listed(self) -> dict[str, list[Any]]:
        """Size and time of each file that may hold reports, by its path."""
        from pyarrow.fs import FileSelector, FileType

        try:
            info = self._system.get_file_info(self._path.rstrip("/"))
            if info.type == FileType.Directory:
                found = self._system.get_file_info(FileSelector(self._path.rstrip("/"), recursive=True))
            else:
                found = [info]
        except OSError as error:
            raise FetchError(f"{self._url}: cannot be listed ({in_brief(error)}). Correct the address.") from error
        files = [each for each in found if each.type == FileType.File and _ending(each.path)]
        if not files:
            raise FetchError(f"{self._url}: no files of reports ({', '.join(ENDINGS)}). Correct the address.")
        return {each.path: [each.size, each.mtime_ns] for each in files}


def _opened(url: str) -> tuple[Any, str]:
    """The object store of an address, and the path in it."""
    from pyarrow.fs import AzureFileSystem, FileSystem

    parts = urlsplit(url)
    if parts.scheme != "az":
        return FileSystem.from_uri(url)
    if not (account := os.environ.get(ACCOUNT)):
        raise FetchError(f"{url}: names no account. Set {ACCOUNT} in the environment.")
    return AzureFileSystem(account_name=account), f"{parts.netloc}{parts.path}"


def file_client(web: Web, table: Table) -> Download | Store:
    """The client of a file at some address."""
    return Download(web, table) if urlsplit(table.urls[0]).scheme in WEB else Store(table)


def _ending(url: str) -> str:
    """The ending of a file's name, also where it stands in the query; .csv where there is none over HTTP."""
    parts = urlsplit(url)
    name = posixpath.basename(unquote(parts.path)).lower()
    found = next((ending for ending in ENDINGS if name.endswith((ending, f"-{ending[1:]}"))), "")
    if found in (".gz", ".xz", ".bz2"):
        inner = posixpath.splitext(name.removesuffix(found))[1]
        return inner + found
    if found or parts.scheme not in WEB:
        return found
    asked = parts.query.lower()
    return next((ending for ending in ENDINGS if f"={ending[1:]}" in asked or f"/{ending[1:]}" in parts.path), ".csv")
