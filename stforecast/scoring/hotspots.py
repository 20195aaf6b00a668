"""Hot-spot metrics of the NIJ Real-Time Crime Forecasting Challenge (2017): hit rate, PAI, PEI.

In each hour the hexagons of highest intensity are chosen. Hit rate is the share of events inside them, PAI the hit
rate over the share of area (Chainey et al. 2008), PEI the captured events over the most that as many hexagons could
have captured in each hour (Hunt 2016).
"""

from __future__ import annotations

import numpy as np

AREAS = {"1": 0.01, "5": 0.05, "10": 0.1}
ALIKE = 0.1
"""Share of their mean by which the areas of cells may differ and count as equal, as those of hexagons do."""


def top_count(share: float, n: int) -> int:
    """How many of n hexagons are their top share: rounded, a half to the even number, and at least one.

    `topCount` of the interactive map is the same: JavaScript's own rounding takes every half up.
    """
    return max(1, round(share * n))


def top_hexagons(lam: np.ndarray, k: int) -> np.ndarray:
    """Indices of the `k` highest intensities of each hour, highest first: [h n] ≥ 0 → int64 [h k].

    Equal intensities are taken in the order of the hexagons: what happened plays no part.
    """
    lam = np.ascontiguousarray(lam, np.float32) + np.float32(0)  # −0 becomes 0
    # a positive float32 sorts as its bits do; the index in the lower half breaks ties
    down = (np.uint32(0xFFFFFFFF) - lam.view(np.uint32)).astype(np.uint64)
    key = (down << np.uint64(32)) | np.arange(lam.shape[1], dtype=np.uint64)
    key.sort(axis=1)
    return (key[:, :k] & np.uint64(0xFFFFFFFF)).astype(np.int64)


def hot_spots(lam: np.ndarray, y: np.ndarray, areas: np.ndarray, patrol_area: float) -> dict[str, float]:
    """pai, pei and hit_rate, each at 1, 5 and 10 % of the hexagons and for a patrol area; NaN without an event.

    lam, y: [h n], hours by hexagons. areas: km² [n]. A share takes `top_count` hexagons, and its area is their share
    of the hexagons; where these are not ALIKE, as polygons are, it is their own, in the mean over the hours. The patrol
    area (km²) takes hexagons from the top while they fit in it, at least one; its area is theirs likewise.
    """
    hours, n = lam.shape
    chosen = {name: top_count(share, n) for name, share in AREAS.items()}
    room = patrol_area * (1 + 1e-9)  # areas that add up to the patrol area fit
    most = max(1, int((np.cumsum(np.sort(areas)) <= room).sum()))
    order = top_hexagons(lam, max(most, *chosen.values()))
    captured = np.cumsum(np.take_along_axis(y, order, axis=1), axis=1, dtype=np.float64)
    covered = np.cumsum(areas[order], axis=1, dtype=np.float64)
    hour, hexagon = np.nonzero(y)  # sorted by hour
    events = y[hour, hexagon].astype(np.float64)
    events = events[np.lexsort((-events, hour))]
    place = np.arange(hour.size) - np.searchsorted(hour, hour, side="left")  # of a cell among the fullest of its hour

    def figures(name: str, k: np.ndarray, share: float) -> dict[str, float]:
        hits, best = float(captured[np.arange(hours), k - 1].sum()), float(events[place < k[hour]].sum())
        rate, pei = (hits / of if of else float("nan") for of in (float(events.sum()), best))
        return {f"pai_{name}": rate / share, f"pei_{name}": pei, f"hit_rate_{name}": rate}

    def area_of(k: np.ndarray) -> float:
        return float(covered[np.arange(hours), k - 1].mean() / areas.sum())

    out: dict[str, float] = {}
    alike = np.ptp(areas) <= ALIKE * areas.mean()
    for name, top in chosen.items():
        k = np.full(hours, top)
        out |= figures(name, k, top / n if alike else area_of(k))
    k_patrol = np.maximum(1, (covered <= room).sum(axis=1))
    return out | figures("patrol", k_patrol, area_of(k_patrol))


def hit_rate_curve(lam: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of hexagons and the share of events that the top ones of each hour capture: [h n], [h n] → [n + 1] each."""
    n = lam.shape[1]
    captured = np.take_along_axis(y, top_hexagons(lam, n), axis=1).sum(axis=0, dtype=np.float64)
    curve = np.concatenate([[0.0], np.cumsum(captured)])
    with np.errstate(invalid="ignore"):  # no events: NaN
        return np.arange(n + 1) / n, curve / curve[-1]
