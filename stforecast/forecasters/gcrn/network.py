"""The graph-convolutional recurrent network: layers → cell → network.

One step of the recurrence reads a patch (p hours × categories of every hexagon as channels) and emits the intensity of
the next K hours. Shapes: l issues in order of time, c categories, k hours ahead, n hexagons. What is read of each hour
ahead has the hexagons last; the state, which travels over the graph, has them before its width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stforecast.forecasters.gcrn.excitation import Excitation
from stforecast.forecasters.gcrn.parts import Dropout, intensity, recur
from stforecast.forecasters.gcrn.propagation import SUPPORTS, Graph

QUERY = 128
"""Width of the read-out's hidden layer."""


@dataclass(frozen=True)
class Inputs:
    """What the network reads at l issues. Hexagons are the last axis: rows of memory are long.

    nodes: patch counts (log1p), late reports and features, [l f n].
    features: the log-ratios, the level and the covariates by cell alone, [l m n].
    city: weather of the patch with its mask, [l w]; may be empty.
    target: calendar and known-in-advance covariates of each target hour, [l k g].
    recent: sums of recent events, [l h c n].
    seasonal: log-ratios by hour of recurrence, [l r c k n].
    log_rate: log λ₀, [l c k n].
    """

    nodes: Tensor
    features: Tensor
    city: Tensor
    target: Tensor
    recent: Tensor
    seasonal: Tensor
    log_rate: Tensor

    def part(self, which: slice) -> Inputs:
        """At some of the issues."""
        return Inputs(**{name: value[which] for name, value in vars(self).items()})


def joined(parts: Sequence[Inputs]) -> Inputs:
    """One after another along the issues."""
    if len(parts) == 1:
        return parts[0]
    return Inputs(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})


@dataclass(frozen=True)
class Sizes:
    """Widths that follow from the cube, and the half-lives of the sums of recent events in steps."""

    c: int
    nodes: int
    features: int
    seasonal: int
    city: int
    target: int
    recent: list[float]


class Network(nn.Module):
    """λ = λ₀ · exp(q(state) · v(target hour) + terms of hexagon, hour and season) + excitation.

    The last layers start at zero, so the network starts near climatology and learns what departs from it. No parameter
    belongs to a hexagon: a learned vector of each one remembered the level of the training slice, which drifts. So the
    graph is given with the inputs, and one network may read several.
    """

    def __init__(
        self, sizes: Sizes, hidden: int, rank: int, conv: str, dropout: float, carry_state: bool = True
    ) -> None:
        super().__init__()
        self.sizes, self.hidden, self.carry_state = sizes, hidden, carry_state
        supports = SUPPORTS[conv]
        self.dropout = Dropout(dropout)
        self.encode = nn.Linear(sizes.nodes, hidden)
        self.encode_city = nn.Linear(sizes.city, hidden, bias=False) if sizes.city else None
        self.input_gates = nn.Linear(supports * hidden, 3 * hidden)
        with torch.no_grad():
            self.input_gates.bias[hidden : 2 * hidden] += 1  # begin by remembering
        self.recurrent = nn.Linear(supports * hidden, 3 * hidden, bias=False)
        state = hidden + sizes.features
        self.look, self.query = nn.Linear(state, QUERY), nn.Linear(QUERY, rank)
        self.hour = nn.Sequential(nn.Linear(sizes.target, 64), nn.ReLU())
        self.key = nn.Linear(64, rank * sizes.c)
        self.by_hexagon, self.by_target = nn.Linear(state, sizes.c), nn.Linear(64, sizes.c)
        self.by_season = nn.Parameter(torch.zeros(2, sizes.seasonal, sizes.c))
        self.excitation = Excitation(sizes.c, sizes.recent, conv != "none")
        for layer in (self.key, self.by_hexagon, self.by_target):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def start(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """The state of n hexagons before the first patch, [n h]."""
        return torch.zeros(n, self.hidden, device=device)

    def forward(self, x: Inputs, h: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Inputs of l issues and the state before them → λ [l c k n] and the state after them.

        Of s streams side by side: inputs one stream after another, [s·l …], states [s·n h]; s is 1 or as in `graph`.
        """
        streams, states = len(h) // graph.n, self.states(x, h, graph)
        return self.read(states.unflatten(1, (streams, -1)).transpose(0, 1).flatten(0, 1), x, graph), states[-1]

    def states(self, x: Inputs, h: Tensor, graph: Graph) -> Tensor:
        """The states after each of l patches, [l s·n h]."""
        streams = len(h) // graph.n
        # streams are issues for all layers but the recurrence, to which they are hexagons: [s·l n …] → [l s·n …]
        gates = self.gates_of(x, graph).unflatten(0, (streams, -1)).transpose(0, 1).flatten(1, 2)
        if self.carry_state:
            spread = graph.spread if streams == 1 else graph.streams
            return recur(gates, h, self.recurrent.weight, spread)
        _, keep, new = gates.chunk(3, -1)  # as from a state of zeros
        return torch.tanh(new) * torch.sigmoid(-keep)

    def gates_of(self, x: Inputs, graph: Graph) -> Tensor:
        """The input's share of the gates, [l n 3h]."""
        u = _across(self.encode, self.dropout(x.nodes))  # [l h n]
        if self.encode_city is not None:
            u = u + self.encode_city(x.city)[..., None]
        length, width, n = u.shape
        spread = graph.spread(u.flatten(0, 1).T.contiguous().relu())  # [n, supports·l·h]
        spread = spread.view(n, -1, length, width).permute(2, 0, 1, 3).reshape(length, n, -1)
        return self.input_gates(spread)

    def read(self, states: Tensor, x: Inputs, graph: Graph) -> Tensor:
        """λ [l c k n] from the states after l patches [l n h]: bilinear over the horizon, and excitation."""
        length, k, c = len(states), x.target.shape[1], self.sizes.c
        state = torch.cat([states.mT, x.features], 1)  # [l s n]
        query = _across(self.query, self.dropout(torch.relu(_across(self.look, state))))  # [l rank n]
        hour = self.hour(x.target)
        key = 0.1 * self.key(hour).view(length, k, -1, c).permute(0, 3, 1, 2).flatten(1, 2)  # [l c·k rank]
        factor = torch.bmm(key, query).view(length, c, k, -1)
        factor = factor + _across(self.by_hexagon, self.dropout(state))[:, :, None]
        factor = factor + self.by_target(hour).mT[..., None]
        return intensity(factor.float(), self.by_season, x.log_rate, x.seasonal) + self.excitation(
            x.recent, k, graph.ring
        )


def network_of(settings: dict[str, Any]) -> Network:
    """The network that the settings of a checkpoint describe, before training."""
    keys = ("hidden", "rank", "conv", "dropout", "carry_state")
    return Network(Sizes(**settings["sizes"]), **{key: settings["model"][key] for key in keys})


def _across(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer on the features of [l f n]: [l g n]."""
    return torch.baddbmm(layer.bias[:, None], layer.weight.expand(len(x), -1, -1), x)
