"""A simulated city so small that a run of it takes seconds."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa

from stforecast.config import Config, load
from stforecast.pipeline.stages import Stages

SMALL = (
    *("synthetic.hexagons=19", "synthetic.days=100", "evaluation.forecasters=[rolling_climatology, hexagon_mean]"),
    *("weather.path=null", "weather.forecast_path=null", "weather.channels={}"),
)


def config_of(root: Path, *more: str) -> Config:
    return load("configs/quickstart.yaml", [f"root={root}", *SMALL, *more])


def trained_at(root: Path) -> Stages:
    """The stages of the city under `root`, trained."""
    stages = Stages(config_of(root), lambda _: None)
    stages.ingest()
    stages.build()
    stages.train()
    return stages


def holders(root: Path, event: pd.Series) -> list[str]:
    """Files below a folder that hold an event's id, coordinates or time, inside Parquet, Arrow and SQLite too."""
    when = event["occurred_at"]
    texts = [event["event_id"], f"{event['latitude']:.6f}", f"{event['longitude']:.6f}"]
    texts += [f"{when:%Y-%m-%d %H:%M:%S}", f"{when:%Y-%m-%dT%H:%M:%S}"]
    values = [event["event_id"], event["latitude"], event["longitude"], when, f"{when:%Y-%m-%d %H:%M:%S}"]
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        held = any(text.encode() in path.read_bytes() for text in texts)
        if path.suffix == ".parquet" and not held:
            held = bool(pd.read_parquet(path, engine="pyarrow").isin(values).any(axis=None))
        if path.suffix == ".arrow" and not held:
            held = bool(pa.ipc.open_file(path).read_all().to_pandas().isin(values).any(axis=None))
        if path.suffix in (".pt", ".npz") and zipfile.is_zipfile(path) and not held:
            with zipfile.ZipFile(path) as archive:
                held = any(text.encode() in archive.read(name) for name in archive.namelist() for text in texts)
        if held:
            found.append(str(path.relative_to(root)))
    return found
