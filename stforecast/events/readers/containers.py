"""What a publisher's file is, by its first bytes; the files inside it; and what is not read, in words."""

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO, Any, cast

from stforecast.config.yamls import values_of
from stforecast.errors import DataError
from stforecast.events.readers.chunk import InputFile
from stforecast.events.readers.decoding import utf16_encoding
from stforecast.events.readers.header import printable
from stforecast.events.readers.vector import SIBLINGS

PACKED = (".gz", ".xz", ".bz2")  # behind any of them

_FORMATS = Path(__file__).with_name("formats.yaml")
_JSON = re.compile(r'\{\s*["}]|\[\s*[\[{\]]')
_CONTROL = re.compile("[\x00-\x08\x0e-\x19\x1b-\x1d\x1f\x7f\ufffd]")
FREE = 64 << 20
"""Bytes that any file may unpack to; one of more, to `RATIO` times its size: reports are packed to a tenth or so."""
RATIO = 100
_STRIDE = 1 << 20  # bytes read at once, within which going back does not begin anew
_UNPACKERS: dict[str, Any] = {"gzip": gzip.open, "xz": lzma.open, "bzip2": bz2.open}
Members = Mapping[str, Callable[[], Any]]


def detect_format(head: bytes, origin: InputFile) -> str:
    """What the file of these first bytes is.

    Raises:
        DataError: it is empty, or nothing that is read; its format is named.
    """
    if not head:
        raise DataError(f"{origin}: the file is empty. Download it again, or remove it.")
    if head.startswith(b"SQLite format 3\x00") and head[68:70] == b"GP":
        return "geopackage"
    for one in _formats()["binary"]:
        if head.startswith(tuple(mark.encode("latin-1") for mark in one["marks"]), one.get("at", 0)):
            if "kind" not in one:
                raise _refused(origin, one["is"], one.get("todo"))
            return str(one["kind"])
    encoding = utf16_encoding(head)
    text = head[: len(head) // 2 * 2].decode(encoding, "replace") if encoding else head.decode("latin-1")
    if len(_CONTROL.findall(text)) > len(text) / 20:
        if origin.name.lower().endswith(".dbf"):
            raise _refused(origin, "a dBASE table", "Name the .shp that it belongs to, or save it as CSV.")
        raise _refused(origin, "ORC" if head.startswith(b"ORC") else "a binary file of an unknown format")
    text = text.removeprefix("\ufeff").removeprefix("ï»¿").lstrip("\x1e \t\r\n")
    if text.startswith("<"):
        for one in _formats()["markup"]:
            if re.search(one["pattern"], text, re.IGNORECASE):
                raise _refused(origin, one["is"], one.get("todo"))
    return "json" if _JSON.match(text) else "text"


def decompressed(kind: str, binary: IO[bytes], origin: InputFile) -> IO[bytes] | None:
    """The stream that is packed in one; None: this kind is not packed."""
    return _bounded(_UNPACKERS[kind](binary), origin) if kind in _UNPACKERS else None


class _Unpacked(io.RawIOBase):
    """What is packed in a stream. Every byte counts, also one that is passed over or read anew, so that neither zeros
    without end nor files that share their bytes take more than a file of this size can need."""

    def __init__(self, stream: Any, origin: InputFile) -> None:
        self.stream, self.origin = stream, origin
        self.limit = most_unpacked(origin)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size: int = self.stream.readinto(buffer)
        self.origin.unpacked[0] += size
        if self.origin.unpacked[0] > self.limit:
            raise too_large(self.origin)
        return size

    def tell(self) -> int:
        return int(self.stream.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        while whence == io.SEEK_END and self.read(_STRIDE):
            pass
        target = offset if whence == io.SEEK_SET else offset + self.tell()
        if target < self.tell():
            self.stream.seek(0)
        while (rest := target - self.tell()) > 0 and self.read(min(rest, _STRIDE)):
            pass
        return self.tell()

    def close(self) -> None:
        self.stream.close()
        super().close()


def _bounded(stream: Any, origin: InputFile) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(_Unpacked(stream, origin), _STRIDE))


def most_unpacked(origin: InputFile) -> int:
    """Bytes that what is packed in a file may take."""
    return max(FREE, RATIO * os.fstat(origin.raw.fileno()).st_size)


def too_large(origin: InputFile) -> DataError:
    """The error for what is far larger than the file that holds it."""
    return DataError(
        f"{origin}: unpacks to more than {RATIO} times the size of its file, as no table of reports does. Download it "
        "again; if it is right, unpack it and name the files in it under source.path."
    )


@contextmanager
def on_disk(origin: InputFile, binary: IO[bytes], kind: str) -> Iterator[IO[bytes]]:
    """A file with a name for readers that go to and fro: the stream itself where it is the file, else a copy of it."""
    ending = ".gpkg" if kind == "geopackage" else ""  # GDAL goes by it
    if binary is origin.raw and origin.path.name.lower().endswith(ending):
        yield binary
        return
    with NamedTemporaryFile(suffix=ending) as copy:
        shutil.copyfileobj(binary, copy)
        copy.flush()
        copy.seek(0)
        yield cast(IO[bytes], copy)


@contextmanager
def shapefile_of(members: Members, name: str) -> Iterator[Path]:
    """A .shp among the members of an archive, copied to a folder with the files that belong to it."""
    stem = name[: -len(".shp")]
    with TemporaryDirectory() as folder:
        for member, opened in members.items():
            if member.startswith(stem) and (ending := member[len(stem) :].lower()) in (".shp", *SIBLINGS):
                with opened() as source, (Path(folder) / f"shapes{ending}").open("wb") as copy:
                    shutil.copyfileobj(source, copy)
        yield Path(folder) / "shapes.shp"


def files_with_rows(names: Sequence[str]) -> list[str]:
    """Of the files in a folder or an archive those with rows: all of the first of the kinds in `formats.yaml`."""
    seen = [name for name in names if not PurePosixPath(name).name.startswith(".") and "__MACOSX" not in name]
    for endings in _formats()["endings"]:
        wanted = tuple(ending + packing for ending in endings for packing in ("", *PACKED))
        if found := [name for name in seen if name.lower().endswith(wanted)]:
            return found
    return []


def is_workbook(archive: zipfile.ZipFile, origin: InputFile) -> bool:
    """Whether a zip is a workbook.

    Raises:
        DataError: it is another document, or locked.
    """
    names = set(archive.namelist())
    if any(name.startswith("xl/") or name == "content.xml" for name in names):  # read as a whole, and not by us
        origin.unpacked[0] += sum(info.file_size for info in archive.infolist())
        if origin.unpacked[0] > most_unpacked(origin):
            raise too_large(origin)
    if any(info.flag_bits & 1 for info in archive.infolist()):
        raise DataError(f"{origin}: is locked with a password. {_formats()['unpack']}")
    kind = b""
    if "mimetype" in names:
        with archive.open("mimetype") as member:
            kind = member.read(100)
    if kind.startswith(b"application/vnd.oasis") or not names.isdisjoint(("word/document.xml", "ppt/presentation.xml")):
        if not kind.startswith(b"application/vnd.oasis.opendocument.spreadsheet"):
            raise _refused(origin, "a text document or presentation")
        return True
    return any(name.startswith("xl/") for name in names)


def members_of(archive: zipfile.ZipFile | tarfile.TarFile, origin: InputFile) -> Members:
    """The files in an archive: name → what opens it."""

    def opened(info: Any) -> IO[bytes]:
        member = archive.open(info) if isinstance(archive, zipfile.ZipFile) else archive.extractfile(info)
        return _bounded(member, origin)

    if isinstance(archive, zipfile.ZipFile):
        return {info.filename: partial(opened, info) for info in archive.infolist() if not info.is_dir()}
    return {info.name: partial(opened, info) for info in archive.getmembers() if info.isfile()}


def no_readable_file(origin: InputFile, names: Sequence[str]) -> DataError:
    """The error for an archive without a file that is read."""
    found = printable(", ".join(names))[:200] or "nothing"
    expected = ", ".join(map(", ".join, _formats()["endings"]))
    return DataError(f"{origin}: holds no file that is read ({found}). Expected one of {expected}.")


def _refused(origin: InputFile, what: str, todo: str | None = None) -> DataError:
    return DataError(f"{origin}: is {what}, which is not read. {todo or _formats()['export']}")


@lru_cache(maxsize=1)
def _formats() -> dict[str, Any]:
    return values_of(_FORMATS.read_text(encoding="utf-8"), str(_FORMATS))
