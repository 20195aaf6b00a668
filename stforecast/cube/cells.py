"""Events as cells of a sparse tensor."""

from __future__ import annotations

from typing import Any

import numpy as np


def add_up(
    hour: np.ndarray,
    hexagon: np.ndarray,
    category: np.ndarray,
    known_hour: np.ndarray,
    weight: np.ndarray,
    until_hour: np.ndarray | None = None,
) -> dict[str, Any]:
    """The event arrays of a cube, in its order and kinds; equal cells are summed."""
    keys = {"known_hour": known_hour, "hour": hour, "hexagon": hexagon, "category": category}
    keys |= {} if until_hour is None else {"until_hour": until_hour}
    number = _pair(_pair(known_hour, hour), _pair(hexagon, category))
    number = number if until_hour is None else _pair(number, until_hour - hour)
    _, rows, cell = np.unique(number, return_index=True, return_inverse=True)
    kinds = {key: np.int16 if key == "category" else np.int32 for key in keys}
    cells = {key: values[rows].astype(kinds[key]) for key, values in keys.items()}
    return cells | {"weight": np.bincount(cell, weight).astype(np.float32)}


def _pair(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A number for each pair that orders as they do, int64."""
    low, one = int(other.min(initial=0)), np.asarray(one, np.int64)
    size = int(other.max(initial=0)) - low + 1
    if int(np.abs(one).max(initial=0)) >= 2**62 // size:
        one = np.unique(one, return_inverse=True)[1]  # so few that the product fits
    return one * size + (other - low)


def spread(first: np.ndarray, last: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spans [e] from step to step, both included, in equal parts: row of each part's event, its step, its share.

    Parts beyond the `steps` of an axis are left out.
    """
    length = last.astype(np.int64) - first + 1
    event = np.repeat(np.arange(length.size), length)
    step = first[event] + np.arange(event.size) - (length.cumsum() - length)[event]
    event, step = event[step < steps], step[step < steps]
    return event, step, 1 / length[event]
