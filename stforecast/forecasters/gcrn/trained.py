"""A trained network, opened without what training needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from stforecast.errors import ArtefactError, in_brief
from stforecast.files import atomic_path, check_archive
from stforecast.forecasters.gcrn.network import Network, network_of
from stforecast.forecasters.gcrn.propagation import Graph

AVERAGED = "best."
"""Where a checkpoint holds the weights that forecast."""


@dataclass
class Trained:
    """A fitted network with its settings; without what training needs, Lightning foremost."""

    settings: dict[str, Any]
    edges: Tensor
    best: Network
    graph: Graph

    def to(self, device: torch.device) -> Trained:
        """On a device, ready to forecast."""
        self.best.to(device).eval()
        self.graph.to(device)
        return self

    def weights(self) -> dict[str, Tensor]:
        """What `trained_of` needs beside the settings, on the CPU."""
        named = {"edges": self.edges, **self.best.state_dict()}
        return {name: weight.cpu().contiguous() for name, weight in named.items()}


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all; a full disk is an OSError, which `torch.save` to a file hides."""
    torch.save(checkpoint, buffer := BytesIO())
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint of a fit in progress holds, once its checksums are tested: torch looks at none of them.

    Raises:
        ArtefactError: it is absent or damaged.
    """
    try:
        check_archive(path, ratio=1)
        saved = torch.load(path, map_location="cpu", weights_only=True)
        saved["state_dict"]  # of Lightning's own
    except Exception as error:  # whatever the unpickler and the archive reader raise
        raise ArtefactError(
            f"{path}: damaged checkpoint ({in_brief(error)}). Remove it and the files beside it to train from the "
            "beginning."
        ) from error
    return saved


def trained_of(settings: dict[str, Any], weights: Mapping[str, Tensor]) -> Trained:
    """A network from its settings and its weights, the graph's edges among them.

    Raises:
        ValueError: the weights are not of this network, or the edges not of its hexagons.
    """
    edges, n = weights["edges"], len(settings["hexagons"])
    own = {name: weight for name, weight in weights.items() if name != "edges"}
    with torch.device("meta"), _Undrawn():  # shapes alone: settings that are not ours allocate nothing
        expected = network_of(settings).state_dict()
    if _shapes(own) != _shapes(expected):
        raise ValueError("its weights are not those of a network with these settings")
    if edges.dtype != torch.int64 or edges.shape[:-1] != (2,) or not ((edges >= 0) & (edges < n)).all():
        raise ValueError("its edges lead out of the graph")
    network = network_of(settings)
    network.load_state_dict(own)
    edges = edges.clone()  # they may be mapped from a file
    return Trained(settings, edges, network, Graph(settings["model"]["conv"], edges, n, len(settings["categories"])))


class _Undrawn(TorchFunctionMode):
    """Leaves weights undrawn: to draw them without memory, PyTorch imports SymPy and more for half a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func is Tensor.uniform_ else func(*args, **(kwargs or {}))


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: (weight.shape, weight.dtype) for name, weight in weights.items()}
