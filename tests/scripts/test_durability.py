"""A sample of the trials of durability that `make proofs` runs as a whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def run(script: str, *arguments: str) -> str:
    """What a script says; it must find nothing wrong."""
    command, one_thread = [sys.executable, str(SCRIPTS / script), *arguments], {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=one_thread)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_damage_is_told_mended_or_without_effect(tmp_path) -> None:
    said = run("damage.py", "quickstart", f"root={tmp_path / 'city'}", "--quick", "--small")
    assert " 0 wrong" in said.splitlines()[-1]
    assert int(said.splitlines()[-1].split()[0]) > 30


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_a_file_operation_that_fails_loses_nothing() -> None:
    said = run("faults.py", "--each", "4", "--no-sites", "--verb", "ingest", "--verb", "build")
    assert said.splitlines()[-1] == "8 faults, 0 wrong"


def test_killed_and_doubled_verbs_leave_whole_results() -> None:
    said = run("kills.py", "--kills", "4", "--pairs", "4", "--verb", "ingest", "--verb", "build")
    assert said.count("0 wrong") == 2
