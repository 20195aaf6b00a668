"""Files that are either whole or absent: write beside the target, fsync, rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from stforecast.errors import ArtefactError

LEFTOVER_HOURS = 6
"""Age at which a half-written file or folder is that of a process that was killed."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path (same folder, same ending) that becomes `target` if the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        _fsync(temporary)
        os.replace(temporary, target)
        _fsync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `target` if the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    retired = target.with_name(f".{os.getpid()}.old.{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            _fsync(path)
        if target.exists():
            os.replace(target, retired)
        os.replace(temporary, target)
        _fsync(target.parent)
    finally:
        if retired.exists() and not target.exists():  # stopped between the two renames
            os.replace(retired, target)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)


def sweep(folder: Path, pattern: str = ".*") -> None:
    """Remove what killed processes left half-written in `folder`."""
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):  # finished by the process at work on it
            if time.time() - path.stat().st_mtime > LEFTOVER_HOURS * 3600:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON of ours.

    Raises:
        ArtefactError: the file is absent or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(
            f"{path}: is absent. Run the stage that writes it again: for a file of a run `stforecast train --fresh`."
        ) from None
    except ValueError as error:
        raise ArtefactError(f"{path}: cannot be read as JSON ({error}). Remove it and run the stage again.") from error


def check_archive(archive: Path | BytesIO, ratio: int = 100) -> None:
    """Look whether a zip archive of ours is what was written, before anything of it is taken for a size or a value.

    Args:
        archive: the file, or its content.
        ratio: how many times its own size it may claim to unpack to.

    Raises:
        ValueError: a checksum differs, or the archive claims to hold more.
        BadZipFile: it is not a zip archive.
    """
    size = archive.stat().st_size if isinstance(archive, Path) else len(archive.getbuffer())
    with ZipFile(archive) as opened:
        if (claimed := sum(member.file_size for member in opened.infolist())) > ratio * size:
            raise ValueError(f"{size:,} bytes claim to hold {claimed:,}")
        if broken := opened.testzip():
            raise ValueError(f"{broken} is not what was written")


def in_brief(error: Exception) -> str:
    """What an error of a library says, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def fingerprint(*parts: Any) -> str:
    """A short hash of plain values: equal inputs and settings give equal fingerprints."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_fingerprint(path: Path) -> str:
    """A hash of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def contents(paths: Sequence[Path], known: Path) -> list[str]:
    """Hashes of the files' contents, noted in the JSON `known`: a file is read again where size or time changed.

    Notes bear the path from there, so that a workspace may be moved.
    """
    noted, names = _noted(known), [os.path.relpath(path, known.parent) for path in paths]
    found: dict[str, list[Any]] = {}
    for name, path in zip(names, paths, strict=True):
        facts = path.stat()
        when = [facts.st_size, facts.st_mtime_ns]
        same = noted.get(name, [])[:2] == when
        found[name] = noted[name] if same else [*when, file_fingerprint(path)]
    if noted | found != noted:
        with suppress(OSError):  # notes save time and nothing else
            write_json(known, noted | found)
    return [found[name][2] for name in names]


def _noted(known: Path) -> dict[str, list[Any]]:
    try:
        notes = read_json(known)
    except (ArtefactError, OSError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
