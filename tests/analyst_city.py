"""A simulated city as an analyst meets it: streets, beats, late reports, and a grid of the real pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import shapely

from stforecast.config import load
from stforecast.files import write_text
from stforecast.pipeline.stages import Stages

SMALL = (
    *("synthetic.hexagons=61", "synthetic.days=150", "training.max_epochs=2", "training.warm_up_days=20"),
    *("weather.path=null", "weather.forecast_path=null", "weather.channels={}"),
)
BEATS = {"North": (0.0, 1.0), "South": (-1.0, 0.0)}
"""Beats of the city, by latitude from its middle."""


def analyst_city(root: Path) -> Stages:
    """The stages of a city under `root` with its newest grid: 61 hexagons, two beats, 24 hours, three categories."""
    beats = root / "beats.geojson"
    features = [
        {"type": "Feature", "properties": {"name": name}, "geometry": json.loads(shapely.to_geojson(area))}
        for name, area in ((name, shapely.box(-103, 39 + low, -102, 39 + high)) for name, (low, high) in BEATS.items())
    ]
    write_text(beats, json.dumps({"type": "FeatureCollection", "features": features}))
    changes = [f"root={root}", f"grid.districts={beats}", "evaluation.forecasters=[gcrn, rolling_climatology]"]
    stages = Stages(load("configs/quickstart.yaml", [*changes, *SMALL]), lambda _: None)
    stages.ingest()
    stages.build()
    stages.train()
    stages.forecast()
    return stages
