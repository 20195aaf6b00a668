"""The graph-convolutional recurrent network: layers → cell → network.

One step of the recurrence reads a patch (the last p hours of every hexagon and category) and emits the intensity of the
next K hours. All weights are shared by hexagons and by categories: a hexagon has a state for each category, and reads
beside it the mean over the categories. So one network serves any city and any number of categories of any name.

Shapes: l issues in order of time, c categories, k hours ahead, n hexagons. What is read has the hexagons last; the
state, which travels over the graph, has them before its width, one category after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stforecast.features.seasonal import COUNT
from stforecast.features.table import LATE_PATCHES
from stforecast.forecasters.gcrn.excitation import Excitation
from stforecast.forecasters.gcrn.parts import Dropout, intensity, recur
from stforecast.forecasters.gcrn.propagation import SUPPORTS, Graph

QUERY = 64
"""Width of the hidden layers of the read-out."""


@dataclass(frozen=True)
class Inputs:
    """What the network reads at l issues. Hexagons are the last axis: rows of memory are long.

    nodes: counts of the patch by local hour, and late reports by age (log1p), [l c p n].
    own: log-ratios of the category and its level, [l c f n].
    shared: log-ratios of all categories, their level, and covariates by cell, [l m n].
    city: weather of the patch with its mask, [l w]; may be empty.
    about: numbers of scale, and the kind of the category, [l c x].
    target: calendar and known-in-advance covariates of each target hour, [l k g].
    recent: sums of recent events, [l h c n].
    seasonal: log-ratios by hour of recurrence, [l r c k n].
    log_rate: log λ₀, [l c k n].
    step_hours: hours of a step.
    """

    nodes: Tensor
    own: Tensor
    shared: Tensor
    city: Tensor
    about: Tensor
    target: Tensor
    recent: Tensor
    seasonal: Tensor
    log_rate: Tensor
    step_hours: int

    def part(self, which: slice) -> Inputs:
        """At some of the issues."""
        return Inputs(**{name: value if name == "step_hours" else value[which] for name, value in vars(self).items()})


def joined(parts: Sequence[Inputs]) -> Inputs:
    """One after another along the issues."""
    if len(parts) == 1:
        return parts[0]
    names = [name for name in vars(parts[0]) if name != "step_hours"]
    whole = {name: torch.cat([vars(part)[name] for part in parts]) for name in names}
    return Inputs(**whole, step_hours=parts[0].step_hours)


@dataclass(frozen=True)
class Sizes:
    """What a network reads: widths, names of channels, and the half-lives of the sums of recent events in hours."""

    patch: int
    own: int
    shared: int
    about: int
    calendar: int
    weather: list[str]
    future: list[str]
    covariates: list[str]
    recent: list[float]

    @property
    def nodes(self) -> int:
        """Of a patch of a hexagon and category."""
        return self.patch + len(LATE_PATCHES) + 1

    @property
    def of_all(self) -> int:
        """Of a hexagon."""
        return self.shared + 2 * len(self.covariates)

    @property
    def city(self) -> int:
        """Of the weather of a patch."""
        return 2 * self.patch * len(self.weather)

    @property
    def target(self) -> int:
        """Of an hour ahead."""
        return self.calendar + 2 * len(self.future) + 2 * len(self.covariates)

    def unlike(self, other: Sizes) -> dict[str, tuple[Any, Any]]:
        """What differs, here and there, by name; named channels aside, of which one that is not there is a gap."""
        names = ("patch", "own", "shared", "about", "calendar", "recent")
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


class Network(nn.Module):
    """λ = λ₀ · exp(q(state) · v(target hour) + terms of hexagon, hour and season) + excitation.

    The last layers start at zero, so the network starts near climatology and learns what departs from it. No parameter
    belongs to a hexagon or a category: what each of them is like is in λ₀ and the log-ratios. The graph is given with
    the inputs.
    """

    def __init__(
        self, sizes: Sizes, hidden: int, rank: int, conv: str, dropout: float, carry_state: bool = True
    ) -> None:
        super().__init__()
        self.sizes, self.hidden, self.carry_state = sizes, hidden, carry_state
        supports, about = SUPPORTS[conv], sizes.about
        self.dropout = Dropout(dropout)
        self.encode = nn.Linear(sizes.nodes + sizes.own, hidden)
        self.encode_all = nn.Linear(sizes.of_all, hidden, bias=False)
        self.encode_about = nn.Linear(about, hidden, bias=False)
        self.encode_city = nn.Linear(sizes.city, hidden, bias=False) if sizes.city else None
        self.pool = nn.Linear(hidden, hidden, bias=False)
        self.input_gates = nn.Linear(supports * hidden, 3 * hidden)
        with torch.no_grad():
            self.input_gates.bias[hidden : 2 * hidden] += 1  # begin by remembering
        self.recurrent = nn.Linear(supports * hidden, 3 * hidden, bias=False)
        self.look, self.look_all = nn.Linear(hidden + sizes.own, QUERY), nn.Linear(hidden + sizes.of_all, QUERY)
        self.look_about, self.query = nn.Linear(about, QUERY, bias=False), nn.Linear(QUERY, rank)
        self.hour, self.hour_about = nn.Linear(sizes.target, QUERY), nn.Linear(about, QUERY, bias=False)
        self.key, self.by_target = nn.Linear(QUERY, rank), nn.Linear(QUERY, 1)
        self.by_own, self.by_all = nn.Linear(hidden + sizes.own, 1), nn.Linear(hidden + sizes.of_all, 1)
        self.by_season, self.by_cell = nn.Linear(about, 2 * COUNT + 2), nn.Linear(QUERY, COUNT + 1)
        self.excitation = Excitation(sizes.recent, about, conv != "none")
        for layer in (self.key, self.by_target, self.by_own, self.by_all, self.by_season, self.by_cell):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def start(self, cells: int, device: torch.device | str = "cpu") -> Tensor:
        """The state of so many hexagons and categories before the first patch, [c·n h]."""
        return torch.zeros(cells, self.hidden, device=device)

    def forward(self, x: Inputs, h: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Inputs of l issues and the state before them → λ [l c k n] and the state after them.

        Of s streams side by side: inputs one stream after another, [s·l …], states [s·c·n h], as many as in `graph`.
        """
        states = self.states(x, h, graph)
        by_stream = states.unflatten(1, (-1, graph.n * graph.c)).transpose(0, 1).flatten(0, 1)
        return self.read(by_stream, x, graph), states[-1]

    def states(self, x: Inputs, h: Tensor, graph: Graph) -> Tensor:
        """The states after each of l patches, [l s·c·n h]."""
        streams = len(h) // (graph.n * graph.c)
        # categories and streams are issues for all layers but the recurrence, to which they are hexagons:
        # [s·l c n …] → [l s·c·n …]
        gates = self.gates_of(x, graph).unflatten(0, (streams, -1)).transpose(0, 1).flatten(1, 3)
        if self.carry_state:
            return recur(gates, h, self.recurrent.weight, graph.of(h))
        _, keep, new = gates.chunk(3, -1)  # as from a state of zeros
        return torch.tanh(new) * torch.sigmoid(-keep)

    def gates_of(self, x: Inputs, graph: Graph) -> Tensor:
        """The input's share of the gates, [l c n 3h]."""
        u = _across(self.encode, self.dropout(torch.cat([x.nodes, x.own], 2)))  # [l c h n]
        u = u + _across(self.encode_all, self.dropout(x.shared))[:, None] + self.encode_about(x.about)[..., None]
        if self.encode_city is not None:
            u = u + self.encode_city(x.city)[:, None, :, None]
        u = u + _across(self.pool, u.relu().mean(1))[:, None]
        length, c, width, n = u.shape
        spread = graph.spread(u.flatten(0, 2).T.contiguous().relu())  # [n, supports·l·c·h]
        spread = spread.view(n, -1, length, c, width).permute(2, 3, 0, 1, 4).reshape(length, c, n, -1)
        return self.input_gates(spread)

    def read(self, states: Tensor, x: Inputs, graph: Graph) -> Tensor:
        """λ [l c k n] from the states after l patches [l c·n h]: bilinear over the horizon, and excitation."""
        c, k, n = x.log_rate.shape[1:]
        state = states.unflatten(1, (c, n)).mT  # [l c h n]
        own, shared = torch.cat([state, x.own], 2), torch.cat([state.mean(1), x.shared], 1)
        looked = _across(self.look, own)
        looked = looked + (_across(self.look_all, shared)[:, None] + self.look_about(x.about)[..., None])
        hour = torch.relu(self.hour(x.target)[:, None] + self.hour_about(x.about)[:, :, None])  # [l c k ·]
        key = 0.1 * self.key(hour)
        # key times the query's weights first: a query of every hexagon would be the largest product of the read-out
        looked = self.dropout(torch.relu(looked))
        factor = (key @ self.query.weight) @ looked  # [l c k n]
        factor = factor + (self.by_target(hour) + (key @ self.query.bias)[..., None])
        cell = _across(self.by_own, self.dropout(own)) + _across(self.by_all, self.dropout(shared))[:, None]
        factor = factor + cell  # [l c 1 n]
        by_season, by_cell = self.by_season(x.about).float(), 0.1 * _across(self.by_cell, looked).float()
        usual = intensity(factor.float(), by_season, by_cell, x.log_rate, x.seasonal)
        return usual + self.excitation(x.recent, x.about, k, x.step_hours, graph.ring)


BUILT_BY = ("hidden", "rank", "conv", "dropout", "carry_state")
"""Keys of `model` by which a network is built."""


def network_of(settings: dict[str, Any]) -> Network:
    """The network that the settings of a checkpoint describe, before training."""
    return Network(Sizes(**settings["sizes"]), **{key: settings["model"][key] for key in BUILT_BY})


def _across(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer on the features of [… f n]: [… g n]."""
    rows, weight = x.flatten(0, -3), layer.weight.expand(x[..., 0, 0].numel(), -1, -1)
    out = torch.bmm(weight, rows) if layer.bias is None else torch.baddbmm(layer.bias[:, None], weight, rows)
    return out.unflatten(0, x.shape[:-2])
