"""The publisher's files of a city: which they are, and a fingerprint of their contents and of how they are read."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from stforecast.config import Config
from stforecast.config.workspace import Workspace
from stforecast.errors import DataError
from stforecast.events.readers.containers import files_with_rows
from stforecast.events.readers.vector import shapefile_files
from stforecast.events.rules import IngestRules
from stforecast.events.schema import SCHEMA
from stforecast.files import contents, fingerprint

KINDS = "CSV, GeoJSON, JSON, Parquet, GeoPackage, shapefile, Excel; also packed as .zip, .tar, .gz, .xz or .bz2"


def source_files(config: Config, bronze: Path) -> list[Path]:
    """The files of `source.path` (relative to the current folder), or else those of `bronze`, sorted.

    Raises:
        DataError: a path names nothing, or a folder holds no file that can be read.
    """
    texts = config.source.path
    if texts is None:
        return _in_folder(bronze) or absent(bronze)
    found: list[Path] = []
    for text in [texts] if isinstance(texts, str) else texts:
        path = Path(config.input(text)).expanduser()
        names = [str(path)] if path.exists() else sorted(glob.glob(str(path), recursive=True))
        matches = _in_folder(path) if path.is_dir() else [Path(name) for name in names if Path(name).is_file()]
        if not matches:
            raise DataError(
                f"source.path: {path.absolute()} names no file of reports ({KINDS}). Check the path; a relative "
                "one begins at the folder that the command is run from."
            )
        found += matches
    members = {other for path in found for other in shapefile_files(path)}  # a glob takes a shapefile's too
    return [path for path in dict.fromkeys(found) if path not in members]


def absent(bronze: Path) -> list[Path]:
    """Say that a city has no files.

    Raises:
        DataError: always.
    """
    raise DataError(f"{bronze}: no offence reports. Put the publisher's file ({KINDS}) there, or set source.path.")


def source_stamp(files: Sequence[Path], config: Config) -> str:
    """A fingerprint of the files (name and content) and of how they are read; it stands in ingest.json.

    Equal stamps mean that an ingest would give the same events again, until its `due` comes.
    """
    hashes = content_hashes(files, Workspace(config.root, config.city).hashes)
    return stamp_of(files, hashes, IngestRules.of_city(config))


def stamp_of(files: Sequence[Path], hashes: Sequence[str], rules: IngestRules) -> str:
    """`source_stamp` of files whose hashes are known."""
    return fingerprint(SCHEMA, rules.settings, [path.name for path in files], list(hashes))


def content_hashes(files: Sequence[Path], known: Path) -> list[str]:
    """Hashes of the files' contents, that of a shapefile with those of all its files.

    Args:
        files: the files.
        known: where hashes are noted, see `stforecast.files.contents`.
    """
    groups = [[path, *shapefile_files(path)] for path in files]
    each = list(dict.fromkeys(path for group in groups for path in group))
    found = dict(zip(each, contents(each, known), strict=True))
    return [
        fingerprint([(path.suffix, found[path]) for path in group]) if len(group) > 1 else found[group[0]]
        for group in groups
    ]


def _in_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = [path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("_")]
    return sorted(folder / name for name in files_with_rows(names))
