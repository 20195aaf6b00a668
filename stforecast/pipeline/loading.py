"""A cube from whatever is at hand: a city's configuration, a built cube, or a table of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import load, parse
from stforecast.cube import Cube
from stforecast.cube.build import build
from stforecast.cube.store import open_cube
from stforecast.errors import DataError
from stforecast.events.parsing.time_zones import NAT, to_utc
from stforecast.events.schema import COLUMNS, DTYPES, TIMES, EventTable
from stforecast.pipeline.stages import Stages


def load_cube(
    source: Any,
    *overrides: str,
    time_zone: str | None = None,
    resolution: int = 8,
    min_events: int = 1,
    name: str = "events",
    train: float = 0.75,
) -> Cube:
    """The cube of a city, from its configuration, its folder or a table of its events.

    Args:
        source: a configuration (the name of one that ships with the package, or a YAML file): its events are ingested
            and the cube is built where that is not done; or a folder with a built cube; or a table with the columns
            occurred_at, latitude, longitude and category, and where they are known reported_at (when the report came),
            occurred_until, event_id and district. Tables of pandas, polars, Arrow and DuckDB are taken, and whatever
            else gives Arrow's C stream.
        overrides: dotted.key=value settings of the configuration, such as "root=/data".
        time_zone: of the city; only for a table. Its times are local where they have no zone of their own.
        resolution: of H3; only for a table.
        min_events: events of the training slice that a hexagon needs; only for a table.
        name: of the city; only for a table.
        train: share of the days whose events choose the hexagons, as in `Cube.split`; only for a table.

    Raises:
        ConfigError: there is no such configuration, or a setting is not allowed.
        DataError: a column is missing or cannot be read.
        ArtefactError: the folder's cube is absent or damaged.

    Example:
        >>> import pandas as pd, stforecast as st
        >>> times = pd.date_range("2024-01-01", periods=400, freq="150min")
        >>> events = pd.DataFrame({"occurred_at": times, "latitude": 39.74, "longitude": -104.99, "category": "theft"})
        >>> cube = st.load_cube(events, time_zone="America/Denver")
        >>> cube.n, cube.categories, int(cube.weight.sum())
        (1, ('theft',), 400)
    """
    if isinstance(source, str | Path):
        if (Path(source) / "cube.json").is_file():
            return open_cube(Path(source))
        stages = Stages(load(source, overrides), lambda line: None)
        stages.ingest()
        return stages.build()
    frame = _frame(source)
    if time_zone is None:
        raise DataError("load_cube: a table needs time_zone, such as time_zone='America/Denver'.")
    columns = {column: [column] for column in ("latitude", "longitude")}
    columns |= {"occurred": ["occurred_at"], "offence": ["category"]}
    categories = sorted(frame["category"].dropna().astype(str).unique())
    config = parse(
        {
            "city": name,
            "grid": {"resolution": resolution, "min_events": min_events},
            "split": {"train": train},
            "source": {"time_zone": time_zone, "columns": columns, "categories": {one: [one] for one in categories}},
        },
        "load_cube",
    )
    return build(_events(frame, time_zone, categories), config)


def _frame(source: Any) -> pd.DataFrame:
    """A table of any library as pandas, with the columns that are needed."""
    if not isinstance(source, pd.DataFrame):
        if not hasattr(source, "__arrow_c_stream__"):
            raise DataError(
                f"load_cube: {type(source).__name__} is no configuration, folder or table. Give a name, a path, or a "
                "table of pandas, polars, Arrow or DuckDB."
            )
        import pyarrow as pa

        source = pa.table(source).to_pandas()
    if missing := [name for name in ("occurred_at", "latitude", "longitude", "category") if name not in source]:
        raise DataError(f"load_cube: the table has no column {', '.join(missing)}; it has {', '.join(source)}.")
    return source


def _events(frame: pd.DataFrame, time_zone: str, categories: list[str]) -> EventTable:
    """An event table; what a row must have and lacks is refused by its number."""
    out = frame.reset_index(drop=True).reindex(columns=list(COLUMNS))
    if "event_id" not in frame:
        out["event_id"] = out.index.astype(str)
    times = {name: _instants(out[name], time_zone) for name in TIMES}
    out = out.assign(offence=out["category"], **times).astype(DTYPES)
    needed = out[["occurred_at", "latitude", "longitude", "category"]]
    valid = out["latitude"].between(-90, 90) & out["longitude"].between(-180, 180) & needed.notna().all(axis=1)
    if not valid.all():
        raise DataError(
            f"load_cube: {int((~valid).sum())} rows lack a time, a category or a place in degrees, first of all row "
            f"{(~valid).idxmax()}. Leave them out, or correct them."
        )
    early = out["reported_at"] < out["occurred_at"]
    out["reported_at"] = out["reported_at"].mask(early, out["occurred_at"])
    out = out.sort_values("occurred_at", kind="stable", ignore_index=True)
    return EventTable(out, {"categories": categories})


def _instants(given: pd.Series, time_zone: str) -> pd.Series:
    """Times in UTC; those without a zone are local."""
    try:
        times = pd.to_datetime(given)
    except (ValueError, TypeError) as error:
        raise DataError(f"load_cube: {given.name} cannot be read as times ({error}).") from error
    if times.dt.tz is not None:
        return times.dt.tz_convert("UTC").dt.as_unit("us")
    wall = times.to_numpy("datetime64[us]").view(np.int64)
    instants, _, _ = to_utc(wall, np.full(len(wall), NAT), time_zone, "local")
    return pd.Series(pd.to_datetime(instants.view("datetime64[us]"), utc=True)).dt.as_unit("us")
