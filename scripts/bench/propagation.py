"""Reading the neighbours: our sparse product beside message passing of PyTorch Geometric, forward and backward.

    python scripts/bench/propagation.py --output propagation.json

Both sides give the mean over the neighbours of every hexagon and the gradient with respect to [n, width]; they agree to
1e-5 before anything is timed. Ours: `Neighbours`, the product inside `Propagation("hex")`. Peers: `SimpleConv(mean)`,
which is message passing without a weight; `GraphConv` has one and is left out. `CSR product` is torch.sparse, beside.
Widths: the state alone (64), and a segment of issues side by side (7 × 64), which is how the input's share is read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import click
import torch
from cities import simulated
from timing import interleaved, report, summary
from torch import Tensor
from torch_geometric.nn import SimpleConv

from stforecast.features.graph import Neighbours

TARGET = {"ours_over_message_passing": 20}


def sides_at(n: int, width: int, repeats: int) -> dict[str, Callable[[], object]]:
    """Each side `repeats` times, after checking that all give the same values and gradients."""
    edges = torch.tensor(simulated(n, days=1).edges)
    x, given = torch.randn(n, width, requires_grad=True), torch.randn(n, width)
    ours, passing, matrix = Neighbours(edges, n), SimpleConv("mean"), mean_matrix(edges, n)
    products: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: ours(x),
        "PyG SimpleConv": lambda: passing(x, edges),
        "CSR product": lambda: matrix @ x,
    }
    found = {name: (product(), torch.autograd.grad(product(), x, given)[0]) for name, product in products.items()}
    for name, (value, gradient) in found.items():
        torch.testing.assert_close(value, found["ours"][0], rtol=1e-5, atol=1e-5, msg=name)
        torch.testing.assert_close(gradient, found["ours"][1], rtol=1e-5, atol=1e-5, msg=name)

    def repeated(product: Callable[[], Tensor]) -> Callable[[], object]:
        def call() -> None:
            for _ in range(repeats):
                torch.autograd.grad(product(), x, given)

        return call

    return {name: repeated(product) for name, product in products.items()}


def mean_matrix(edges: Tensor, n: int) -> Tensor:
    """The same mean as a CSR matrix [n n]."""
    weight = 1 / torch.bincount(edges[1], minlength=n)[edges[1]]
    return torch.sparse_coo_tensor(edges.flip(0), weight, (n, n)).coalesce().to_sparse_csr()


@click.command()
@click.option("--hexagons", default=1000, show_default=True)
@click.option("--hidden", default=64, show_default=True)
@click.option("--segment", default=7, show_default=True, help="Issues side by side.")
@click.option("--rounds", default=15, show_default=True)
@click.option("--small", is_flag=True, help="100 hexagons, in seconds.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
def main(hexagons: int, hidden: int, segment: int, rounds: int, small: bool, output: Path | None) -> None:
    """Both widths."""
    warnings.filterwarnings("ignore", message="Sparse")  # CSR is in beta, and its checks are off
    torch.manual_seed(0)
    n, repeats = (100, 5) if small else (hexagons, 20)
    found = {}
    for width in (hidden, segment * hidden):
        seconds = interleaved(sides_at(n, width, repeats), rounds)
        each = {name: [value / repeats for value in values] for name, values in seconds.items()}
        found[f"[{n}, {width}]"] = summary(each, "PyG SimpleConv")
    facts = {"unit": "seconds of a product, forward and backward", "agree_within": 1e-5, "target": TARGET}
    report("propagation", facts | {"sides": found}, output)


if __name__ == "__main__":
    main()
