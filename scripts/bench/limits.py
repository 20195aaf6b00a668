"""What training asks of a machine, and what the machine can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def counted(updates: Iterator[tuple[int, Any]], count: int) -> dict[str, float]:
    """What an origin asks for, over the next `count` updates after as many.

    Floating-point operations of the matrix products; bytes that operations read and write; operations begun.
    """
    from torch.utils.flop_counter import FlopCounterMode

    list(islice(updates, count))
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter, Traffic() as traffic:
        origins = sum(made for made, _ in islice(updates, count))
    found = {"flop": counter.get_total_flops(), "bytes": traffic.bytes, "operations": traffic.operations}
    return {name: value / origins for name, value in found.items()}


def rates(device: torch.device, kind: torch.dtype, side: int = 1024, numbers: int = 1 << 26) -> dict[str, float]:
    """What a device can do: operations a second of a product of two square matrices, bytes a second of a copy.

    side: of the matrices, which are of a kind; numbers: in single precision, that are copied.
    """
    a, b = torch.randn(2, side, side, device=device, dtype=kind)
    large = torch.ones(numbers, device=device)
    return {"flop": rate(lambda: torch.mm(a, b), 2 * side**3), "bytes": rate(large.clone, 2 * large.nbytes)}


class Traffic(TorchDispatchMode):
    """Operations begun, views left out, and the bytes of all tensors that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and "empty" not in name:
            sizes = [x.nbytes for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)]
            if name.startswith(("index", "embedding")):  # of a table only some rows are touched
                sizes = [size for size in sizes if size < max(sizes)]
            self.operations += 1
            self.bytes += sum(sizes)
        return result


def rate(do: Callable[[], Tensor], amount: float) -> float:
    """`amount` over the median seconds of doing it."""
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        float(do().flatten()[0])  # waits for a GPU
        seconds.append(time.perf_counter() - began)
    return amount / float(np.median(seconds[1:]))
