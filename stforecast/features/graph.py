"""Propagation over the hexagon graph as one sparse product in node-major layout.

`Neighbours(edges, n)` multiplies [n, f] by a fixed sparse matrix. A padded table of neighbours read by
`embedding_bag` is faster than a CSR product and than message passing at these degrees (at most six), and its
backward is the same product with the transposed table, so that no gradient is scattered.
"""

from __future__ import annotations

import torch
from torch import Tensor


class _Product(torch.autograd.Function):
    """y = A x, and its gradient with the transposed matrix."""

    @staticmethod
    def forward(ctx, x: Tensor, matrix: Neighbours) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.matrix = matrix
        return matrix.rows.product(x)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        return ctx.matrix.adjoint(grad), None


class _Rows(torch.nn.Module):
    """Columns and weights of a matrix's rows, padded with (0, 0.0): [n, largest degree]."""

    column: Tensor
    weight: Tensor
    start: Tensor

    def __init__(self, row: Tensor, column: Tensor, weight: Tensor, n: int) -> None:
        super().__init__()
        order = torch.argsort(row, stable=True)
        row, column, weight = row[order], column[order], weight[order]
        degree = torch.bincount(row, minlength=n)
        place = torch.arange(len(row)) - (degree.cumsum(0) - degree)[row]
        width = max(1, int(degree.max())) if len(row) else 1
        columns, weights = torch.zeros(n, width, dtype=torch.int64), torch.zeros(n, width)
        columns[row, place], weights[row, place] = column, weight.float()
        for name, values in {"column": columns, "weight": weights, "start": torch.arange(n) * width}.items():
            self.register_buffer(name, values, persistent=False)

    def product(self, x: Tensor) -> Tensor:
        # detached, or torch prepares for a gradient of its own; in rows: each costs more than the product
        x, weight = x.detach().contiguous(), self.weight.flatten().to(x.dtype)
        return torch.embedding_bag(x, self.column.flatten(), self.start, False, 0, False, weight)[0]


class Neighbours(torch.nn.Module):
    """The product of a sparse [n n] matrix, given by weighted edges (source → target), with [n f].

    Args:
        edges: int64 [2, e].
        n: number of hexagons.
        weight: float [e]; default 1 / in-degree of the target: the mean over the neighbours (0 where there are none).
    """

    def __init__(self, edges: Tensor, n: int, weight: Tensor | None = None) -> None:
        super().__init__()
        source, target = edges
        if weight is None:
            weight = 1 / torch.bincount(target, minlength=n).clamp(min=1)[target].float()
        self.rows, self.transposed = _Rows(target, source, weight, n), _Rows(source, target, weight, n)

    def forward(self, x: Tensor) -> Tensor:
        """[n f] → [n f]."""
        return _Product.apply(x, self)

    def adjoint(self, x: Tensor) -> Tensor:
        """The product with the transposed matrix, [n f] → [n f]; has no gradient of its own."""
        return self.transposed.product(x)


def side_by_side(edges: Tensor, n: int, copies: int) -> Tensor:
    """Edges of several copies of a graph of n nodes, [2, copies · e]."""
    shift = n * torch.arange(copies, device=edges.device)
    return (edges[:, None] + shift[:, None]).flatten(1)


class NeighbourSum(torch.nn.Module):
    """Sums over the neighbours times `weight`, by default in parts of the widest ring: [… n] → [… n]."""

    def __init__(self, edges: Tensor, n: int, weight: float | None = None) -> None:
        super().__init__()
        self.widest = max(1, int(torch.bincount(edges[1], minlength=n).max()))
        self.product = Neighbours(edges, n, torch.full((edges.shape[1],), weight or 1 / self.widest))

    def forward(self, sums: Tensor) -> Tensor:
        """[… n] → [… n]."""
        return self.product(sums.flatten(0, -2).T.contiguous()).T.reshape(sums.shape)
