"""Which places cover most within a budget: by a greedy rule, and by integer programming.

Both choose, of places [n] with a `value` and a `size`, those of the highest summed value whose sizes fit within the
budget of their group: a knapsack for each group. Where all sizes are 1 the greedy rule is exact.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array

from stforecast.config.sections import Allocation

SLACK = 1e-9
"""By how much sizes may pass a budget: what floating-point sums lose."""
PRECISION = 1e-5
"""Share of the summed value to within which the exact choice is proved."""
SECONDS = 10.0
INFEASIBLE = 2
"""Status of SciPy's solvers."""


def greedy(value: np.ndarray, size: np.ndarray, group: np.ndarray, budget: np.ndarray) -> list[int]:
    """The rule in short: by value per size, whatever still fits; or the best single place of a group, if it is more.

    That place is why a group never has less than half of what is possible. Ties fall in the order of the places.
    Written without arrays, for other languages to repeat it to the digit.

    Args:
        value: [n], finite; places without any are not chosen.
        size: [n], above 0.
        group: index into `budget`, [n]; −1 is never chosen.
        budget: sum of sizes that each group allows, [g].

    Returns:
        Indices of the chosen places, those of the highest value first.
    """
    left, total, single = [*budget.tolist()], [0.0] * len(budget), [-1] * len(budget)
    values, sizes, groups, chosen = value.tolist(), size.tolist(), group.tolist(), []
    for i in sorted(range(len(values)), key=lambda i: (-values[i] / sizes[i], i)):
        g = groups[i]
        if g < 0 or values[i] <= 0:
            continue
        if sizes[i] <= budget[g] + SLACK and (single[g] < 0 or values[i] > values[single[g]]):
            single[g] = i
        if sizes[i] <= left[g] + SLACK:
            left[g] -= sizes[i]
            total[g] += values[i]
            chosen.append(i)
    for g, i in enumerate(single):
        if i >= 0 and values[i] > total[g]:
            chosen = [other for other in chosen if groups[other] != g] + [i]
    return sorted(chosen, key=lambda i: (-values[i], i))


def exact(
    value: np.ndarray, size: np.ndarray, group: np.ndarray, budget: np.ndarray, seconds: float = SECONDS
) -> tuple[list[int], float]:
    """The best choice, by mixed-integer linear programming (HiGHS), and how much no choice can exceed.

    Args:
        value, size, group, budget: as of `greedy`.
        seconds: after which the best choice so far counts.

    Returns:
        Indices as of `greedy`, which stand where no better choice was found, and the proved bound on the summed value.
    """
    chosen = greedy(value, size, group, budget)
    rows = np.flatnonzero((group >= 0) & (value > 0))
    rows = rows[size[rows] <= budget[group[rows]] + SLACK]
    if not rows.size:
        return chosen, 0.0
    low, high = np.zeros(len(rows)), np.ones(len(rows))
    of, reached = group[rows], np.bincount(group[chosen], value[chosen], len(budget))
    taken = np.bincount(group[chosen], minlength=len(budget))
    for g in np.unique(of):
        some = of == g
        low[some], high[some] = _settled(value[rows[some]], size[rows[some]], budget[g], reached[g], taken[g])
    scale = value[rows].max()
    sizes = csr_array((size[rows], (of, np.arange(len(rows)))), shape=(len(budget), len(rows)))
    found = milp(
        -value[rows] / scale,
        integrality=np.ones(len(rows)),
        bounds=Bounds(low, high),
        constraints=LinearConstraint(sizes, -np.inf, budget + SLACK),
        options={"time_limit": seconds, "mip_rel_gap": PRECISION},
    )
    # without a dual bound the solver met its limit before its first relaxation
    bound = float(value[rows].sum()) if found.mip_dual_bound is None else -float(found.mip_dual_bound) * scale
    if found.x is not None:
        better = rows[found.x > 0.5]
        used = np.bincount(group[better], size[better], len(budget))  # to within the solver's slack, which is wider
        if (used <= budget + SLACK).all() and value[better].sum() > reached.sum() * (1 + PRECISION):
            chosen = better[np.lexsort((better, -value[better]))].tolist()
    return chosen, max(bound, float(value[chosen].sum()))


def _settled(
    value: np.ndarray, size: np.ndarray, budget: float, reached: float, taken: int
) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most that a choice better than `reached` can take of each place of a group, 0 or 1, [n] each.

    Cells of like size come down to their number, so it is settled first whether more places than were `taken` can be
    worth more: mostly they would have to be the smallest ones.

    With a price on size, or on each place, no choice exceeds a bound; where leaving a place out, or taking it, would
    bring that below `reached`, the place is settled (Dembo and Hammer 1980). What is left is mostly a small core.
    """
    low, high = np.zeros(len(value)), np.ones(len(value))
    densest, ranked = np.argsort(-value / size, kind="stable"), np.sort(value)[::-1]
    full = np.searchsorted(np.cumsum(size[densest]), budget + SLACK, side="right")
    most = int(np.searchsorted(np.cumsum(np.sort(size)), budget + SLACK, side="right"))
    if most > taken:
        at_least = np.stack([size, np.full(len(size), -1.0)])
        more = linprog(-value, at_least, [budget + SLACK, -(taken + 1.0)], bounds=(0, 1))
        if more.status == INFEASIBLE or (more.status == 0 and -more.fun <= reached):
            most = taken
    by_size = (value / size)[densest[full]] if full < len(value) else 0.0
    by_place = ranked[most] if most < len(value) else 0.0
    for price, spent in ((by_size * size, by_size * budget), (by_place, by_place * most)):
        gain = value - price
        upper = spent + np.maximum(gain, 0).sum()
        margin = upper - reached + 1e-9 * upper  # and what sums lose
        low[gain > margin], high[gain < -margin] = 1, 0
    return low, high


def budget_of(allocation: Allocation, need: np.ndarray, hexagon: float | None) -> np.ndarray:
    """The budget of each group, [g].

    Args:
        allocation: with the rule.
        need: weighted reports of each group, [g].
        hexagon: the size of the largest hexagon: shares are rounded to whole ones, by largest remainder. None of
            polygons, which differ in size: an area is shared out as it is.
    """
    amount, whole = allocation.amount, _total(need)
    if allocation.rule != "proportion":
        return np.full(len(need), float(amount))
    if not whole:
        return np.zeros(len(need))
    unit = 1.0 if allocation.area_km2 is None else hexagon
    if unit is None:
        return amount * need / whole
    return unit * by_largest_remainder(int(amount / unit + SLACK), need)


def by_largest_remainder(total: int, weight: np.ndarray) -> np.ndarray:
    """A whole number shared out in proportion to weights [g] (Hamilton's method); ties fall in their order."""
    quota = total * weight / _total(weight)
    shares = np.floor(quota).astype(np.int64)
    rest = np.argsort(shares - quota, kind="stable")[: total - shares.sum()]
    shares[rest] += 1
    return shares


def _total(values: np.ndarray) -> float:
    """A sum one by one, as web/allocation.js has it: NumPy's own adds in pieces."""
    return float(np.cumsum(values)[-1])
