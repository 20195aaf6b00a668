"""A trained network, opened without what training needs."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stforecast.errors import ArtefactError
from stforecast.files import atomic_path
from stforecast.forecasters.gcrn.network import Network, network_of
from stforecast.forecasters.gcrn.propagation import Graph

AVERAGED = "best."
"""Where a checkpoint holds the weights that forecast."""


@dataclass
class Trained:
    """A fitted network, with the settings of its checkpoint; without what training needs, Lightning foremost."""

    settings: dict[str, Any]
    edges: Tensor
    best: Network
    graph: Graph

    def to(self, device: torch.device) -> Trained:
        """On a device, ready to forecast."""
        self.best.to(device).eval()
        self.graph.to(device)
        return self


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all; a full disk is an OSError, which `torch.save` to a file hides."""
    torch.save(checkpoint, buffer := BytesIO())
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def open_checkpoint(path: Path) -> Trained:
    """A fitted network from a checkpoint.

    Raises:
        ArtefactError: the file is absent, damaged or not a checkpoint of this network.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        settings, weights = saved["hyper_parameters"]["settings"], saved["state_dict"]
        network = network_of(settings)
        graph = Graph(settings["model"]["conv"], weights["edges"], len(settings["hexagons"]))
        network.load_state_dict(
            {name.removeprefix(AVERAGED): value for name, value in weights.items() if name.startswith(AVERAGED)}
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtefactError(
            f"{path}: not a checkpoint of the network ({reason}). Run `stforecast train --fresh`."
        ) from error
    return Trained(settings, weights["edges"], network, graph)
