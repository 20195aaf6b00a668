"""A simulated city so small that a run of it takes seconds."""

from __future__ import annotations

from pathlib import Path

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
