"""Publisher's files → chunks of text in bounded memory, whatever they are packed in.

Read are delimited text (`delimited`), JSON of several kinds (`json_rows`), Parquet and Arrow (`columnar`), GeoPackage
and shapefile (`vector`) and workbooks (`workbooks`), as they are, packed (.gz, .xz, .bz2) or in an archive (.zip,
.tar).
"""

import errno
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from stforecast.config.sections import Columns
from stforecast.errors import DataError
from stforecast.events.readers import columnar, containers, delimited, json_rows, vector, workbooks
from stforecast.events.readers.chunk import Chunk, InputFile
from stforecast.events.readers.decoding import peek_head

BLOCK = 8 << 20  # bytes of text parsed at once
DEPTH = 4  # of things packed in one another
Reader = Callable[[InputFile, IO[bytes]], Iterator[Chunk]]
_STREAMS: dict[str, Reader] = {"text": delimited.chunks, "json": json_rows.chunks, "workbook": workbooks.chunks}
_FILES: dict[str, Reader] = {  # which are read to and fro
    "parquet": columnar.parquet,
    "arrow": columnar.arrow,
    "geopackage": lambda origin, file: vector.geopackage(origin, Path(file.name)),
    "shapefile": lambda origin, file: vector.shapefile(origin, Path(file.name)),
}
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


def read(
    path: Path, columns: Columns | None, needed: Collection[str] = (), block: int = BLOCK, rows_in: str | None = None
) -> Iterator[Chunk]:
    """Read one file, whatever its format: its first bytes tell it.

    Args:
        path: the file.
        columns: which of its columns holds what; None for all columns, as they are.
        needed: the fields that it must have.
        block: bytes of text parsed at once.
        rows_in: the member of a JSON document that holds its rows; default those of known writers.

    Returns:
        Its rows as texts, chunk by chunk.

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
    kind = containers.detect_format(peek_head(binary), origin)
    if packed := containers.decompressed(kind, binary, origin):
        yield from _read(origin, packed, depth + 1)
    elif kind in _STREAMS:
        yield from _STREAMS[kind](origin, binary)
    elif kind in _FILES:
        with containers.on_disk(origin, binary, kind) as file:
            yield from _sound(origin, _FILES[kind], file)
    elif kind == "tar":
        with tarfile.open(fileobj=binary, mode="r:") as archive:
            yield from _members(origin, containers.members_of(archive, origin), depth)
    else:
        with zipfile.ZipFile(binary) as archive:
            if not containers.is_workbook(archive, origin):
                yield from _members(origin, containers.members_of(archive, origin), depth)
                return
        binary.seek(0)
        yield from workbooks.chunks(origin, binary)


def _sound(origin: InputFile, reader: Callable[[InputFile, Any], Iterator[Chunk]], file: object) -> Iterator[Chunk]:
    """The chunks of a file that a library reads; what it cannot read is damaged."""
    try:
        yield from reader(origin, file)
    except (pa.ArrowException, OSError, RuntimeError) as error:  # pyogrio's are of the last kind
        raise origin.damaged(error) from error


def _members(origin: InputFile, members: containers.Members, depth: int) -> Iterator[Chunk]:
    names = containers.files_with_rows(list(members))
    if not names:
        raise containers.no_readable_file(origin, list(members))
    for name in names:
        member = origin.inside(name)
        if name.lower().endswith(".shp"):
            with containers.shapefile_of(members, name) as path:
                yield from _sound(member, vector.shapefile, path)
        else:
            with members[name]() as binary:
                yield from _read(member, binary, depth + 1)
