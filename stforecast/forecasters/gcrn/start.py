"""A network that was trained elsewhere, for another to start from: its weights with what they read, in one file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from stforecast.errors import ArtefactError, in_brief
from stforecast.features.shared import SharedRhythms
from stforecast.files import atomic_path
from stforecast.forecasters.gcrn.network import Network, Sizes, network_of

ABOUT = "network"
"""Of the file's metadata: what the network reads and how it is built, as JSON."""


@dataclass(frozen=True)
class StartingNetwork:
    """Weights by name, and what they are of.

    sizes: what the network reads. model: how it is built, as in `model` of the configuration. shared: what cities share
    in rates and rhythms, on which the λ₀ rests that it learned to depart from.
    """

    sizes: Sizes
    model: dict[str, Any]
    weights: dict[str, Tensor]
    shared: SharedRhythms | None = None

    @staticmethod
    def of(network: Network, model: dict[str, Any], shared: SharedRhythms | None = None) -> StartingNetwork:
        """Those of a trained network."""
        weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
        return StartingNetwork(network.sizes, model, weights, shared)

    @property
    def facts(self) -> dict[str, Any]:
        """All but the weights, in plain values."""
        shared = self.shared and asdict(self.shared)
        return {"sizes": asdict(self.sizes), "model": self.model, "shared": shared}

    @property
    def digest(self) -> str:
        """A SHA-256 of it."""
        found = sha256(json.dumps(self.facts, sort_keys=True).encode())
        for name, value in sorted(self.weights.items()):
            found.update(name.encode() + value.numpy().tobytes())
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        with atomic_path(path) as temporary:
            temporary.write_bytes(save(self.weights, {ABOUT: json.dumps(self.facts, sort_keys=True)}))

    @staticmethod
    def load(path: Path) -> StartingNetwork:
        """Open what `save` wrote.

        Raises:
            ArtefactError: it is absent, damaged or of a network that this version does not build.
        """
        try:
            with safe_open(path, "pt") as file:
                facts = json.loads(file.metadata()[ABOUT])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            shared = facts["shared"] and SharedRhythms.from_dict(facts["shared"])
            found = StartingNetwork(Sizes(**facts["sizes"]), facts["model"], weights, shared)
            found.network()
        except Exception as error:  # whatever safetensors and torch raise at a damaged file
            raise ArtefactError(f"{path}: not the weights of a network ({in_brief(error)}).") from error
        return found

    def network(self) -> Network:
        """A network with these weights."""
        network = network_of(self.facts)
        network.load_state_dict(self.weights)
        return network
