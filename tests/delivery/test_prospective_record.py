"""The prospective record: what is on it stays as it was, and what is done to it shows."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_grids import ISSUED, UNITS, grid

from stforecast.config.sections import Unit
from stforecast.cube import Cube
from stforecast.delivery import prospective
from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.prospective import FIRST, Record
from stforecast.errors import ArtefactError

FROM = {"forecaster": "gcrn", "offences": "0", "model_sha256": "1" * 64, "cube_sha256": "2" * 64}


def append(record: Record, day: int) -> str:
    return record.append(grid(1, seed=day, issued=ISSUED + pd.Timedelta(days=day)), "denver", FROM)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A record of five forecasts."""
    record = Record(tmp_path / "data" / "prospective")
    for day in range(5):
        append(record, day)
    return record


def lines_of(record: Record) -> list[bytes]:
    return record.path.read_bytes().splitlines(keepends=True)


def test_what_was_recorded_can_be_read_again(record: Record) -> None:
    found, first = record.check(), grid(1, seed=0)
    assert (found.faults, found.torn, len(found.entries)) == ([], False, 5)
    assert found.entries[0].items() >= {**FROM, "issue_time": "2024-09-30T06:00:00Z", "model": "gcrn-ab12"}.items()
    assert abs(pd.Timestamp(found.entries[-1]["written_at"]) - pd.Timestamp.now("UTC")) < pd.Timedelta(minutes=5)
    opened = record.open(found.entries[0])
    np.testing.assert_array_equal(opened.intensity, first.intensity)
    np.testing.assert_array_equal(opened.usual, first.usual)
    assert opened.facts("denver") == first.facts("denver")


@pytest.mark.parametrize("unit", UNITS)
def test_forecasts_of_every_step_are_recorded(record: Record, unit: Unit) -> None:
    written = grid(1, unit=unit, model="another")
    record.append(written, "denver", FROM)
    found = record.check()
    assert (found.faults, len(found.entries)) == ([], 6)
    opened = record.open(found.entries[-1])
    assert opened.facts("denver") == written.facts("denver")
    np.testing.assert_array_equal(opened.ends, written.ends)


def test_a_forecast_of_before_there_were_days_and_months_is_one_of_hours(tmp_path: Path) -> None:
    head, _, body = pack(grid(1), "denver").partition(b"\n")
    facts = {key: value for key, value in json.loads(head).items() if key != "step_unit"}
    opened = unpack(json.dumps(facts).encode() + b"\n" + body)
    assert opened.facts("denver") == grid(1).facts("denver")


def test_the_digest_of_a_cube_tells_days_from_hours() -> None:
    counts, places = np.ones((48, 2, 1)), np.array([[0.0, 0.0], [0.0, 1.0]])
    cubes = [
        Cube.from_dense(counts, coordinates=places, **axis)
        for axis in (
            {"step_hours": 24},
            {"step_unit": "day"},
            {"step_unit": "day", "time_zone": "America/Denver", "start": "2000-01-01T07:00Z"},
        )
    ]
    assert len({prospective.cube_digest(cube) for cube in cubes}) == 3


def test_anyone_can_follow_the_chain(record: Record) -> None:
    previous = FIRST
    for line in lines_of(record):
        body, end = line[:-78], line[-78:]  # `, "hash": "…"}` and the end of the line
        previous = hashlib.sha256(previous.encode() + body + b"}").hexdigest()
        assert end == f', "hash": "{previous}"}}\n'.encode()
    assert record.check().last == previous
    for entry in record.check().entries:
        kept = (record.folder / f"{entry['grid_sha256']}.forecast").read_bytes()
        assert hashlib.sha256(kept).hexdigest() == entry["grid_sha256"]


def test_the_same_forecast_is_recorded_once(record: Record) -> None:
    before = record.path.read_bytes()
    assert append(record, 2) == record.check().last
    assert record.path.read_bytes() == before


def test_a_line_is_on_the_disk_before_its_forecast_is_made_plain(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, replace, done = os.fsync, os.replace, list[str]()

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        if os.path.samestat(os.fstat(descriptor), record.path.stat()):
            done.append("line")

    def replaced(source: Path, target: Path) -> None:
        replace(source, target)
        done.append("hidden" if target.name.startswith(".") else "plain")

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    append(record, 5)
    assert done == ["hidden", "line", "plain"]


def changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"written_at": "2', b'"written_at": "1'), *lines[3:]]


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (changed, "line 3: it was changed, or lines before it"),
        (lambda lines: [b"\0" * 40 + b"\n", *lines[1:]], "line 1: it was changed, or"),
        (lambda lines: [*lines[:4], lines[4][:50] + lines[4][51:]], "line 5: it was changed, or"),
        (lambda lines: lines[1:], "line 1: it was changed, or lines before it were removed"),
        (lambda lines: [*lines[:2], *lines[3:]], "line 3: it was changed, or lines before it were removed"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "line 2: it was changed, or"),
        (lambda lines: [*lines, lines[4]], "line 6: it was changed, or"),
        (lambda lines: lines[:4], "its line in prospective.jsonl was changed or removed"),
        (lambda lines: [], "its line in prospective.jsonl was changed or removed"),
        (lambda lines: [*lines[:4], lines[4][:99]], "its line in prospective.jsonl was changed or removed"),
        (lambda lines: [*lines[:4], lines[4][:-1]], "its line in prospective.jsonl was changed or removed"),
    ],
)
def test_tampered_lines_are_found(record: Record, tamper: Callable[[list[bytes]], list[bytes]], said: str) -> None:
    record.path.write_bytes(b"".join(tamper(lines_of(record))))
    assert any(said in fault for fault in record.check().faults), record.check().faults
    append(record, 9)
    assert any(said in fault for fault in record.check().faults)  # and another forecast does not hide it
    assert record.check().entries[-1]["issue_time"] == "2024-10-09T06:00:00Z"  # which is on record all the same


def test_a_line_that_was_changed_casts_no_doubt_on_those_behind_it(record: Record) -> None:
    record.path.write_bytes(b"".join(changed(lines_of(record))))
    found = record.check()
    assert [entry["issue_time"][8:10] for entry in found.entries] == ["30", "01", "03", "04"]
    assert [fault.split(str(record.folder))[1].split(":")[0] for fault in found.faults] == [
        "/prospective.jsonl, line 3",
        f"/{json.loads(lines_of(record)[2])['grid_sha256']}.forecast",
    ]


def test_a_line_that_is_forged_with_its_own_hash_breaks_the_chain(record: Record) -> None:
    lines = lines_of(record)
    entry = json.loads(lines[1]) | {"written_at": "2020-01-01T00:00:00+00:00"}
    del entry["hash"]
    forged = prospective._line(entry, json.loads(lines[0])["hash"])
    record.path.write_bytes(b"".join([lines[0], forged, *lines[2:]]))
    fault, orphan = record.check().faults
    assert json.loads(lines[2])["grid_sha256"] in orphan
    assert "line 3: it was changed, or lines before it were removed, added or moved" in fault


def test_what_only_a_hash_that_was_noted_elsewhere_shows(record: Record) -> None:
    noted = record.check().last
    entries, lines = record.check().entries, lines_of(record)
    record.path.write_bytes(b"".join(lines[:3]))
    for entry in entries[3:]:
        (record.folder / f"{entry['grid_sha256']}.forecast").unlink()
    assert record.check().faults == []  # the newest forecasts and their lines are gone
    append(record, 8)
    assert noted.encode() not in record.path.read_bytes()


@pytest.mark.parametrize("flip", [0, 1000, -1])
def test_a_forecast_that_was_changed_or_removed_is_found(record: Record, flip: int) -> None:
    entries = record.check().entries
    one, other = (record.folder / f"{entries[i]['grid_sha256']}.forecast" for i in (1, 3))
    content = bytearray(one.read_bytes())
    content[flip] ^= 1
    one.write_bytes(content)
    other.unlink()
    found = record.check()
    assert found.entries == [entries[0], entries[2], entries[4]]
    assert [fault.split(": ", 1)[1] for fault in found.faults] == [
        f"{one}, issued 2024-10-01T06:00:00Z: was changed. {prospective.RESTORE}",
        f"{other}, issued 2024-10-03T06:00:00Z: is missing. {prospective.RESTORE}",
    ]
    with pytest.raises(ArtefactError, match="was changed"):
        record.open(entries[1])


def test_a_record_that_is_gone_is_said_and_a_new_one_does_not_hide_it(record: Record) -> None:
    record.path.unlink()
    with pytest.raises(ArtefactError, match="no record"):
        record.check()
    append(record, 7)
    assert len(record.check().faults) == 5


@pytest.mark.parametrize("rest", [b"{", b'{"number": 6, "city": "denver"', b"\0\0\0"])
def test_a_torn_last_line_is_said_and_the_next_forecast_goes_on(record: Record, rest: bytes) -> None:
    with record.path.open("ab") as file:
        file.write(rest)
    assert (record.check().torn, record.check().faults, len(record.check().entries)) == (True, [], 5)
    append(record, 5)
    assert (record.check().torn, record.check().faults, len(record.check().entries)) == (False, [], 6)


def test_a_piece_of_a_line_counts_for_nothing_though_only_its_end_is_missing(record: Record) -> None:
    kept = record.folder / f"{record.check().entries[4]['grid_sha256']}.forecast"
    record.path.write_bytes(record.path.read_bytes()[:-1])
    kept.rename(kept.with_name(f".{kept.name}"))  # as its writer, killed there, would have left it
    assert (record.check().torn, record.check().faults, len(record.check().entries)) == (True, [], 4)
    append(record, 5)
    assert (record.check().torn, record.check().faults, len(record.check().entries)) == (False, [], 5)


def _killed_at(folder: Path, where: str, how_often: int) -> None:
    """Append a forecast and die at the n-th call of a function of the operating system."""
    real, left = getattr(os, where), [how_often]

    def call(*arguments: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    setattr(os, where, call)
    append(Record(folder), 5)


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_kill_at_any_instant_leaves_a_whole_record(record: Record, where: str, tmp_path: Path) -> None:
    kills = 0
    while True:
        one = Record(Path(shutil.copytree(record.folder, tmp_path / f"{kills}")))
        process = multiprocessing.get_context("fork").Process(target=_killed_at, args=(one.folder, where, kills + 1))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        found = one.check()
        assert found.faults == []
        for entry in found.entries:  # one behind whose line the writer was killed, too
            one.open(entry)
        append(one, 6)
        append(one, 5)
        assert (one.check().faults, len(one.check().entries)) == ([], 7)
        assert not [path for path in one.folder.iterdir() if path.name.startswith(".")]
    assert kills >= 2


def _append_many(folder: Path, first: int) -> None:
    for day in range(first, first + 8):
        append(Record(folder), day)


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    forked = multiprocessing.get_context("fork")
    processes = [forked.Process(target=_append_many, args=(tmp_path, 8 * i)) for i in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = Record(tmp_path).check()
    assert (found.faults, len(found.entries)) == ([], 32)


def forged(record: Record, content: bytes | None = None, **values: object) -> None:
    """Another last line and forecast, with the hashes that they ask for."""
    *lines, last = lines_of(record)
    entry = {key: value for key, value in json.loads(last).items() if key != "hash"}
    path = record.folder / f"{entry['grid_sha256']}.forecast"
    if content is not None:
        path.unlink()
        entry["grid_sha256"] = hashlib.sha256(content).hexdigest()
        (record.folder / f"{entry['grid_sha256']}.forecast").write_bytes(content)
    entry |= values
    previous = json.loads(lines[-1])["hash"]
    own = hashlib.sha256((previous + json.dumps(entry)).encode()).hexdigest()
    record.path.write_bytes(b"".join(lines) + json.dumps({**entry, "hash": own}).encode() + b"\n")


@pytest.mark.parametrize("content", [b"junk", b"{}\n", b'{"hexagons": 5}\n1234', b"[]\n"])
def test_what_is_no_forecast_is_a_fault_though_its_hashes_are_right(record: Record, content: bytes) -> None:
    forged(record, content)
    found = record.check()
    assert len(found.entries) == 4
    assert "not the forecast of its line" in found.faults[0]


@pytest.mark.parametrize(
    "values",
    [
        *({"written_at": "never"}, {"written_at": "2024-09-30"}, {"written_at": None}, {"grid_sha256": 3}),
        *({"issue_time": "2024-09-01T06:00:00Z"}, {"model": "another"}),
    ],
)
def test_a_line_that_does_not_fit_its_forecast_is_a_fault(record: Record, values: dict[str, object]) -> None:
    forged(record, **values)
    assert len(record.check().entries) == 4
    assert record.check().faults
