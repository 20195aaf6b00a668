"""Files are whole or absent: an interrupted write leaves what was there before."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from stforecast import files
from stforecast.errors import ArtefactError
from stforecast.files import atomic_folder, atomic_path, contents, file_fingerprint, fingerprint, read_json, write_json


class StopError(Exception):
    """What interrupts a write."""


def half(writing: AbstractContextManager[Path], below: str = "") -> None:
    """A write that is interrupted."""
    with writing as temporary:
        (temporary / below).write_text("half")
        raise StopError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_path_is_replaced_whole_and_keeps_its_ending_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "below" / "table.csv.gz"
    for text in ("old", "new"):
        with atomic_path(target) as temporary:
            assert temporary.parent == target.parent
            assert temporary.name.endswith("table.csv.gz")
            temporary.write_text(text)
            assert not target.exists() or target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(target.parent) == ["table.csv.gz"]


@pytest.mark.parametrize("before", [None, "old"])
def test_an_exception_leaves_the_old_path(tmp_path: Path, before: str | None) -> None:
    target = tmp_path / "table.csv"
    if before:
        target.write_text(before)
    with pytest.raises(StopError):
        half(atomic_path(target))
    assert names(tmp_path) == (["table.csv"] if before else [])
    assert not before or target.read_text() == before


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "grid"
    for name in ("old.csv", "new.csv"):
        with atomic_folder(target) as temporary:
            (temporary / "below").mkdir()
            (temporary / "below" / name).write_text(name)
    assert names(tmp_path) == ["below", "grid", "new.csv"]


@pytest.mark.parametrize("before", [False, True])
def test_an_exception_leaves_the_old_folder(tmp_path: Path, before: bool) -> None:
    target = tmp_path / "grid"
    if before:
        target.mkdir()
        (target / "old.csv").write_text("old")
    with pytest.raises(StopError):
        half(atomic_folder(target), "new.csv")
    assert names(tmp_path) == (["grid", "old.csv"] if before else [])


@pytest.mark.parametrize("before", [False, True])
def test_a_stop_between_the_two_renames_leaves_the_old_folder(
    tmp_path: Path, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rename = tmp_path / "grid", os.replace
    if before:
        target.mkdir()
        (target / "old.csv").write_text("old")

    def stopped(source: Path, to: Path) -> None:
        if source.name == f".{os.getpid()}.grid":
            raise KeyboardInterrupt
        rename(source, to)

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt), atomic_folder(target) as temporary:
        (temporary / "new.csv").write_text("new")
    assert names(tmp_path) == (["grid", "old.csv"] if before else [])


def test_an_absent_file_is_not_to_be_removed(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"facts\.json: is absent.*`stforecast train --fresh`"):
        read_json(tmp_path / "facts.json")


def test_json_round_trip_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": [1, 2.5, None], "ü": "é"})
    assert read_json(path) == {"a": [1, 2.5, None], "ü": "é"}
    path.write_text('{"a": [1')
    with pytest.raises(ArtefactError, match=r"facts\.json: cannot be read as JSON"):
        read_json(path)


def test_fingerprints_follow_content_and_nothing_else(tmp_path: Path) -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    first, second = tmp_path / "first", tmp_path / "second"
    for path, content in ((first, b"x" * (3 << 20)), (second, b"x" * (3 << 20) + b"y")):
        path.write_bytes(content)
    assert file_fingerprint(first) != file_fingerprint(second)
    second.write_bytes(first.read_bytes())
    assert file_fingerprint(first) == file_fingerprint(second)


def test_files_are_known_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, notes = tmp_path / "one.csv", tmp_path / "two.csv", tmp_path / "hashes.json"
    one.write_bytes(b"abc")
    two.write_bytes(b"abc")
    read: list[str] = []

    def noticed(path: Path) -> str:
        read.append(path.name)
        return file_fingerprint(path)

    monkeypatch.setattr(files, "file_fingerprint", noticed)
    first = contents([one, two], notes)
    assert first == [file_fingerprint(one)] * 2
    assert contents([two, one], notes) == first
    assert read == ["one.csv", "two.csv"]
    os.utime(one, ns=(1, 1))
    assert contents([one, two], notes) == first
    two.write_bytes(b"abd")
    assert contents([one, two], notes)[1] != first[1]
    assert read[2:] == ["one.csv", "two.csv"]
    assert contents([one], tmp_path / "one.csv" / "notes.json") == first[:1]  # no notes can be written there
    with pytest.raises(FileNotFoundError):
        contents([tmp_path / "gone.csv"], notes)
