"""What a publisher would make of a simulated city: a file of offences, with dirt, and weather."""

from pathlib import Path

import h3
import numpy as np
import pandas as pd

from stforecast.events.synthetic import City
from stforecast.events.synthetic_layers import layers_of, write_layers
from stforecast.files import atomic_path

DIRT = 0.001
"""Share of the rows that each kind of dirt adds."""


def write_city(city: City, bronze: Path) -> None:
    """Write what a publisher would: `offences.csv`, `weather/weather.csv`, `weather/weather_forecast.csv`, and streets
    and places that are nowhere: `layers/streets.geojson` and others (`synthetic_layers`).

    Times are UTC, since local text cannot tell the two passes of the repeated autumn hour apart. Every event is
    reported within its hour. Beside the clean rows stand a byte order mark, repeated rows, rows without coordinates
    and rows at (0, 0); none of them changes what is left after cleaning. The forecast is exact, as for the oracle,
    and runs FORECAST_DAYS past the last event; the observations stop with the events.
    """
    rng = np.random.default_rng([city.seed, 3])
    with atomic_path(bronze / "offences.csv") as temporary:
        _offences(city, rng).to_csv(temporary, index=False, encoding="utf-8-sig", lineterminator="\r\n")
    times = pd.date_range(city.start, periods=len(city.temperature), freq="h").strftime("%Y-%m-%dT%H:%M:%SZ")
    weather = pd.DataFrame({"time_utc": times, "temperature_2m": city.temperature, "precipitation": city.precipitation})
    for name, length in (("weather", len(city.counts)), ("weather_forecast", len(weather))):
        with atomic_path(bronze / "weather" / f"{name}.csv") as temporary:
            weather[:length].to_csv(temporary, index=False, float_format="%.1f")
    reach = 1000 * np.sqrt(sum(map(h3.cell_area, city.cells)) / np.pi)
    write_layers(layers_of(city.parameters.latitude, city.parameters.longitude, reach), bronze / "layers")


def _offences(city: City, rng: np.random.Generator) -> pd.DataFrame:
    """The publisher's table, in order of occurrence, dirt included."""
    hour, hexagon, category = np.nonzero(city.counts)
    repeats = city.counts[hour, hexagon, category]
    hour, hexagon, category = (np.repeat(a, repeats) for a in (hour, hexagon, category))
    size = len(hour)
    seconds = np.sort(rng.integers(0, 3600, (2, size)), axis=0)  # occurrence, then report, within the hour
    occurred, reported = (city.start.tz_localize(None) + pd.to_timedelta(hour * 3600 + s, unit="s") for s in seconds)
    offences = [np.array(k.offences) for k in city.parameters.categories.values()]
    offence = np.empty(size, object)
    for i, names in enumerate(offences):
        offence[category == i] = names[rng.integers(0, len(names), (category == i).sum())]
    point = _points(city.cells, hexagon, rng).round(6)
    table = pd.DataFrame({"OFFENSE": offence, "OCCURRED_UTC": occurred, "REPORTED_UTC": reported})
    table = table.assign(LATITUDE=point[:, 0], LONGITUDE=point[:, 1]).sort_values("OCCURRED_UTC", kind="stable")
    table.insert(0, "REPORT_ID", [f"R{i:08d}" for i in range(size)])
    repeated, missing, origin = (
        table.iloc[np.sort(rng.choice(size, round(DIRT * size), replace=False))] for _ in range(3)
    )
    missing = missing.assign(REPORT_ID="M" + missing["REPORT_ID"].str[1:], LATITUDE=np.nan, LONGITUDE=np.nan)
    origin = origin.assign(REPORT_ID="Z" + origin["REPORT_ID"].str[1:], LATITUDE=0.0, LONGITUDE=0.0)
    return pd.concat([table, repeated, missing, origin]).sort_values("OCCURRED_UTC", kind="stable")


def _points(cells: np.ndarray, index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random point (latitude, longitude) inside cell `index` for every entry, [e 2]."""
    rings = [h3.cell_to_boundary(cell) for cell in cells]
    sides = np.array([len(ring) for ring in rings])
    corners = np.zeros((len(cells), sides.max() + 1, 2))
    for i, ring in enumerate(rings):
        corners[i, : len(ring) + 1] = [*ring, ring[0]]
    centre = np.array([h3.cell_to_latlng(cell) for cell in cells])[index]
    side = (rng.random(len(index)) * sides[index]).astype(int)
    along, out = rng.random((len(index), 1)), np.sqrt(rng.random((len(index), 1)))
    edge = (1 - along) * corners[index, side] + along * corners[index, side + 1]
    return centre + 0.98 * out * (edge - centre)  # short of the border, which is not quite straight in degrees
