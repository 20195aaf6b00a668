"""Several processes that share the streams train the network that one process trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_cities import city, settings, split_of

from stforecast.errors import ConfigError
from stforecast.forecasters.gcrn.forecaster import GCRN


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    cube = city(days=50, late=True)
    found = []
    for devices in (1, 2):
        options = {"max_epochs": 2, "streams": 2, "devices": devices, "device": "cpu"}
        (folder := tmp_path / str(devices)).mkdir()
        GCRN(settings(training=options)).learn(cube, split_of(cube), folder)
        found.append(torch.load(folder / "seed-0" / "last.ckpt", weights_only=True)["state_dict"])
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-6)
    assert found[0]["network.key.weight"].abs().max() > 1e-3  # it began at zero


def test_streams_that_cannot_be_shared() -> None:
    with pytest.raises(ConfigError, match=r"training\.devices: 2 cannot share 3 streams"):
        settings(training={"streams": 3, "devices": 2})
