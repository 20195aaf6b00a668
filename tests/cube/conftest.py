"""Small event tables and configurations for the tests of the cube."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stforecast import config
from stforecast.events.schema import EventTable


@pytest.fixture(scope="session")
def table() -> Callable[..., EventTable]:
    """A table from columns of plain values; what is not given is null, or the same for every event."""

    def make(occurred_at: Any, latitude: Any, longitude: Any, **columns: Any) -> EventTable:
        n = len(occurred_at)
        times = {"occurred_at": occurred_at} | {
            k: columns.pop(k, [None] * n) for k in ("occurred_until", "reported_at")
        }
        frame = pd.DataFrame(
            {
                "event_id": pd.Series([str(i) for i in range(n)], dtype="str"),
                "incident_id": pd.Series([None] * n, dtype="str"),
                **{k: pd.to_datetime(pd.Series(v), utc=True).astype("datetime64[us, UTC]") for k, v in times.items()},
                "latitude": np.asarray(latitude, np.float64),
                "longitude": np.asarray(longitude, np.float64),
                "area": pd.Series(columns.pop("area", [None] * n), dtype="str"),
                "offence": pd.Series(["theft"] * n, dtype="str"),
                "category": pd.Series(columns.pop("category", ["property"] * n), dtype="str"),
                "district": pd.Series(columns.pop("district", [None] * n), dtype="str"),
                "arrest": pd.array([None] * n, dtype="boolean"),
            }
        )
        assert not columns
        return EventTable(frame, {"categories": ["property", "violent"]})

    return make


@pytest.fixture(scope="session")
def settings() -> Callable[..., config.Config]:
    """A configuration of a city on Denver's clock; sections are merged key by key."""

    def make(**sections: Any) -> config.Config:
        values: dict[str, Any] = {
            "city": "testville",
            "source": {
                "time_zone": "America/Denver",
                "columns": {"occurred": ["t"], "latitude": ["y"], "longitude": ["x"], "offence": ["o"]},
                "categories": {"property": ["theft"], "violent": ["assault"]},
            },
            "grid": {"min_events": 1},
        }
        for key, value in sections.items():
            values[key] = values.get(key, {}) | value if isinstance(value, dict) else value
        return config.parse(values, "test")

    return make
