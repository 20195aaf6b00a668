"""Files and folders that are whole or absent: write beside the target, fsync, put in its place in one step.

What is being written bears a lock of its own, which ends with the process, whatever ends it, in whichever container it
runs: so what a dead process left is told from what a live one is writing, and the next writer beside it sweeps it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from zipfile import ZipFile

from stforecast.errors import ArtefactError, in_brief

Made = TypeVar("Made")
UNFINISHED = ".unfinished-"
"""How the name of a file or folder begins that is being written, or was when its process was killed."""
RETIRED = ".retired-"
"""How the name of a folder begins that is being replaced where the system cannot exchange two folders."""
CHECKSUM = "checksum"
"""Last key of every JSON of ours: the hash of the others."""
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_HERE = -100  # AT_FDCWD


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path (same folder, same ending) that becomes `target` if the block succeeds."""
    with _unfinished(target, is_folder=False) as temporary:
        yield temporary
        _fsync(temporary)
        os.replace(temporary, target)
        _fsync(target.parent)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of `target`, or of what a link there leads to, on success."""
    target = target.resolve()  # or the old folder would stay behind the link
    with _unfinished(target, is_folder=True) as temporary:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            _fsync(path)
        if target.exists():
            _exchange(temporary, target)
        else:
            os.rename(temporary, target)
        _fsync(target.parent)


@contextmanager
def _unfinished(target: Path, is_folder: bool) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    while True:
        path = target.with_name(f"{UNFINISHED}{secrets.token_hex(6)}-{target.name}")
        path.mkdir() if is_folder else path.touch(exist_ok=False)
        try:
            owner = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # swept before it was locked
            continue
        fcntl.flock(owner, fcntl.LOCK_EX)
        if path.exists():
            break
        os.close(owner)
    try:
        yield path
    except OSError as error:
        if error.errno:  # a full disk is told of without a name
            error.filename = error.filename or str(target)
        raise
    finally:
        _remove(path)
        os.close(owner)


def sweep(folder: Path) -> None:
    """Remove what dead processes left unfinished in `folder`, and put back a folder that one was replacing."""
    for path in folder.glob(f"{RETIRED}*"):
        _put_back(path)
    for path in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):  # gone, locked by the process at work on it, or another's
            owner = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            finally:
                os.close(owner)


def standing(folder: Path) -> bool:
    """Whether a folder is there; one that a killed process had set aside is put back."""
    if not folder.is_dir():
        _put_back(folder.with_name(f"{RETIRED}{folder.name}"))
    return folder.is_dir()


def _exchange(new: Path, old: Path) -> None:
    """Let two folders change names in one step; in two, with a way back, where the system has no such step."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 and renameat2(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE) == 0:
        return
    code = ctypes.get_errno() if renameat2 else errno.ENOSYS
    if code not in (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EOPNOTSUPP):
        raise OSError(code, os.strerror(code), str(old))
    retired = old.with_name(f"{RETIRED}{old.name}")
    os.rename(old, retired)
    try:
        os.rename(new, old)
    finally:
        _put_back(retired)


def _put_back(retired: Path) -> None:
    target = retired.with_name(retired.name.removeprefix(RETIRED))
    with suppress(OSError):  # nothing was set aside, or a newer folder stands in its place
        os.rename(retired, target)
    if target.is_dir():
        _remove(retired)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as indented JSON with a checksum, atomically."""
    text = json.dumps(value, indent=2, default=str)
    write_text(path, json.dumps({**json.loads(text), CHECKSUM: _checksum(text)}, indent=2) + "\n")


def read_json(path: Path, again: str = "Run the stage that writes it again.") -> dict[str, Any]:
    """What `write_json` wrote.

    Args:
        path: the file.
        again: what the user can do where it cannot be read.

    Raises:
        ArtefactError: the file is absent, damaged or of an older version.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        written = value.pop(CHECKSUM)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise ArtefactError(f"{path}: is absent. {again}") from None
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path}: damaged, not JSON ({error}). {again}") from error
    except (AttributeError, KeyError, TypeError):
        raise ArtefactError(f"{path}: has no checksum: damaged, or of an older version. {again}") from None
    if written != _checksum(json.dumps(value, indent=2)):
        raise ArtefactError(f"{path}: damaged, not what was written. {again}")
    return dict(value)


def read_made(path: Path, make: Callable[[dict[str, Any]], Made], again: str) -> Made:
    """What is made of the values that `write_json` wrote.

    Args:
        path: the file.
        make: makes it, and raises a KeyError, TypeError or ValueError where the values are not such.
        again: what the user can do where it cannot be read.

    Raises:
        ArtefactError: the file is absent, damaged or of another version.
    """
    values = read_json(path, again)
    try:
        return make(values)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{path}: of another version ({in_brief(error)}). {again}") from error


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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


def fingerprint(*parts: Any) -> str:
    """A short hash of plain values: equal inputs and settings give equal fingerprints."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_fingerprint(path: Path) -> str:
    """A short hash of a file's content."""
    return sha256_of(path)[:16]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


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
    return notes


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
