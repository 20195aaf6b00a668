"""A few of the interruptions of `kills.py`, which `make proofs` tries by the hundred."""

import random
from pathlib import Path

import pytest
from fetched_city import KINDS
from kills import interrupted


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_fetch_is_gone_on_with(kind: str, tmp_path: Path) -> None:
    assert interrupted(kind, tmp_path, random.Random(kind), 5) >= 5
