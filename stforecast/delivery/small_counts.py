"""Past counts as maps and pages show them: of a hexagon from a stated count up, and of no sexual offence."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from stforecast.events.examine.offence_words import sexual_categories


def never_shown(categories: Sequence[str], offences: Iterable[Mapping[str, Any]]) -> np.ndarray:
    """Which categories are of sexual offences, whose counts are never shown, bool [c]; offences as ingest.json has."""
    sexual = sexual_categories(offences)
    return np.array([name in sexual for name in categories])


def hides_each(counts: np.ndarray, least: int) -> bool:
    """Whether the sum of counts [n] may stand beside those that are shown.

    It may where each of the others may be any number below `least` for all that the sum and the shown ones tell.
    """
    hidden, most = counts[counts < least], least - 1
    return not hidden.size or bool(most <= hidden.sum() <= most * (hidden.size - 1))


def shown_beside_sums(counts: np.ndarray, least: int) -> np.ndarray:
    """Which sums of the rows of a table, and which of its counts [r c], may be shown while all know its columns' sums.

    Not those below `least`; then, line by line, no more of the smallest than it takes so that each hidden one could be
    any number below `least` for all that its row and its column tell. A row whose sum would tell them all has none.

    Returns:
        bool [r, 1 + c], the sums in front.
    """
    table = np.column_stack([counts.sum(1), counts])
    shown = table >= least
    while True:
        before = shown.copy()
        for values, seen in zip(table.T, shown.T, strict=True):
            _hide(values, seen, least)
        for values, seen in zip(table[:, 1:], shown, strict=True):
            if not seen[0] or not _hide(values, seen[1:], least):
                seen[:] = False
        if (shown == before).all():
            return shown


def shown_beside_areas(counts: np.ndarray, shown: np.ndarray, area: np.ndarray, least: int) -> np.ndarray:
    """Which of the shown counts [n w] may stand beside the sums of their areas in each column, bool [n w].

    Args:
        counts: of all cells, [n w].
        shown: which are to be shown, bool [n w].
        area: of each cell, [n].
        least: the smallest count that is shown.
    """
    out = shown.copy()
    for one in np.unique(area):
        here = np.flatnonzero(area == one)
        for column in range(counts.shape[1]):
            seen = out[here, column]
            _hide(counts[here, column], seen, least)
            out[here, column] = seen
    return out


def _hide(values: np.ndarray, shown: np.ndarray, least: int) -> bool:
    """Hide the smallest of a line until its sum does not tell those that are hidden; whether that is reached."""
    while not _safe(values[~shown], least):
        if not shown.any():
            return False
        shown[np.where(shown, values, np.inf).argmin()] = False
    return True


def _safe(hidden: np.ndarray, least: int) -> bool:
    others = int((hidden >= least).sum())
    if not others:
        return hides_each(hidden, least)
    small = others < hidden.size
    return hidden.size > 1 and bool(hidden.sum() >= others * least + small * (least - 1))


def reported_view(counts: np.ndarray, never: np.ndarray, least: int) -> dict[str, Any]:
    """What the map shows of reports, as plain values for JSON.

    Args:
        counts: of the horizon, [c n].
        never: categories whose counts are not shown, bool [c].
        least: the smallest count that is shown.

    Returns:
        `counts` as base64 of little-endian float32 [c n], NaN where none is shown; `totals` of the categories, None
        where it would tell of a count that is not shown; `never` and `least`.
    """
    visible = np.where(never[:, None] | (counts < least), np.nan, counts).astype("<f4")
    pairs = zip(counts, never.tolist(), strict=True)
    return {
        "counts": base64.b64encode(visible.tobytes()).decode(),
        "totals": [int(of.sum()) if not hidden and hides_each(of, least) else None for of, hidden in pairs],
        "never": never.tolist(),
        "least": least,
    }
