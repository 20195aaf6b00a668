"""How many threads PyTorch works with on a city."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CELLS = 2_500
"""Hexagons × categories that are worth a thread. For fewer, threads wait for each other longer than they work: two made
a training origin of Denver (1,326) 3 % faster on a quiet machine, and 3 to 38 times slower beside a busy core."""


@contextmanager
def threads_for(cells: int) -> Iterator[None]:
    """Work with as many threads as pay, and no more than PyTorch is set to.

    Their number shows in the last digits of sums. So it follows from the city and never from what else the machine
    does: a run that is repeated, or resumed on a busier day, gives the same.

    Args:
        cells: hexagons × categories that one operation goes through.
    """
    set_to = torch.get_num_threads()
    torch.set_num_threads(max(1, min(set_to, cells // CELLS)))
    try:
        yield
    finally:
        torch.set_num_threads(set_to)
