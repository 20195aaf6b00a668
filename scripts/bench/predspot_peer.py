"""predspot as a peer, as its README and thesis use it, on our cells and days; it needs an environment of its own:

    python3.11 -m venv /tmp/predspot
    /tmp/predspot/bin/pip install -r scripts/bench/predspot.txt

It is run as it is installed, through its public names. One pipeline a category, its own default: a map a day (a kernel
density at our cells' centres, or the counts in our cells), seven lags of the trend, the season (STL, period a week) and
the differences of each cell, features chosen by elimination with a random forest, and a random forest. It is fitted
once, as the thesis has it, and for every day reads the last weeks anew, as they were known. Its density has no scale:
`predspot_skill.py` gives it one. Events lie at random places in their cells, which are smaller than its bandwidth.

Nothing here imports stforecast; predspot_skill.py starts it with --peers.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from predspot import KDE, Dataset, PredictionPipeline, QuadratCount
from predspot.crime_mapping import SpatioTemporalMapping
from predspot.pipeline import build_default_pipeline
from workers import serve

LAGS = 7
"""Days of its lags, and of the season of its STL."""
WINDOW = 112
"""Days that are read for a forecast: far more than the smoothers of its STL reach back."""
WGS84 = "EPSG:4326"
FIRST = pd.Timestamp("2000-01-01")
"""The day that step 0 is called: it reads no calendar."""


class Peer:
    """What the worker answers.

    Args:
        path: `npz` of the record: hour, hexagon, category, known_hour, weight, outlines (WKT), longitude, latitude.
            Its days are steps of the axis.
        mapping: `kde` or `counts`.
        threads: of its forests.
    """

    def __init__(self, path: str, mapping: str, threads: int) -> None:
        with np.load(path) as data:
            self.record = {name: data[name] for name in ("hour", "hexagon", "category", "known_hour", "weight")}
            self.horizons, self.categories = int(data["horizons"]), int(data["categories"])
            place = {"lon": data["longitude"], "lat": data["latitude"]}
            self.grid = gpd.GeoDataFrame(place, geometry=shapely.from_wkt(data["outlines"]), crs=WGS84)
        self.grid.index.name = "places"
        row = np.repeat(np.arange(len(self.record["hour"])), self.record["weight"].astype(int))
        self.record = {name: values[row] for name, values in self.record.items()}
        self.where = inside(self.grid, self.record["hexagon"])
        self.area = gpd.GeoDataFrame(geometry=[self.grid.union_all()], crs=WGS84)
        self.kind, self.threads = mapping, threads
        self.pipelines: list[PredictionPipeline] = []

    def mapping(self, first: int, until: int, bandwidth: str | float = "silverman") -> SpatioTemporalMapping:
        """Of the days first … until − 1, whether there are events or not."""
        span = {"tfreq": "D", "grid": self.grid, "start_time": day(first), "end_time": day(until - 1)}
        return KDE(bandwidth=bandwidth, **span) if self.kind == "kde" else QuadratCount(**span)

    def events(self, first: int, until: int, category: int) -> Dataset:
        """The events of days first … until − 1 of a category, as known at `until`."""
        hour, known = self.record["hour"], self.record["known_hour"]
        here = (hour >= first) & (hour < until) & (known < until) & (self.record["category"] == category)
        when = FIRST + pd.to_timedelta(hour[here], unit="D")
        longitude, latitude = self.where[here].T
        frame = pd.DataFrame({"tag": category, "t": when, "lon": longitude, "lat": latitude})
        return Dataset(frame, self.area)

    def train(self, until: int, days: int) -> dict[str, Any]:
        """Fit on the last days before `until`."""
        began, self.pipelines = time.perf_counter(), []
        first = max(0, until - days)
        for category in range(self.categories):
            default = build_default_pipeline(self.area, tfreq="D", grid_resolution=1, lags=LAGS, random_state=0)
            forests = ("f_selection__estimator__estimator", "model__estimator")
            default.set_params(**{f"estimator__{forest}__n_jobs": self.threads for forest in forests})
            pipeline = default.set_params(mapping=self.mapping(first, until))
            self.pipelines.append(pipeline.fit(self.events(first, until, category)))
        return {"seconds": time.perf_counter() - began, "rows": (until - first) * len(self.grid)}

    def forecast(self, issues: list[int], output: str) -> dict[str, Any]:
        """What it gives for the days after each issue, [m k n c], as a file."""
        out = np.zeros((len(issues), self.horizons, len(self.grid), self.categories), np.float32)
        for category, pipeline in enumerate(self.pipelines):
            factor = pipeline.mapping.factor if self.kind == "kde" else "silverman"
            for i, issue in enumerate(issues):
                first = max(0, issue - WINDOW)
                series = self.mapping(first, issue, factor).fit_transform(self.events(first, issue, category).crimes)
                for k in range(self.horizons):
                    features = pipeline.fextraction.transform(series)
                    newest = features.index.get_level_values("t").max()
                    found = pipeline.estimator.predict(features.loc[[newest]])["crime_density"]
                    out[i, k, :, category] = found.xs(newest, level="t").reindex(self.grid.index)
                    series = pd.concat([series, found]).sort_index()
        np.save(output, out)
        return {"days": len(issues)}

    def facts(self) -> dict[str, Any]:
        """What it chose: features by category, and the factors of its bandwidths."""
        return {
            "features": [one.feature_importances.index.tolist() for one in self.pipelines],
            "bandwidth_factors": [one.mapping.factor for one in self.pipelines] if self.kind == "kde" else [],
        }


def inside(grid: gpd.GeoDataFrame, cell: np.ndarray) -> np.ndarray:
    """A random point, longitude and latitude, inside each of the convex cells [e]: [e 2]."""
    rng, outlines = np.random.default_rng(0), [shapely.get_coordinates(one) for one in grid.geometry]
    corner = rng.integers(0, np.array([len(one) - 1 for one in outlines])[cell])
    a, b = (np.array([outlines[i][j] for i, j in zip(cell, corner + k, strict=True)]) for k in (0, 1))
    centre, (u, v) = grid[["lon", "lat"]].to_numpy()[cell], np.sort(rng.random((2, len(cell))), axis=0)[..., None]
    return u * centre + (v - u) * a + (1 - v) * b  # of the triangle between the centre and a side


def day(step: int) -> pd.Timestamp:
    """What a step is called."""
    return FIRST + pd.Timedelta(days=step)


if __name__ == "__main__":
    peer = Peer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    serve(train=peer.train, forecast=peer.forecast, facts=peer.facts)
