"""Events as cells of a sparse tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


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
    frame = pd.DataFrame({**keys, "weight": weight}).groupby(list(keys), sort=True)["weight"].sum().reset_index()
    kinds = {key: np.int16 if key == "category" else np.int32 for key in keys} | {"weight": np.float32}
    return {key: frame[key].to_numpy(kind) for key, kind in kinds.items()}


def spread(first: np.ndarray, last: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spans [e] from step to step, both included, in equal parts: row of each part's event, its step, its share.

    Parts beyond the `steps` of an axis are left out.
    """
    length = last.astype(np.int64) - first + 1
    event = np.repeat(np.arange(length.size), length)
    step = first[event] + np.arange(event.size) - (length.cumsum() - length)[event]
    event, step = event[step < steps], step[step < steps]
    return event, step, 1 / length[event]
