"""GeoPackage and shapefile → chunks, by way of GDAL and some rows at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from stforecast.config.sections import Columns
from stforecast.errors import DataError
from stforecast.events.readers.chunk import ROWS, Chunk, InputFile, first_with_columns
from stforecast.events.readers.columnar import Geometry
from stforecast.events.readers.columnar import chunks as columnar
from stforecast.events.readers.header import names_by_field, normalise_name

SIBLINGS = (".dbf", ".shx", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx", ".shp.xml")
"""Endings of the files that belong to a .shp: its attributes, their index, coordinate system, encoding and so on."""

_SHORT = 10  # letters of a column's name that a .dbf keeps


def shapefile_files(path: Path) -> list[Path]:
    """The other files of a shapefile; none of any other file."""
    if path.suffix.lower() != ".shp":
        return []
    stem = path.name[: -len(".shp")]
    return sorted(
        other
        for other in path.parent.iterdir()
        if other.name.startswith(stem) and other.name[len(stem) :].lower() in SIBLINGS
    )


def shapefile(origin: InputFile, path: Path) -> Iterator[Chunk]:
    """The rows of a shapefile. Without a .prj its points are what `source.crs` says."""
    if path.suffix.lower() == ".shx":
        raise DataError(f"{origin}: is the index of a shapefile. Name its .shp under source.path.")
    there = {other.suffix.lower(): other for other in shapefile_files(path)}
    for ending in (".dbf", ".shx"):
        if ending not in there:
            raise DataError(f"{origin}: its {ending} is missing. Put all files of the shapefile beside it.")
    _check_size(origin, path, there[".dbf"])
    facts = _info(path)
    yield from _chunks(origin, path, facts, _full_names(_fields(facts), origin.columns or Columns()))


def geopackage(origin: InputFile, path: Path) -> Iterator[Chunk]:
    """The rows of the first layer that has the needed columns."""
    import pyogrio

    layers = {str(name): _info(path, str(name)) for name in pyogrio.list_layers(path)[:, 0]}

    def locate(name: str) -> object:
        return origin.locate(_fields(layers[name]), layers[name]["geometry_type"] is not None)

    if not (found := first_with_columns(origin, "layer", layers, locate)):
        raise origin.damaged("no layer")
    name, inside = found
    yield from _chunks(inside if len(layers) > 1 else origin, path, layers[name], _fields(layers[name]))


def _info(path: Path, layer: str | None = None) -> dict[str, Any]:
    """What GDAL says of a layer."""
    import pyogrio

    facts: dict[str, Any] = pyogrio.read_info(path, layer=layer)
    return facts


def _fields(facts: dict[str, Any]) -> list[str]:
    """The names of the columns, the key among them where it has a name."""
    return [*facts["fields"], *filter(None, [facts["fid_column"]])]


def _chunks(origin: InputFile, path: Path, facts: dict[str, Any], names: Sequence[str]) -> Iterator[Chunk]:
    """names: what the fields are to be called."""
    from pyogrio.raw import open_arrow

    own = dict(zip(names, _fields(facts), strict=True))
    geometry = None
    if facts["geometry_type"] is not None:
        geometry = Geometry(facts["geometry_name"] or "wkb_geometry", facts["crs"])

    def batches(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        called = [own.get(name, name) for name in wanted]
        with open_arrow(
            path,
            facts["layer_name"],
            columns=[name for name in called if name in facts["fields"]],
            read_geometry=geometry is not None and geometry.column in wanted,
            return_fids=facts["fid_column"] in called,
            batch_size=ROWS,
            use_pyarrow=True,
            datetime_as_string=True,  # a time without an offset gets none
        ) as (_, reader):
            for batch in reader:
                yield pa.RecordBatch.from_arrays([batch.column(name) for name in called], names=list(wanted))

    yield from columnar(origin, names, geometry, batches)


def _full_names(names: Sequence[str], columns: Columns) -> list[str]:
    """A .dbf's names, those that were cut to 10 letters as `columns` has them where that is sure."""
    whole: dict[str, set[tuple[str, str]]] = {}
    for field, given in names_by_field(columns).items():
        for name in given:
            if len(name) > _SHORT:
                whole.setdefault(normalise_name(name[:_SHORT]), set()).add((field, name))
    known = {normalise_name(name) for given in names_by_field(columns).values() for name in given}
    out = []
    for name in names:
        meant = whole.get(normalise_name(name), set())
        sure = len(name) == _SHORT and normalise_name(name) not in known and len({field for field, _ in meant}) == 1
        out.append(min(meant)[1] if sure else name)
    return out


def _check_size(origin: InputFile, path: Path, table: Path) -> None:
    """GDAL fills up what is missing at the end of a shapefile, and says nothing."""
    with path.open("rb") as shapes, table.open("rb") as rows:
        length = 2 * int.from_bytes(shapes.read(28)[24:28], "big")
        head = rows.read(12)
    number, start, size = (int.from_bytes(head[at:end], "little") for at, end in ((4, 8), (8, 10), (10, 12)))
    for file, expected in ((path, length), (table, start + number * size)):
        if (found := file.stat().st_size) < expected:
            raise origin.damaged(f"{file.suffix} has {found:,} of {expected:,} bytes")
