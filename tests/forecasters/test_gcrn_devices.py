"""Several processes that share the streams train the network that one process trains."""

from __future__ import annotations

import multiprocessing
import os
import socket
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from small_cities import city, settings, split_of
from torch import Tensor

from stforecast.errors import ConfigError
from stforecast.forecasters.gcrn.forecaster import GCRN


def learned(folder: Path, **options: int) -> dict[str, Tensor]:
    """The weights after two epochs of two streams."""
    cube = city(days=50, late=True)
    options |= {"max_epochs": 2, "streams": 2}
    folder.mkdir(exist_ok=True)
    GCRN(settings(training=options | {"device": "cpu"})).learn(cube, split_of(cube), folder)
    return torch.load(folder / "seed-0" / "last.ckpt", weights_only=True)["state_dict"]


def on_node(rank: int, port: int, folder: Path) -> None:
    os.environ |= {"NODE_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    learned(folder, nodes=2)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    found = learned(tmp_path_factory.mktemp("alone"))
    assert found["network.key.weight"].abs().max() > 1e-3  # it began at zero
    return found


def test_two_processes_give_what_one_gives(tmp_path: Path, alone: dict[str, Tensor]) -> None:
    torch.testing.assert_close(learned(tmp_path, devices=2), alone, rtol=1e-4, atol=1e-6)


def test_two_machines_give_what_one_gives(tmp_path: Path, alone: dict[str, Tensor]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as machines:
        for end in [machines.submit(on_node, rank, port, tmp_path) for rank in (0, 1)]:
            end.result()
    found = torch.load(tmp_path / "seed-0" / "last.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-6)


def test_streams_that_cannot_be_shared() -> None:
    with pytest.raises(ConfigError, match=r"training\.devices: 2 cannot share 3 streams"):
        settings(training={"streams": 3, "devices": 2})
