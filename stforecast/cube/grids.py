"""The graph of a published grid: given, or from where its places lie."""

from __future__ import annotations

import numpy as np

from stforecast.errors import ArtefactError


def graph_of(n: int, edge_index: np.ndarray | None, coordinates: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Positions [n 2] (NaN where not given) and edges int64 [2 e] of n places; see `Cube.from_dense`.

    Raises:
        ArtefactError: neither or both are given, or shapes that do not agree.
    """
    if (edge_index is None) == (coordinates is None):
        raise ArtefactError("give either edge_index [2, e] or coordinates [n, 2].")
    if coordinates is not None:
        position = np.asarray(coordinates, float)
        if position.shape != (n, 2):
            raise ArtefactError(f"coordinates: expected shape ({n}, 2), found {position.shape}.")
        return position, _near(position)
    edges = np.asarray(edge_index, np.int64)
    if edges.ndim != 2 or len(edges) != 2 or (edges.size and not 0 <= edges.min() <= edges.max() < n):
        raise ArtefactError(f"edge_index: expected [2, e] with entries in 0 … {n - 1}.")
    return np.full((n, 2), np.nan), edges


def _near(position: np.ndarray) -> np.ndarray:
    from scipy.spatial import cKDTree

    tree = cKDTree(position)
    nearest = tree.query(position, k=2)[0][:, 1].min()
    pairs = tree.query_pairs(1.5 * nearest, output_type="ndarray").astype(np.int64)
    return np.concatenate([pairs, pairs[:, ::-1]]).T
