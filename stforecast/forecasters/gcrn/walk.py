"""A trained network, opened without what training needs, on its way through a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stforecast.errors import ArtefactError
from stforecast.features.memory import Recall
from stforecast.features.reader import Reader
from stforecast.features.record import Lateness, Record
from stforecast.features.rhythms import Rhythms
from stforecast.files import atomic_path
from stforecast.forecasters.gcrn.inputs import inputs_of
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


def write(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all; a full disk is an OSError, which `torch.save` to a file hides."""
    torch.save(checkpoint, buffer := BytesIO())
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def opened(path: Path) -> Trained:
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


class Walk:
    """Networks on their way through a record: one long memory, a hidden state each, carried from issue to issue.

    λ is the geometric mean of what the networks give.
    """

    def __init__(
        self, modules: Sequence[Trained], reader: Reader, phase: int, state: dict[str, Any] | None = None
    ) -> None:
        self.networks, self.graph, self.reader = [module.best for module in modules], modules[0].graph, reader
        known = (Lateness.from_plain(state["lateness"]), Rhythms(*state["rhythms"])) if state else ()
        self.memory = reader.memory(phase, *known)
        self.h = [network.start(self.graph.n, reader.device) for network in self.networks]
        if state:
            self.restore(state)

    @property
    def record(self) -> Record:
        """What it goes through."""
        return self.reader.record

    @property
    def next_issue(self) -> int:
        """The issue step that comes next."""
        return self.memory.next_issue

    @torch.inference_mode()
    def on(self, count: int) -> tuple[list[int], Tensor]:
        """The next `count` issues: their steps and λ [l c k n]."""
        self.last = self.memory.walk(count)
        inputs = inputs_of(self.reader, self.last)
        given = [network(inputs, h, self.graph) for network, h in zip(self.networks, self.h, strict=True)]
        self.h = [h for _, h in given]
        return self.last.issues, _mean([rate for rate, _ in given])

    @torch.inference_mode()
    def beyond(self, issue: int) -> Tensor:
        """λ [c k n] of the steps from a later `issue` on, or from the newest, from the state as it stands."""
        inputs = inputs_of(self.reader, self.memory.moved(self.last, issue))
        given = zip(self.networks, self.h, strict=True)
        return _mean([network.read(h[None], inputs, self.graph) for network, h in given])[0]

    def state(self) -> dict[str, Any]:
        """What must be kept to go on later."""
        newest = self.memory.moved(self.last, self.last.issues[-1])
        return {
            "memory": self.memory.state(),
            "h": [h.clone() for h in self.h],
            "last": {key: value.clone() if isinstance(value, Tensor) else value for key, value in vars(newest).items()},
            "lateness": self.memory.lateness.plain(),
            "rhythms": self.memory.rates.rhythms.plain(),
            "next_issue": self.next_issue,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a kept state."""
        self.memory.restore(state["memory"])
        self.h = [h.to(self.reader.device) for h in state["h"]]
        device, kept = self.reader.device, state["last"]
        last: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in kept.items()}
        self.last = Recall(**last)


def _mean(rates: Sequence[Tensor]) -> Tensor:
    """The geometric mean of λ."""
    return torch.stack([rate.log() for rate in rates]).mean(0).exp() if len(rates) > 1 else rates[0]
