"""What a publisher's file is, by its first bytes; the files inside it; and what is not read, in words."""

from __future__ import annotations

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
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO, Any, cast

from stforecast.errors import DataError
from stforecast.events.readers.chunk import InputFile
from stforecast.events.readers.decoding import utf16_encoding
from stforecast.events.readers.header import printable
from stforecast.events.readers.vector import SIBLINGS

TABLES = (".csv", ".tsv", ".parquet", ".geoparquet", ".feather", ".arrow", ".zip", ".tar", ".tgz")
PREFERENCE = (
    TABLES,
    (".gpkg",),
    (".shp",),
    (".geojson", ".geojsonl", ".geojsons", ".jsonl", ".ndjson"),
    (".xlsx", ".xlsb", ".xls", ".ods"),
    (".json",),
    (".txt",),
)
"""Endings of files with rows. In a folder or an archive the first of these kinds that is there is read: beside a .csv
a .txt, .json or .xlsx says what is in it, and a .geojson may be of districts."""
PACKED = (".gz", ".xz", ".bz2")  # behind any of them

_EXPORT = "Export the reports as CSV, GeoJSON or Parquet."
_UNPACK = "Unpack it and name the files in it under source.path."
_IN_R = "Write its table with write.csv in R."
# byte at which a kind of file has one of some marks, those marks, and the kind
_READ: tuple[tuple[int, tuple[bytes, ...], str], ...] = (
    (0, (b"PAR1",), "parquet"),
    (0, (b"ARROW1\x00\x00",), "arrow"),
    (0, (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"), "zip"),
    (0, (b"\x1f\x8b",), "gzip"),
    (0, (b"\xfd7zXZ\x00",), "xz"),
    (4, (b"1AY&SY",), "bzip2"),
    (257, (b"ustar",), "tar"),
    (0, (b"\x00\x00\x27\x0a",), "shapefile"),
    (0, (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",), "workbook"),  # of Excel 97, or locked
)
# the same of what is not read, with its name and what to do
_REFUSED = (
    (0, (b"\x28\xb5\x2f\xfd",), "a Zstandard archive (.zst)", _UNPACK),
    (0, (b"7z\xbc\xaf\x27\x1c",), "a 7-Zip archive (.7z)", _UNPACK),
    (0, (b"Rar!\x1a\x07",), "a RAR archive (.rar)", _UNPACK),
    (0, (b"\x04\x22\x4d\x18",), "an LZ4 archive (.lz4)", _UNPACK),
    (0, (b"\x1f\x9d",), "a compressed file (.Z)", _UNPACK),
    (0, (b"%PDF",), "a PDF", _EXPORT),
    (0, (b"{\\rtf",), "a text document (.rtf)", _EXPORT),
    (0, (b"RDX2\n", b"RDX3\n", b"RDA2\n", b"RDA3\n"), "an R workspace (.RData)", _IN_R),
    (0, (b"X\n\x00\x00\x00",), "an R object (.rds)", _IN_R),
    (0, (b"SQLite format 3\x00",), "an SQLite database and no GeoPackage", _EXPORT),
    (4, (b"Standard Jet DB",), "an Access database (.mdb)", _EXPORT),
    (4, (b"Standard ACE DB",), "an Access database (.accdb)", _EXPORT),
    (0, (b"FEA1",), "Feather of version 1", "Write it anew as Feather 2 or Parquet."),
    (0, (b"Obj\x01",), "Avro", _EXPORT),
    (0, (b"\x89HDF\r\n\x1a\n",), "HDF5", _EXPORT),
    (0, (b"CDF\x01",), "NetCDF", _EXPORT),
    (0, (b"$FL2",), "an SPSS file (.sav)", _EXPORT),
    (0, (b"<stata_dta>",), "a Stata file (.dta)", _EXPORT),
    (84, (b"SAS FILE",), "a SAS file (.sas7bdat)", _EXPORT),
    (0, (b"fgb\x03",), "FlatGeobuf", _EXPORT),
    (0, (b"\x89PNG", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*"), "an image", _EXPORT),
    (0, (b"\x80\x04\x95", b"\x80\x05\x95"), "a Python pickle", _EXPORT),
)
_MARKUP = (
    (re.compile(r"<(!doctype\s+html|html|head|body|script)\b", re.I), "a web page (HTML), maybe of a login or an error",
     "Open its address in a browser, and download the export itself as CSV or GeoJSON."),
    (re.compile(r"<kml\b", re.I), "KML", _EXPORT),
    (re.compile(r"<gpx\b", re.I), "GPX", _EXPORT),
    (re.compile(r"<\?xml\b|<!--|<[a-z][\w:.-]*[\s/>]", re.I), "XML", _EXPORT),
)  # fmt: skip
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
    for at, magic, kind in _READ:
        if head.startswith(magic, at):
            return kind
    for at, magic, what, todo in _REFUSED:
        if head.startswith(magic, at):
            raise _refused(origin, what, todo)
    encoding = utf16_encoding(head)
    text = head[: len(head) // 2 * 2].decode(encoding, "replace") if encoding else head.decode("latin-1")
    if len(_CONTROL.findall(text)) > len(text) / 20:
        if origin.name.lower().endswith(".dbf"):
            raise _refused(origin, "a dBASE table", "Name the .shp that it belongs to, or save it as CSV.")
        raise _refused(origin, "ORC" if head.startswith(b"ORC") else "a binary file of an unknown format", _EXPORT)
    text = text.removeprefix("\ufeff").removeprefix("ï»¿").lstrip("\x1e \t\r\n")
    if text.startswith("<"):
        for pattern, what, todo in _MARKUP:
            if pattern.search(text):
                raise _refused(origin, what, todo)
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
    """Of the files in a folder or an archive those with rows: all of the first of the kinds in `PREFERENCE`."""
    seen = [name for name in names if not PurePosixPath(name).name.startswith(".") and "__MACOSX" not in name]
    for endings in PREFERENCE:
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
        raise DataError(f"{origin}: is locked with a password. {_UNPACK}")
    kind = b""
    if "mimetype" in names:
        with archive.open("mimetype") as member:
            kind = member.read(100)
    if kind.startswith(b"application/vnd.oasis") or not names.isdisjoint(("word/document.xml", "ppt/presentation.xml")):
        if not kind.startswith(b"application/vnd.oasis.opendocument.spreadsheet"):
            raise _refused(origin, "a text document or presentation", _EXPORT)
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
    return DataError(
        f"{origin}: holds no file that is read ({found}). Expected one of {', '.join(sum(PREFERENCE, ()))}."
    )


def _refused(origin: InputFile, what: str, todo: str) -> DataError:
    return DataError(f"{origin}: is {what}, which is not read. {todo}")
