"""Threads neither spin beside other work nor change what is learned."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from small_cities import city, settings, split_of

from stforecast.cube import Cube
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.training import Module
from stforecast.forecasters.streaming import CELLS, threads_for


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cells", "threads"), [(1, 1), (2 * CELLS - 1, 1), (2 * CELLS, 2), (9 * CELLS, 4)])
def test_as_many_threads_as_pay(four_threads: None, cells: int, threads: int) -> None:
    with threads_for(cells):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 4


def test_a_small_city_is_read_and_learned_by_one_thread(four_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cube: Cube = city(days=50)
    seen: dict[str, set[int]] = {"step": set(), "training_step": set()}
    for kind, name in ((GCRN, "step"), (Module, "training_step")):
        real = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda *a, r=real, n=name: seen[n].add(torch.get_num_threads()) or r(*a))
    GCRN(settings(training={"max_epochs": 1, "device": "cpu"})).fit(cube, split_of(cube))
    assert seen == {"step": {1}, "training_step": {1}}
    assert torch.get_num_threads() == 4


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp tells what it read")
@pytest.mark.parametrize(("user", "spins"), [({}, "0"), ({"OMP_WAIT_POLICY": "active"}, "30000000000")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(user: dict[str, str], spins: str) -> None:
    own = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment = own | user | {"OMP_DISPLAY_ENV": "verbose"}
    command = [sys.executable, "-c", "import stforecast, torch"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"GOMP_SPINCOUNT = '{spins}'" in done.stderr
