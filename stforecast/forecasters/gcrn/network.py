"""The graph-convolutional recurrent network: layers → cell → network.

One step of the recurrence reads a patch (p hours × categories of every hexagon as channels) and emits the log of the
ratio by which the next K hours depart from the rolling climatology. Shapes: [l n f], l issues in order of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stforecast.forecasters.gcrn.excitation import Excitation
from stforecast.forecasters.gcrn.propagation import Propagation

KNOTS = (0.7, 1.4)
"""Where the response to a log-ratio by recurrence may bend: few cells recur strongly, and those by much."""


@dataclass(frozen=True)
class Inputs:
    """What the network reads at l issues.

    nodes: patch counts (log1p), late reports and long-memory features, [l n f].
    memory: the long-memory features alone, [l n m].
    by_hour: log-ratios by target hour, [l k n 3].
    city: weather of the patch with its mask, [l w]; may be empty.
    target: calendar and known-in-advance covariates of each target hour, [l k g].
    recent: sums of recent events, [l h n c].
    recurring: log-ratios by hour of recurrence, [l k r n c].
    log_rate: log λ₀, [l k n c].
    """

    nodes: Tensor
    memory: Tensor
    by_hour: Tensor
    city: Tensor
    target: Tensor
    recent: Tensor
    recurring: Tensor
    log_rate: Tensor


@dataclass(frozen=True)
class Sizes:
    """Widths that follow from the cube."""

    n: int
    c: int
    nodes: int
    memory: int
    by_hour: int
    recurring: int
    city: int
    target: int
    step_hours: int


class GraphGRUCell(nn.Module):
    """A GRU cell whose recurrent product reads the neighbours; reset gate after the product, as in cuDNN."""

    def __init__(self, hidden: int, propagation: Propagation) -> None:
        super().__init__()
        self.propagation = propagation
        self.recurrent = nn.Linear(propagation.supports * hidden, 3 * hidden, bias=False)

    def forward(self, given: Tensor, h: Tensor) -> Tensor:
        """`given` [n 3h]: the input's share of the gates; `h` [n h] → the next h."""
        reset_i, update_i, new_i = given.chunk(3, -1)
        reset_h, update_h, new_h = self.recurrent(self.propagation(h)).chunk(3, -1)
        keep = torch.sigmoid(update_i + update_h)
        new = torch.tanh(new_i + torch.sigmoid(reset_i + reset_h) * new_h)
        return torch.lerp(new.float(), h, keep.float())  # the carried state stays float32 under mixed precision


class Network(nn.Module):
    """λ = λ₀ · exp(q(state) · v(target hour) + terms of hexagon, hour and hour memory) + excitation.

    The last layers start at zero, so the network starts near climatology and learns what departs from it. No parameter
    belongs to a hexagon: a learned vector of each one remembered the level of the training slice, which drifts.
    """

    def __init__(
        self,
        sizes: Sizes,
        edges: Tensor,
        hidden: int,
        rank: int,
        conv: str,
        dropout: float,
        carry_state: bool = True,
    ) -> None:
        super().__init__()
        self.sizes, self.hidden, self.carry_state = sizes, hidden, carry_state
        propagation = Propagation(conv, edges, sizes.n)
        self.propagation = propagation
        self.dropout = nn.Dropout(dropout)
        self.encode = nn.Linear(sizes.nodes, hidden)
        self.encode_city = nn.Linear(sizes.city, hidden, bias=False) if sizes.city else None
        self.given = nn.Linear(propagation.supports * hidden, 3 * hidden)
        with torch.no_grad():
            self.given.bias[hidden : 2 * hidden] += 1  # begin by remembering
        self.cell = GraphGRUCell(hidden, propagation)
        state = hidden + sizes.memory
        self.query = nn.Sequential(nn.Linear(state, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, rank))
        self.hour = nn.Sequential(nn.Linear(sizes.target, 64), nn.ReLU())
        self.key = nn.Linear(64, rank * sizes.c)
        self.by_hexagon, self.by_target = nn.Linear(state, sizes.c), nn.Linear(64, sizes.c)
        self.by_hour = nn.Linear(sizes.by_hour, sizes.c, bias=False)
        self.by_recurrence = nn.Parameter(torch.zeros(1 + len(KNOTS), sizes.recurring, sizes.c))
        self.excitation = Excitation(edges, sizes.n, sizes.c, sizes.step_hours, conv != "none")
        for layer in (self.key, self.by_hexagon, self.by_target, self.by_hour):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def start(self, device: torch.device | str = "cpu") -> Tensor:
        """The state before the first patch, [n h]."""
        return torch.zeros(self.sizes.n, self.hidden, device=device)

    def forward(self, x: Inputs, h: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs of l issues and the state before them → log(λ / λ₀) [l k n c] and the state after them."""
        states = []
        for given in self._given(x).unbind(0):
            h = self.cell(given, h if self.carry_state else torch.zeros_like(h))
            states.append(h)
        return self.read(torch.stack(states), x), h

    def _given(self, x: Inputs) -> Tensor:
        """The input's share of the gates, [l n 3h]."""
        u = self.encode(self.dropout(x.nodes))
        if self.encode_city is not None:
            u = u + self.encode_city(x.city)[:, None]
        u = torch.relu(u)
        length, n, width = u.shape
        spread = self.propagation(u.transpose(0, 1).reshape(n, length * width))  # [n, supports·l·h]
        spread = spread.view(n, -1, length, width).permute(2, 0, 1, 3).reshape(length, n, -1)
        return self.given(spread)

    def read(self, states: Tensor, x: Inputs) -> Tensor:
        """log(λ / λ₀) [l k n c] from the states after l patches [l n h]: bilinear over the horizon, and excitation."""
        length, k, c = len(states), x.target.shape[1], self.sizes.c
        state = torch.cat([states, x.memory], -1)
        hour = self.hour(x.target)
        key = self.key(hour).view(length, k, -1, c).permute(0, 2, 1, 3).reshape(length, -1, k * c)
        product = 0.1 * torch.bmm(self.query(state), key).view(length, -1, k, c).transpose(1, 2)
        factor = (
            product
            + self.by_hexagon(self.dropout(state))[:, None]
            + self.by_target(hour)[:, :, None]
            + self.by_hour(x.by_hour)
            + self._by_recurrence(x.recurring)
        )
        return torch.logaddexp(factor.float(), self.excitation(x.recent, x.log_rate) - x.log_rate)

    def _by_recurrence(self, ratios: Tensor) -> Tensor:
        """Piecewise-linear response to log-ratios by recurrence [l k r n c], summed over them: [l k n c]."""
        bent = torch.stack([ratios, *(torch.relu(ratios - knot) for knot in KNOTS)], 2)
        return torch.einsum("lkbrnc,brc->lknc", bent, self.by_recurrence)
