"""One writer at a time; a dead one holds nothing."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stforecast.errors import BusyError
from stforecast.locks import alone

HOLD = """
import sys
from pathlib import Path
from stforecast.locks import alone
with alone(Path(sys.argv[1]), "forecast"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=-1, stdout=-1, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_the_second_writer_is_told_who_is_at_work_and_a_kill_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "forecast.lock"
    child = holder(path)
    with (
        pytest.raises(BusyError, match=rf"forecast of process {child.pid} on \S+, since 20\S+, is at work"),
        alone(path, "x"),
    ):
        pass
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with alone(path, "build"):
        assert f'"process": {os.getpid()}' in path.read_text()


def test_work_within_work_holds_on_and_another_thread_does_not(tmp_path: Path) -> None:
    path, found = tmp_path / "refresh.lock", []

    def other() -> None:
        try:
            with alone(path, "refresh"):
                found.append("held")
        except BusyError:
            found.append("busy")

    with alone(path, "refresh"):
        with alone(path, "refresh"):
            pass
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    other()
    assert found == ["busy", "held"]


def test_a_damaged_lock_file_locks_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "build.lock"
    child = holder(path)
    path.write_text("[1, 2")
    with pytest.raises(BusyError, match="another process is at work"), alone(path, "build"):
        pass
    child.communicate()
