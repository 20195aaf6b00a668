"""Past counts as maps and pages show them: of a hexagon from a stated count up, and of no sexual offence."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np


def hides_each(counts: np.ndarray, least: int) -> bool:
    """Whether the sum of counts [n] may stand beside those that are shown.

    It may where each of the others may be any number below `least` for all that the sum and the shown ones tell.
    """
    hidden, most = counts[counts < least], least - 1
    return not hidden.size or bool(most <= hidden.sum() <= most * (hidden.size - 1))


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
