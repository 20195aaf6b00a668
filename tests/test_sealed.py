"""A folder's JSON speaks for every file in it."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stforecast.errors import ArtefactError
from stforecast.files import atomic_folder
from stforecast.sealed import Sealed, seal, unseal

AGAIN = "Run `stforecast build` again."


def write(folder: Path, text: str) -> None:
    with atomic_folder(folder) as temporary:
        (temporary / "below").mkdir()
        (temporary / "a.bin").write_bytes(text.encode() * 10)
        (temporary / "below" / "b.bin").write_bytes(text.encode() * 10)
        seal(temporary / "facts.json", {"text": text})


def read(sealed: Sealed) -> str:
    found = {sealed.file(name).read_text()[:3] for name in ("a.bin", "below/b.bin")}
    assert len(found) == 1
    return found.pop()


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_change_to_any_file_passes(tmp_path: Path, data: st.DataObject) -> None:
    write(tmp_path / "cube", "x")
    path = tmp_path / "cube" / data.draw(st.sampled_from(["a.bin", "below/b.bin"]))
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(data.draw(st.sampled_from([whole, whole[:at], whole + b"x"])))
    with pytest.raises(ArtefactError, match=rf"{path.name}: damaged.*{AGAIN}"):
        unseal(tmp_path / "cube" / "facts.json", AGAIN, read)
    path.unlink()
    with pytest.raises(ArtefactError, match=rf"{path.name}: is absent"):
        unseal(tmp_path / "cube" / "facts.json", AGAIN, Sealed.check)


def test_a_file_that_nobody_speaks_for_and_an_older_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "cube", "x")
    (tmp_path / "cube" / "more.bin").write_text("?")
    with pytest.raises(ArtefactError, match=r"more\.bin: not among the files of facts\.json"):
        unseal(tmp_path / "cube" / "facts.json", AGAIN, lambda sealed: sealed.file("more.bin"))
    (tmp_path / "cube" / "facts.json").write_text('{"files": {"a.bin": "0123456789abcdef"}}')
    with pytest.raises(ArtefactError, match=r"has no checksum: damaged, or of an older version\. Run"):
        unseal(tmp_path / "cube" / "facts.json", AGAIN, read)


def test_what_the_system_forbids_is_not_called_damage(tmp_path: Path) -> None:
    seal(tmp_path / "facts.json", {})

    def forbidden(sealed: Sealed) -> None:
        raise PermissionError(13, "Permission denied", str(sealed.path))

    with pytest.raises(PermissionError):
        unseal(tmp_path / "facts.json", "Run it again.", forbidden)


def test_a_reader_beside_a_writer_has_the_old_folder_or_the_new_one(tmp_path: Path) -> None:
    write(tmp_path / "cube", "000")
    child = os.fork()
    if child == 0:
        for number in range(300):
            write(tmp_path / "cube", f"{number:03d}")
        os._exit(0)
    reads = 0
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        assert unseal(tmp_path / "cube" / "facts.json", AGAIN, read).isdigit()
        reads += 1
    assert reads > 10
