"""The graph of a published grid: given, or from where its places lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stforecast.errors import ArtefactError


def from_counts(counts: np.ndarray, edge_index: np.ndarray | None, coordinates: np.ndarray | None) -> dict[str, Any]:
    """Places, graph and events of counts [t n c] or [t n]; see `Cube.from_dense`.

    Raises:
        ArtefactError: negative or non-finite counts, or a graph that does not fit.
    """
    counts = np.asarray(counts)
    counts = counts[..., None] if counts.ndim == 2 else counts
    if counts.ndim != 3 or not np.isfinite(counts).all() or (counts < 0).any():
        raise ArtefactError(f"counts: expected finite, non-negative values [t n c], found shape {counts.shape}.")
    n = counts.shape[1]
    if (edge_index is None) == (coordinates is None):
        raise ArtefactError("give either edge_index [2, e] or coordinates [n, 2].")
    if coordinates is not None:
        position = np.asarray(coordinates, float)
        if position.shape != (n, 2):
            raise ArtefactError(f"coordinates: expected shape ({n}, 2), found {position.shape}.")
        edges = _near(position)
    else:
        position, edges = np.full((n, 2), np.nan), np.asarray(edge_index, np.int64)
        if edges.ndim != 2 or len(edges) != 2 or (edges.size and not 0 <= edges.min() <= edges.max() < n):
            raise ArtefactError(f"edge_index: expected [2, e] with entries in 0 … {n - 1}.")
    hexagons = pd.DataFrame({"hexagon": np.arange(n).astype(str), "area_km2": 1.0})
    hexagons = hexagons.assign(longitude=position[:, 0], latitude=position[:, 1])
    hour, hexagon, category = np.nonzero(counts)
    events = {"hour": hour, "hexagon": hexagon, "category": category, "weight": counts[hour, hexagon, category]}
    return events | {"hexagons": hexagons, "edges": edges}


def _near(position: np.ndarray) -> np.ndarray:
    from scipy.spatial import cKDTree

    tree = cKDTree(position)
    nearest = tree.query(position, k=2)[0][:, 1].min()
    pairs = tree.query_pairs(1.5 * nearest, output_type="ndarray").astype(np.int64)
    return np.concatenate([pairs, pairs[:, ::-1]]).T
