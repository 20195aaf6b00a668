"""strace sees a call to another machine, and none of a verb."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
FILE = Path(__file__).parents[2] / "scripts/no_network.py"
SPEC = importlib.util.spec_from_file_location("no_network", FILE)
no_network = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(no_network)

CALLS = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(({!r}, {}))"  # which sends nothing


@pytest.mark.parametrize(
    ("address", "port", "number"), [("192.0.2.1", 9, 1), ("127.0.0.1", 9, 0), ("127.0.0.53", 53, 1)]
)
def test_a_call_is_seen(tmp_path, address, port, number):
    _, calls = no_network.traced([sys.executable, "-c", CALLS.format(address, port)], tmp_path / "log")
    assert len(calls) == number


def test_ingest_calls_no_one():
    assert no_network.check(["ingest"]) == 0
