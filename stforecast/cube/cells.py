"""Events as cells of a sparse tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


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


def wrong_events(events: Mapping[str, np.ndarray], shape: Mapping[str, int]) -> str:
    """What is wrong with the event arrays of a cube of this shape, in words; empty where nothing is."""
    sizes = {len(array) for array in events.values()}
    if len(sizes) != 1:
        return f"event arrays of unequal length {sorted(sizes)}"
    for label, limit in shape.items():
        if events[label].size and (events[label].min() < 0 or events[label].max() >= limit):
            return f"{label} outside 0 … {limit - 1}"
    until = events.get("until_hour", events["hour"])
    if (until < events["hour"]).any() or (events["known_hour"] < until).any():
        return "an event is known before it occurred"
    return ""


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


def scatter(
    hour: np.ndarray,
    hexagon: np.ndarray,
    category: np.ndarray,
    weight: np.ndarray,
    shape: tuple[int, int, int],
    device: Any,
) -> torch.Tensor:
    """Events [e], hour in int64, as counts [t n c] of a `shape` on a device, float32."""
    import torch

    _, n, c = shape
    flat = torch.zeros(shape[0] * n * c, device=device)
    index = torch.as_tensor((hour * n + hexagon) * c + category, device=device)
    flat.index_add_(0, index, torch.as_tensor(weight, dtype=torch.float32, device=device))
    return flat.view(shape)
