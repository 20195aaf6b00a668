"""A forecast: intensities with their coordinates, ready to be read as a table, drawn or kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Unit
from stforecast.cube.geometry import Geometry, geometry_of, read_outlines, simplified
from stforecast.cube.steps import Step
from stforecast.errors import ArtefactError
from stforecast.files import atomic_folder
from stforecast.scoring.conformal import Spread
from stforecast.scoring.intensity import risk
from stforecast.scoring.joint import JointSpread
from stforecast.sealed import Sealed, seal, unseal

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from xarray import Dataset

FACTS = ("categories", "step_hours", "step_unit", "time_zone", "model", "assumptions")
"""What `forecast.json` holds as it is."""
CELLS = "cells.parquet"


@dataclass(frozen=True)
class Forecast:
    """Intensities of issue times × horizons × hexagons × categories, float32 [m k n c] in expected events a step.

    Attributes:
        intensity: λ [m k n c].
        issue_times: [m], UTC.
        hexagons: ids of the cells, [n].
        categories: names, [c].
        step_hours: hours of a step; of days and months the usual number.
        time_zone: of the city.
        model: the forecaster.
        complete_until: the instant up to which the record was used.
        assumptions: plain sentences about what was missing (weather, recent reports).
        spreads: how counts over all horizons spread about their λ, for `all` and each category; empty for a forecast
            that was not calibrated.
        usual: what the rolling climatology has for the same cells, at the city's recent level; None where unknown.
        districts: the district of each hexagon, None where it has none.
        step_unit: whether steps are hours, or local days or months.
        polygons: outlines of the cells in longitude and latitude, [n]; None where they are H3's.
        joint: how sums of counts spread, for `all` and each category; empty where nothing is known of it.
    """

    intensity: np.ndarray
    issue_times: pd.DatetimeIndex
    hexagons: np.ndarray
    categories: tuple[str, ...]
    step_hours: int
    time_zone: str
    model: str
    complete_until: pd.Timestamp
    assumptions: tuple[str, ...] = ()
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    usual: np.ndarray | None = None
    districts: np.ndarray | None = None
    step_unit: Unit = "hour"
    polygons: np.ndarray | None = None
    joint: Mapping[str, JointSpread] = field(default_factory=dict)

    def __post_init__(self) -> None:
        m, _, n, c = self.intensity.shape
        expected = (len(self.issue_times), len(self.hexagons), len(self.categories))
        if (m, n, c) != expected:
            raise ArtefactError(f"forecast: intensity [m k n c] {self.intensity.shape} does not fit names {expected}.")
        if not np.isfinite(self.intensity).all() or (self.intensity < 0).any():
            raise ArtefactError("forecast: intensities must be finite and not negative.")
        if self.usual is not None and self.usual.shape != self.intensity.shape:
            raise ArtefactError(f"forecast: usual {self.usual.shape} is not shaped as {self.intensity.shape}.")

    @property
    def step(self) -> Step:
        """What a step is."""
        return Step(self.step_unit, self.step_hours, self.time_zone)

    @cached_property
    def geometry(self) -> Geometry:
        """Where the cells lie.

        Raises:
            ArtefactError: they are neither polygons nor cells of H3.
        """
        return geometry_of(self.hexagons, self.polygons)

    @cached_property
    def drawn(self) -> np.ndarray | None:
        """The polygons as files, maps and the service have them: see `geometry.simplified`."""
        return None if self.polygons is None else simplified(self.geometry.outlines)

    @property
    def risk(self) -> np.ndarray:
        """The probability of at least one event, 1 − exp(−λ): [m k n c]."""
        return risk(self.intensity)

    def to_frame(self) -> pd.DataFrame:
        """A row for every issue time, step ahead, hexagon and category.

        Returns:
            Columns issue_time, time (begin of the step, UTC), hexagon, category, intensity (expected events) and risk.
        """
        m, k, n, c = self.intensity.shape
        begins = np.array([self.step.times(time, np.arange(k)).as_unit("us").asi8 for time in self.issue_times])
        issue = self.issue_times.repeat(k * n * c)
        return pd.DataFrame(
            {
                "issue_time": issue,
                "time": pd.DatetimeIndex(begins.ravel().view("M8[us]"), tz="UTC").as_unit(issue.unit).repeat(n * c),
                "hexagon": np.tile(np.repeat(self.hexagons, c), m * k),
                "category": np.tile(np.array(self.categories, object), m * k * n),
                "intensity": self.intensity.ravel(),
                "risk": self.risk.ravel(),
            }
        )

    def to_xarray(self) -> Dataset:
        """λ and risk as a Dataset with dimensions issue_time, step, hexagon and category (step: hours, days or months).

        Raises:
            ImportError: xarray is not installed; `pip install "stforecast[xarray]"` does.
        """
        import xarray

        dims = ("issue_time", "step", "hexagon", "category")
        hourly = self.step_unit == "hour"
        steps = np.arange(self.intensity.shape[1]) * (self.step_hours if hourly else 1)
        coordinates = {
            "issue_time": self.issue_times.tz_convert(None),
            "step": ("step", steps, {"units": f"{self.step_unit}s after the issue time"}),
            "hexagon": self.hexagons.astype(str),
            "category": list(self.categories),
        }
        values = {
            "intensity": (dims, self.intensity, {"units": "expected events a step"}),
            "risk": (dims, self.risk, {"units": "probability of at least one event in the step"}),
        }
        return xarray.Dataset(values, coordinates, {"model": self.model, "time_zone": self.time_zone})

    def plot(self, category: str | None = None, place: int = -1) -> Figure:
        """A map of the events expected over all steps of one issue time.

        Args:
            category: one of the categories; default all together.
            place: which issue time; default the last.

        Raises:
            ArtefactError: there is no such category, or the places have no outlines.
        """
        import geopandas
        from matplotlib.figure import Figure

        if category is not None and category not in self.categories:
            raise ArtefactError(f"forecast: no category {category!r}; there are {', '.join(self.categories)}.")
        chosen = slice(None) if category is None else [self.categories.index(category)]
        expected = self.intensity[place][..., chosen].sum((0, 2), dtype=np.float64)
        shapes = geopandas.GeoDataFrame({"expected": expected}, geometry=self.geometry.outlines, crs="EPSG:4326")
        figure = Figure(figsize=(7, 6), layout="constrained")
        axes = shapes.plot("expected", ax=figure.subplots(), legend=True, legend_kwds={"label": "expected reports"})
        axes.set(xlabel="longitude", ylabel="latitude")
        length = self.step.words(self.intensity.shape[1])
        axes.set_title(f"{category or 'all categories'}: {length} from {self.issue_times[place]:%Y-%m-%d %H:%M} UTC")
        return figure

    def save(self, folder: str | Path) -> Path:
        """Write `forecast.parquet` (see `to_frame`) and `forecast.json`, whole or not at all; the folder.

        Where cells are polygons, `cells.parquet` beside them is GeoParquet of their outlines.
        """
        folder = Path(folder)
        with atomic_folder(folder) as temporary:
            frame = self.to_frame().drop(columns="risk")
            if self.usual is not None:
                frame["usual"] = self.usual.ravel()
            frame.to_parquet(temporary / "forecast.parquet", index=False)
            if self.polygons is not None:
                _write_cells(self, temporary / CELLS)
            facts: dict[str, Any] = {key: getattr(self, key) for key in FACTS}
            facts |= {
                "shape": self.intensity.shape,
                "issue_times": [time.isoformat() for time in self.issue_times],
                "complete_until": self.complete_until.isoformat(),
                "spreads": {name: spread.to_dict() for name, spread in self.spreads.items()},
                "joint": {name: one.to_dict() for name, one in self.joint.items()},
                "districts": None if self.districts is None else self.districts.tolist(),
                "polygons": self.polygons is not None,
            }
            seal(temporary / "forecast.json", facts)
        return folder

    @staticmethod
    def load(folder: str | Path) -> Forecast:
        """Open what `save` wrote.

        Raises:
            ArtefactError: it is absent or damaged.
        """
        return unseal(Path(folder) / "forecast.json", "Make it again.", _read)


def _write_cells(forecast: Forecast, path: Path) -> None:
    import geopandas

    frame = {"hexagon": np.asarray(forecast.hexagons, object)}
    geopandas.GeoDataFrame(frame, geometry=forecast.geometry.outlines, crs="EPSG:4326").to_parquet(path, index=False)


def _read(sealed: Sealed) -> Forecast:
    facts = sealed.facts
    frame, shape = pd.read_parquet(sealed.file("forecast.parquet")), tuple(facts["shape"])
    places = frame["hexagon"].to_numpy()[: shape[2] * shape[3] : shape[3]]
    return Forecast(
        frame["intensity"].to_numpy(np.float32).reshape(shape),
        pd.DatetimeIndex(facts["issue_times"]),
        places.astype(str),
        tuple(facts["categories"]),
        facts["step_hours"],
        facts["time_zone"],
        facts["model"],
        pd.Timestamp(facts["complete_until"]),
        tuple(facts["assumptions"]),
        {name: Spread.from_dict(spread) for name, spread in facts["spreads"].items()},
        frame["usual"].to_numpy(np.float32).reshape(shape) if "usual" in frame else None,
        None if facts["districts"] is None else np.array(facts["districts"], object),
        facts["step_unit"],
        read_outlines(sealed.file(CELLS)) if facts["polygons"] else None,
        {name: JointSpread.from_dict(one) for name, one in facts.get("joint", {}).items()},
    )
