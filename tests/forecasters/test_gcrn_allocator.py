"""Memory that a training process frees stays with it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import pathlib, sys, torch
from stforecast.forecasters.gcrn.allocator import keep_freed
def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4 >> 10
if sys.argv[1] == "kept":
    keep_freed()
before = resident()
torch.empty(256 << 20, dtype=torch.uint8).fill_(1)
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is kept is a matter of glibc")
def test_freed_memory_stays() -> None:
    given_back, kept = (
        int(subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True).stdout)
        for how in ("given back", "kept")
    )
    assert given_back < 64 < 192 < kept
