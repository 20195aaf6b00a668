"""The table product equals PyTorch Geometric's layers and dense matrices, forward and gradient."""

import numpy as np
import pytest
import torch
from small_cities import city
from torch import Tensor, nn
from torch_geometric.nn import ChebConv, GCNConv, SAGEConv

from stforecast.features.graph import Neighbours
from stforecast.forecasters.gcrn.propagation import SUPPORTS, Propagation

WIDTH, OUT = 5, 4


def graphs() -> dict[str, tuple[Tensor, int]]:
    """Pentagon, edge of the area and a hexagon alone; a square grid; no edge at all; one direction only."""
    cube = city(days=1)
    degrees = np.bincount(cube.edges[1], minlength=cube.n)
    assert {0, 3, 5, 6} <= set(degrees.tolist())
    return {
        "hexagons": (torch.as_tensor(cube.edges), cube.n),
        "no edges": (torch.zeros(2, 0, dtype=torch.int64), 3),
        "one way": (torch.tensor([[0, 0, 1, 3, 4], [1, 2, 2, 0, 4]]), 5),
    }


def layer(kind: str, weights: Tensor) -> nn.Module:
    """PyTorch Geometric's layer with `weights` [out, supports · width]."""
    parts = weights.split(WIDTH, 1)
    module: nn.Module
    if kind == "hex":
        module = SAGEConv(WIDTH, OUT, aggr="mean", root_weight=True, bias=False)
        module.lin_r.weight.data, module.lin_l.weight.data = parts
    elif kind == "gcn":
        module = GCNConv(WIDTH, OUT, bias=False)
        module.lin.weight.data = parts[0]
    else:
        module = ChebConv(WIDTH, OUT, K=3, bias=False)
        for own, given in zip(module.lins, parts, strict=True):
            own.weight.data = given
    return module.double()


@pytest.mark.parametrize("kind", ["hex", "gcn", "cheb"])
@pytest.mark.parametrize("graph", ["hexagons", "no edges"])
def test_equals_message_passing(kind: str, graph: str) -> None:
    edges, n = graphs()[graph]
    torch.manual_seed(0)
    weights = torch.randn(OUT, SUPPORTS[kind] * WIDTH, dtype=torch.float64)
    x = torch.randn(n, WIDTH, dtype=torch.float64)
    up = torch.randn(n, OUT, dtype=torch.float64)
    found = []
    for run in (lambda z: Propagation(kind, edges, n)(z) @ weights.T, lambda z: layer(kind, weights.clone())(z, edges)):
        leaf = x.clone().requires_grad_()
        y = run(leaf)
        y.backward(up)
        found.append((y.detach(), leaf.grad))
    # The table keeps its weights (1/6, …) in single precision.
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-6, atol=1e-6)


def dense(kind: str, edges: Tensor, n: int) -> list[Tensor]:
    """The supports as dense matrices."""
    one = torch.eye(n, dtype=torch.float64)
    a = torch.zeros(n, n, dtype=torch.float64)
    a[edges[1], edges[0]] = 1
    a.fill_diagonal_(0)
    if kind == "none":
        return [one]
    if kind in ("hex", "diffusion"):
        walk = a / a.sum(1, keepdim=True).clamp(min=1)
        return [one, walk] if kind == "hex" else [one, walk, walk @ walk]
    a = a + one if kind == "gcn" else a
    scale = a.sum(1).clamp(min=1).rsqrt()
    a = scale[:, None] * a * scale
    return [a] if kind == "gcn" else [one, -a, 2 * a @ a - one]


@pytest.mark.parametrize("kind", list(SUPPORTS))
@pytest.mark.parametrize("graph", list(graphs()))
def test_equals_dense_product(kind: str, graph: str) -> None:
    edges, n = graphs()[graph]
    torch.manual_seed(1)
    x = torch.randn(n, WIDTH, dtype=torch.float64, requires_grad=True)
    module, matrices = Propagation(kind, edges, n), dense(kind, edges, n)
    y = module(x)
    torch.testing.assert_close(y, torch.cat([m @ x for m in matrices], 1), rtol=1e-6, atol=1e-6)
    up = torch.randn_like(y)
    y.backward(up)
    expected = sum(m.T @ part for m, part in zip(matrices, up.split(WIDTH, 1), strict=True))
    torch.testing.assert_close(x.grad, expected, rtol=1e-6, atol=1e-6)
    assert torch.autograd.gradcheck(module, torch.randn(n, 2, dtype=torch.float64, requires_grad=True))


def test_weighted_edges() -> None:
    edges, n = graphs()["hexagons"]
    weight = torch.rand(edges.shape[1])
    matrix = torch.zeros(n, n).index_put((edges[1], edges[0]), weight)
    x = torch.randn(n, 3)
    torch.testing.assert_close(Neighbours(edges, n, weight)(x), matrix @ x)
