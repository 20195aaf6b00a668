"""Files are whole or absent: an interrupted write leaves what was there before."""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stforecast import files
from stforecast.errors import ArtefactError
from stforecast.files import (
    UNFINISHED,
    atomic_folder,
    atomic_path,
    contents,
    file_fingerprint,
    fingerprint,
    read_json,
    standing,
    sweep,
    write_json,
)


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


def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot exchange two folders."""
    monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: object())


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("before", [False, True])
def test_a_folder_stands_at_every_instant(
    tmp_path: Path, exchange: bool, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child process is killed at each system call that moves something; then the old or the new folder is whole."""
    target, seen = tmp_path / "grid", set()
    for last in range(6):
        shutil.rmtree(target, ignore_errors=True)
        if before:
            with atomic_folder(target) as temporary:
                (temporary / "a.csv").write_text("old")
                (temporary / "b.csv").write_text("old")
        child = os.fork()
        if child == 0:
            if not exchange:
                no_exchange(monkeypatch)
            die_after(last, monkeypatch)
            with atomic_folder(target) as temporary:
                (temporary / "a.csv").write_text("new")
                (temporary / "b.csv").write_text("new")
            os._exit(0)
        os.waitpid(child, 0)
        if standing(target):
            found = {path.read_text() for path in target.iterdir()}
            assert len(found) == 1
            assert names(target) == ["a.csv", "b.csv"]
            seen |= found
        else:
            assert not before
        sweep(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} <= {"grid"}
    assert "new" in seen
    assert ("old" in seen) == before


def die_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process die at the call that follows so many others of its kind."""
    left = [calls]

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def made(*arguments: object) -> object:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return call(*arguments)

        return made

    for name in ("rename", "replace", "fsync"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


def test_what_a_dead_process_left_is_swept_and_what_a_live_one_writes_is_not(tmp_path: Path) -> None:
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with atomic_folder(tmp_path / "live") as temporary:
            (temporary / "a.csv").write_text("whole")
            os.write(ready[1], b".")
            os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    (tmp_path / f"{UNFINISHED}dead-grid").mkdir()
    (tmp_path / f"{UNFINISHED}dead-grid" / "half.csv").write_text("half")
    (tmp_path / f"{UNFINISHED}dead.csv").write_text("half")
    sweep(tmp_path)
    assert len(list(tmp_path.glob(f"{UNFINISHED}*"))) == 1
    os.write(go[1], b".")
    os.waitpid(child, 0)
    assert names(tmp_path) == ["a.csv", "live"]


def test_many_writers_of_one_file_leave_one_whole_file_and_nothing_else(tmp_path: Path) -> None:
    target, children = tmp_path / "table.csv", []
    for number in range(8):
        child = os.fork()
        if child == 0:
            for _ in range(20):
                with atomic_path(target) as temporary:
                    temporary.write_text(str(number) * 1000)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert names(tmp_path) == ["table.csv"]
    assert len(set(target.read_text())) == 1


def test_an_absent_file_is_not_to_be_removed(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"facts\.json: is absent\. Run `stforecast train --fresh`\."):
        read_json(tmp_path / "facts.json", "Run `stforecast train --fresh`.")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(value=st.dictionaries(st.text().filter(lambda key: key != "checksum"), values), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_comes_back_and_no_flipped_bit_gives_another_value(
    tmp_path: Path, value: dict, data: st.DataObject
) -> None:
    path = tmp_path / "facts.json"
    write_json(path, value)
    assert read_json(path) == value
    whole = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)
    with suppress(ArtefactError):
        assert read_json(path) == value
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 3))])
    with pytest.raises(ArtefactError, match=r"facts\.json: "):
        read_json(path)


@pytest.mark.parametrize(
    "text", ['{"a": [1', "[" * 100_000, "[1, 2]", "null", '{"a": 1}', '{"a": 1, "checksum": "0"}', ""]
)
def test_what_is_not_ours_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "facts.json"
    path.write_text(text)
    with pytest.raises(ArtefactError, match=r"facts\.json: (damaged|has no checksum).*") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


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
