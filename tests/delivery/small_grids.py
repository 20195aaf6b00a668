"""Small grids with everything that a refresh puts beside them, for the tests of store and service."""

from __future__ import annotations

from typing import Any

import h3
import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.config.sections.time import HORIZONS, Unit
from stforecast.config.workspace import database
from stforecast.cube.steps import LENGTHS
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.store import Store
from stforecast.delivery.usual import UsualCycle
from stforecast.forecasters.forecast import Forecast
from stforecast.scoring.conformal import Spread
from stforecast.scoring.joint import JointSpread

ISSUED = pd.Timestamp("2024-09-30T06:00Z")
MONTH = pd.Timestamp("2024-10-01T06:00Z")
"""Midnight in Denver; of the first of a month."""
UNITS: tuple[Unit, ...] = ("hour", "day", "month")
FACTS = {
    "made_from": "0",
    "record": {"until": "2024-09-30T05:00:00+00:00", "events": 12, "reporting_lag": None},
    "run": {
        "name": "ab12",
        "forecaster": "gcrn",
        "train_until": "2024-06-01T06:00:00+00:00",
        "validation_until": "2024-08-01T06:00:00+00:00",
        "categories": ["theft", "violence"],
        "calibration": {"intercept": [0.0, 0.1], "slope": [1.0, 0.9]},
        "scorecard": None,
    },
}
COMPARISON: dict[str, Any] = {
    "until": "2024-09-30T05:00:00Z",
    "until_label": "Sun 29 Sep 2024 23:00",
    "horizon": "24 hours",
    "corrected": True,
    "notes": ["Reports in the 37 hexagons of the forecast."],
    "spans": [
        {"name": name, "label": label, "from": "2024-09-23T05:00:00Z", "until": "2024-09-30T05:00:00Z"}
        | {"before_from": "2023-09-25T05:00:00Z", "before_until": "2023-10-02T05:00:00Z"}
        for name, label in {"last_7_days": "Last 7 days", "year_to_date": "Year to date"}.items()
    ],
    "table": {
        "district": [None, None, "<b>6", "<b>6"] * 2,
        "category": ["all", "theft"] * 4,
        "span": ["last_7_days"] * 4 + ["year_to_date"] * 4,
        "reported": [1030, 20, 12, None, None, 200, 90, 80],
        "estimate": [1100, 24, 12, None, None, 210, 90, 80],
        "before": [1000, 25, 12, None, None, 100, 100, None],
        "difference": [30, -5, 0, None, None, 100, -10, None],
        "percent": [3.0, -20.0, None, None, None, 100.0, -10.0, None],
        "expected": [3.5, 1.25, 0.5, 0.25] * 2,
        "note": [
            None,
            None,
            None,
            "now: fewer than 5, or told by sums",
            "now: a part was not recorded",
            None,
            None,
            None,
        ],
    },
    "earlier": {
        "issue_time": "2024-09-29T06:00:00Z",
        "label": "Sun 29 Sep 2024 00:00 to Mon 30 Sep 2024 00:00",
        "model": "gcrn-ab12",
        "in_advance": True,
        "level": 0.9,
        "top_share": 0.05,
        "categories": [
            {"category": "all", "expected": 3.512, "came": 5, "top": 0.4, "inside": 0.95},
            {"category": "theft", "expected": 1.2, "came": 2, "top": None, "inside": 1.0},
        ],
    },
}
"""As `pipeline.comparison` makes it, made up."""


def forecast(
    rings: int = 3,
    seed: int = 0,
    issued: pd.Timestamp | None = None,
    unit: Unit = "hour",
    horizons: int | None = None,
    **changes: Any,
) -> Forecast:
    """A forecast of two categories around the middle of Denver, with usual, spreads and districts."""
    issued = issued or (MONTH if unit == "month" else ISSUED)
    rng = np.random.default_rng(seed)
    cells = h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), rings)
    shape = (1, horizons or HORIZONS[unit], len(cells), 2)
    values: dict[str, Any] = {
        "intensity": rng.gamma(0.5, 0.1, shape).astype(np.float32),
        "usual": rng.gamma(0.5, 0.1, shape).astype(np.float32),
        "issue_times": pd.DatetimeIndex([issued]),
        "hexagons": np.array(cells),
        "categories": ("theft", "violence"),
        "step_hours": LENGTHS[unit],
        "step_unit": unit,
        "time_zone": "America/Denver",
        "model": "gcrn-ab12",
        "complete_until": issued - pd.Timedelta(hours=1),
        "assumptions": ("no weather for 24 of 24 hours",),
        "spreads": dict.fromkeys(("all", "theft", "violence"), Spread(0.9, 0.3, (), (0.05,), (0.95,))),
        "joint": dict.fromkeys(("all", "theft", "violence"), JointSpread(0.9, (0.1, 0.01, 0, 0.1, 0, 0, 0.2))),
        "districts": np.array(["North", None, "=South"] + ["South"] * (len(cells) - 3), object),
    }
    return Forecast(**values | changes)


def grid(*arguments: Any, **options: Any) -> RiskGrid:
    """The grid of such a forecast."""
    return RiskGrid.of(forecast(*arguments, **options))


def store_of(config: Config) -> Store:
    """The store that a configuration names."""
    return Store(database(config), config.city)


def usual(grid: RiskGrid, seed: int = 0) -> UsualCycle:
    """A cycle and months of random numbers."""
    rng = np.random.default_rng(seed)
    leaves = len(grid.categories) - 1
    slots = rng.gamma(0.5, 0.1, (grid.step.slots, len(grid.hexagons), leaves)).astype(np.float32)
    return UsualCycle(slots, rng.uniform(0.5, 2, (12, leaves)) if grid.step_unit != "month" else np.ones((12, leaves)))
