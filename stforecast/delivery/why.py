"""Why places have their numbers: parts of log λ by group of inputs, as plain values, as a table and in words.

The values of a grid (`why.json`; `why.csv` and `why.parquet` have the same as a row a part):

    groups     `usual` first, then those that the forecaster reads (`features.groups`); empty where its inputs cannot be
               taken apart
    spans      hours whose λ is added: `all` of the horizon, then the shifts; `steps` are the first and the last
    hexagons   the places that the grid flags: the top share of some span and category
    parts      base64 of little-endian float32 [group, span, category, hexagon]; over the groups they add up to log λ
    recent     reports of these places in the last whole weeks (`recent`); None where there are none to show
    contents   the offences that each category asks for

A part is a logarithm. Its factor, exp(part), is what the group multiplies the usual by; of `usual` it is the expected
number where everything is as usual.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config.sections import SHIFTS, Hours
from stforecast.delivery.compact import planes
from stforecast.delivery.map import TOP_SHARE, highest
from stforecast.delivery.riskgrid import RiskGrid, iso
from stforecast.delivery.shifts import shifts_of

FINE = 2_000
"""Steps of a logarithm that the page tells apart: factors to 0.03 %."""
WHOLE = "all"
"""The span of the whole horizon; no shift may be called so."""
WORDS = {
    "usual": "what this model expects here when all is as usual",
    "city": "level of the whole city lately",
    "calendar": "holidays",
    "weather": "weather",
    "covariates": "known events and other data",
    "last_days": "reports here in the last days and weeks",
    "neighbours": "reports around it in the last days and weeks",
    "late": "reports that came in late",
}


def spans_of(grid: RiskGrid, shifts: Mapping[str, Hours] = SHIFTS) -> dict[str, range]:
    """The steps of the whole horizon and of each shift."""
    return {WHOLE: range(grid.horizons)} | {name: shift.steps for name, shift in shifts_of(grid, shifts).items()}


def logs(grid: RiskGrid, span: range) -> np.ndarray:
    """log λ of a span, [c n]."""
    return np.log(grid.intensity[span.start : span.stop].sum(0))


def flagged(grid: RiskGrid, spans: Mapping[str, range]) -> np.ndarray:
    """Rows of the hexagons that are in the top share of a span and category."""
    tops = [highest(values, TOP_SHARE) for span in spans.values() for values in logs(grid, span)]
    return np.unique(np.concatenate(tops))


def to_values(
    groups: tuple[str, ...], spans: Mapping[str, range], hexagons: np.ndarray, parts: np.ndarray
) -> dict[str, Any]:
    """Parts [g s c m] as plain values."""
    return {
        "groups": list(groups),
        "spans": [{"name": name, "steps": [span.start, span.stop - 1]} for name, span in spans.items()],
        "hexagons": hexagons.tolist(),
        "parts": base64.b64encode(np.ascontiguousarray(parts, "<f4").tobytes()).decode(),
    }


def parts_of(why: Mapping[str, Any]) -> np.ndarray:
    """The parts, float64 [g s c m]."""
    shape = (len(why["groups"]), len(why["spans"]), -1, len(why["hexagons"]))
    values = np.frombuffer(base64.b64decode(why["parts"]), "<f4")
    return values.reshape(shape if values.size else (0, 0, 0, 0)).astype(np.float64)


def in_view(why: Mapping[str, Any]) -> dict[str, Any]:
    """As the page holds them: `parts` as `compact.planes` in units of 1 / FINE."""
    return {**why, "parts": planes(np.rint(parts_of(why) * FINE)), "fine": FINE}


def to_table(grid: RiskGrid, why: Mapping[str, Any]) -> pd.DataFrame:
    """A row a hexagon, span, category and group, as `why.csv` has it."""
    parts, spans = parts_of(why).transpose(3, 1, 2, 0), why["spans"]
    m, s, c, g = parts.shape
    row = dict(zip(grid.hexagons.tolist(), range(len(grid.hexagons)), strict=True))
    at = [row[name] for name in why["hexagons"]]
    index = pd.MultiIndex.from_product([range(m), range(s), range(c), range(g)])
    hexagon, span, category, group = (np.asarray(index.get_level_values(i)) for i in range(4))
    first, last = np.array([one["steps"] for one in spans], int).reshape(-1, 2).T
    columns = {} if grid.places is None else {"place": grid.places[at][hexagon]}
    return pd.DataFrame(
        columns
        | {
            "hexagon": grid.hexagons[at][hexagon],
            "span": np.array([one["name"] for one in spans], object)[span],
            "valid_from": grid.starts[first][span],
            "valid_until": grid.ends[last][span],
            "category": np.array(grid.categories, object)[category],
            "group": np.array(why["groups"], object)[group],
            "log_part": parts.ravel(),
            "factor": np.exp(parts.ravel()),
        }
    )


def answer(grid: RiskGrid, why: Mapping[str, Any], hexagon: str, category: str, span: str) -> dict[str, Any] | None:
    """The parts of one number; None where it is not among them."""
    names = [one["name"] for one in why["spans"]]
    if hexagon not in why["hexagons"] or span not in names:
        return None
    s, c, m = names.index(span), grid.categories.index(category), why["hexagons"].index(hexagon)
    parts, (first, last) = parts_of(why)[:, s, c, m], why["spans"][s]["steps"]
    return {
        "valid_from": iso(grid.starts[first]),
        "valid_until": iso(grid.ends[last]),
        "intensity": float(np.exp(parts.sum())),
        "parts": [
            {"group": group, "words": WORDS[group], "log_part": part, "factor": float(np.exp(part))}
            for group, part in zip(why["groups"], parts.tolist(), strict=True)
        ],
    }
