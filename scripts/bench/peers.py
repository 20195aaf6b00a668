"""The peers: recurrent graph networks of other libraries, used as their examples use them.

They need an environment of their own:

    python3.11 -m venv /tmp/peers
    /tmp/peers/bin/pip install -r scripts/bench/peers.txt
    /tmp/peers/bin/pip install --no-deps torch-geometric-temporal==0.56.2 torch-spatiotemporal==0.9.5

(On Linux a plain `torch` brings several GB of CUDA libraries; with
`--extra-index-url https://download.pytorch.org/whl/cpu` and torch==2.13.0+cpu it does not.) --no-deps leaves out
torch_sparse and torch_scatter, which both libraries import and which must be compiled: the cells measured here never
call them, and stand-ins that fail when called take their place. Nothing here imports stforecast; other scripts start
this one with --peers.

Every peer reads a week of hourly counts of every hexagon (log1p) and its graph, and a linear layer on the last state
gives log λ of the next 24 hours; Poisson loss, Adam. Where a library takes batches, a batch of 4 origins is used if
that is faster for it. A graph that does not change is cached where a layer can.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch_geometric  # before the stand-ins, so that it does not take them for the real ones
from torch import Tensor, nn
from torch_geometric.nn import GCNConv
from workers import serve

HOURS = 168
HORIZONS = 24


def stand_in(name: str, *names: str) -> ModuleType:
    """A module whose members are there to be imported and compared with, and fail when called."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"{name} is a stand-in: what calls it cannot be measured here.")

    module = ModuleType(name)
    for member in names:
        setattr(module, member, type(member, (), {"__init__": fail}) if member[0].isupper() else fail)
    sys.modules[name] = module
    return module


def stand_ins() -> None:
    """Take the place of what is not installed."""
    if "torch_sparse" in sys.modules:
        return
    stand_in("torch_sparse", "SparseTensor", "cat", "fill_diag", "matmul", "remove_diag", "set_diag")
    scatter = stand_in("torch_scatter", "gather_csr", "scatter", "segment_csr")
    vars(scatter)["utils"] = stand_in("torch_scatter.utils", "broadcast")


class StepByStep(nn.Module):
    """A cell (x, edges, weight, h) → h of torch-geometric-temporal, hour by hour; x [b t n c] or, if b = 1, [t n c]."""

    def __init__(self, cell: nn.Module, batched: bool = False) -> None:
        super().__init__()
        self.cell, self.batched = cell, batched

    def forward(self, x: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        h: Any = None
        for now in x.unbind(1) if self.batched else x[0].unbind(0):
            h = self.cell(now, edges, weight, h)
        return h if self.batched else h[None]


class WholeSeries(nn.Module):
    """An encoder of torch-spatiotemporal, which has the loop over hours inside."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        return self.encoder(x, edges, weight)


class PlainLayers(nn.Module):
    """What one writes with plain layers: GCNConv of inputs and state, then torch's GRU cell."""

    def __init__(self, c: int, hidden: int) -> None:
        super().__init__()
        self.conv, self.cell = GCNConv(c + hidden, hidden, cached=True), nn.GRUCell(hidden, hidden)

    def forward(self, now: Tensor, edges: Tensor, weight: Tensor, h: Tensor | None) -> Tensor:
        h = now.new_zeros(len(now), self.cell.hidden_size) if h is None else h
        return self.cell(torch.relu(self.conv(torch.cat([now, h], -1), edges)), h)


def of_temporal(name: str, batched: bool = False, **options: Any) -> Callable[[int, int], nn.Module]:
    """A cell of torch-geometric-temporal."""

    def make(c: int, hidden: int) -> nn.Module:
        stand_ins()
        from torch_geometric_temporal.nn import recurrent

        return StepByStep(getattr(recurrent, name)(c, hidden, **options), batched)

    return make


def of_spatiotemporal(name: str, **options: Any) -> Callable[[int, int], nn.Module]:
    """An encoder of torch-spatiotemporal."""

    def make(c: int, hidden: int) -> nn.Module:
        stand_ins()
        with patch.object(torch.jit, "script", lambda function: function):  # it would compile calls of the stand-ins
            from tsl.nn.blocks.encoders import recurrent

        return WholeSeries(getattr(recurrent, name)(c, hidden, return_only_last_state=True, **options))

    return make


PEERS: dict[str, tuple[int, Callable[[int, int], nn.Module]]] = {
    "torch-geometric-temporal TGCN": (1, of_temporal("TGCN")),
    "torch-geometric-temporal TGCN, cached": (1, of_temporal("TGCN", cached=True)),
    "torch-geometric-temporal TGCN2, cached, batch of 4": (4, of_temporal("TGCN2", True, batch_size=4, cached=True)),
    "torch-geometric-temporal GConvGRU": (1, of_temporal("GConvGRU", K=2)),
    "torch-geometric-temporal DCRNN": (1, of_temporal("DCRNN", K=2)),
    "torch-spatiotemporal GraphConvRNN, batch of 4": (4, of_spatiotemporal("GraphConvRNN", cached=True)),
    "PyG GCNConv and GRUCell": (1, lambda c, hidden: StepByStep(PlainLayers(c, hidden))),
}
"""Origins in an update, and the network that turns [b t n c] into a state [b n hidden]."""


class Peer:
    """What the worker answers."""

    def __init__(self, name: str, path: str, hidden: int) -> None:
        torch.manual_seed(0)
        with np.load(path) as data:
            self.counts, self.edges = torch.tensor(data["counts"]), torch.tensor(data["edges"])
        self.n, self.c = self.counts.shape[1:]
        self.weight = torch.ones(self.edges.shape[1])
        self.batch, make = PEERS[name]
        self.network, self.read = make(self.c, hidden), nn.Linear(hidden, HORIZONS * self.c)
        mean = self.counts.mean((0, 1)).clamp(min=1e-6)
        with torch.no_grad():  # begin at the mean rate of each category
            self.read.bias.copy_(mean.log().repeat(HORIZONS))
        self.optimizer = torch.optim.Adam([*self.network.parameters(), *self.read.parameters()], 1e-3)
        self.random = np.random.default_rng(0)

    def log_rate(self, issues: list[int]) -> Tensor:
        """log λ after each issue hour, [b n 24 c]."""
        x = torch.stack([self.counts[s - HOURS : s] for s in issues]).log1p()
        return self.read(self.network(x, self.edges, self.weight)).view(len(issues), self.n, HORIZONS, self.c)

    def update(self, until: int) -> float:
        """One update on issue hours drawn before `until`; its loss."""
        issues = self.random.integers(HOURS, until - HORIZONS, self.batch).tolist()
        target = torch.stack([self.counts[s : s + HORIZONS].transpose(0, 1) for s in issues])
        loss = nn.functional.poisson_nll_loss(self.log_rate(issues), target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def steps(self, count: int) -> dict[str, Any]:
        """At least `count` training origins."""
        updates, began = -(-count // self.batch), time.perf_counter()
        for _ in range(updates):
            self.update(len(self.counts))
        return {"seconds": time.perf_counter() - began, "origins": updates * self.batch}

    def train(self, seconds: float, until: int) -> dict[str, Any]:
        """Training on the hours before `until` for a time."""
        began, losses = time.perf_counter(), []
        while time.perf_counter() - began < seconds:
            losses.append(self.update(until))
        return {"origins": self.batch * len(losses), "loss_of_last": float(np.mean(losses[-100:]))}

    @torch.no_grad()
    def forecast(self, issues: list[int], output: str) -> dict[str, Any]:
        """λ [m k n c] after issue hours, as a file."""
        parts = [self.log_rate([s]).exp().transpose(1, 2) for s in issues]
        np.save(output, torch.cat(parts).numpy())
        return {"origins": len(issues)}

    def facts(self) -> dict[str, Any]:
        return {
            "parameters": sum(p.numel() for p in [*self.network.parameters(), *self.read.parameters()]),
            "torch": torch.__version__,
            "torch_geometric": torch_geometric.__version__,
            "threads": torch.get_num_threads(),
        }


if __name__ == "__main__":
    peer = Peer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    serve(steps=peer.steps, train=peer.train, forecast=peer.forecast, facts=peer.facts)
