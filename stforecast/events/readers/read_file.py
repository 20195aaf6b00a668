"""Publisher's files → chunks of text in bounded memory, whatever they are packed in.

Read are delimited text (`delimited`), JSON of several kinds (`jsons`), Parquet and Arrow (`columnar`), GeoPackage and
shapefile (`vector`) and workbooks (`sheets`), as they are, packed (.gz, .xz, .bz2) or in an archive (.zip, .tar).
"""

from __future__ import annotations

import errno
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, cast

from stforecast.config.sections import Columns
from stforecast.errors import DataError
from stforecast.events.readers import columnar, delimited, vector
from stforecast.events.readers import containers as inside
from stforecast.events.readers import json_rows as jsons
from stforecast.events.readers import workbooks as sheets
from stforecast.events.readers.chunk import Chunk, InputFile
from stforecast.events.readers.decoding import peek_head

BLOCK = 8 << 20  # bytes of text parsed at once
DEPTH = 4  # of things packed in one another
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


def read(
    path: Path,
    columns: Columns | None,
    needed: Collection[str] = (),
    block: int = BLOCK,
    rows_in: str | None = None,
) -> Iterator[Chunk]:
    """Chunks of one file; what it is, its first bytes say.

    Args:
        path: the file.
        columns: which of its columns holds what; None for all columns, as they are.
        needed: the fields that it must have.
        block: bytes of text parsed at once.
        rows_in: the member of a JSON document that holds its rows; default those of known writers.

    Raises:
        DataError: the file is empty, damaged, of a format that is not read, or lacks the column of a needed field.
    """
    with path.open("rb") as raw:
        origin = InputFile(path, raw, path.name, columns, needed, block, rows_in)
        try:
            yield from _read(origin, raw)
        except _DAMAGE as error:
            raise origin.damaged(error) from error
        except NotImplementedError as error:
            raise DataError(f"{origin}: is packed in a way that is not read ({error}). Unpack it.") from error
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):  # as what unpacks says that bytes are wrong
                raise
            raise origin.damaged(error) from error


def _read(origin: InputFile, binary: IO[bytes], depth: int = 1) -> Iterator[Chunk]:
    if depth > DEPTH:
        raise DataError(f"{origin}: is packed more than {DEPTH} times. Unpack it.")
    kind = inside.detect_format(peek_head(binary), origin)
    if pack_places := inside.decompressed(kind, binary):
        yield from _read(origin, pack_places, depth + 1)
    elif kind == "text":
        yield from delimited.chunks(origin, binary)
    elif kind == "json":
        yield from jsons.chunks(origin, binary)
    elif kind == "workbook":
        yield from sheets.chunks(origin, binary)
    elif kind == "zip":
        with zipfile.ZipFile(binary) as archive:
            if inside.is_workbook(archive, origin):
                binary.seek(0)
                yield from sheets.chunks(origin, binary)
            else:
                yield from _members(origin, inside.zip_members(archive), depth)
    elif kind == "tar":
        with tarfile.open(fileobj=binary, mode="r:") as archive:
            yield from _members(origin, inside.tar_members(archive), depth)
    else:
        with inside.on_disk(origin, binary, kind) as file:
            if kind == "parquet":
                yield from columnar.parquet(origin, file)
            elif kind == "arrow":
                yield from columnar.arrow(origin, file)
            elif kind == "geopackage":
                yield from vector.geopackage(origin, Path(file.name))
            else:
                yield from vector.shapefile(origin, Path(file.name))


def _members(origin: InputFile, members: inside.Members, depth: int) -> Iterator[Chunk]:
    names = inside.files_with_rows(list(members))
    if not names:
        raise inside.no_readable_file(origin, list(members))
    for name in names:
        member = origin.inside(name)
        if name.lower().endswith(".shp"):
            with inside.shapefile_of(members, name) as path:
                yield from vector.shapefile(member, path)
        else:
            with members[name]() as binary:
                yield from _read(member, cast(IO[bytes], io.BufferedReader(cast(io.RawIOBase, binary))), depth + 1)
