"""Lay out the records of the cities of `configs/pretrain` as these read them, and say what is left out.

    python scripts/corpus.py ../shared/data corpus
    for city in configs/pretrain/*.yaml; do stforecast build $city; done

The first folder holds a folder a city, of files as their publishers (or who re-published them) had them. Most are only
copied into `corpus/data/CITY/bronze`. Of Oakland the study area is found, since the copy lacks ten beats; the R file of
Minneapolis becomes a table, with the day of the occurrence that its time of day and the time of the report leave.
Needs `pip install pyreadr`. The rows stay on this machine: no weights, test or page of the project holds any of them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from pathlib import Path

import h3
import pandas as pd

FILES = {
    "denver": ["denver/crime.csv.gz"],
    "chicago": ["cities/chicago/crimes_*.csv.xz"],
    "mexico_city": ["cities/mexico_city/*.tar.xz"],
    "vancouver": ["cities/vancouver/*.csv.gz"],
    "toronto": ["cities/toronto/mci_*.csv.gz"],
    "oakland": ["cities/oakland/beats_geojson.tar.gz"],
}
WEATHER = {
    "denver": ("denver/weather_2022.csv.gz", {"windspeed_10m": "wind_speed_10m"}),
    "chicago": ("chicago/weather.csv.gz", {"temperature_k": "temperature_2m", "wind_speed_ms": "wind_speed_10m"}),
}
"""Files, and columns that get the names of the channels that cities share."""


def main(shared: Path, out: Path) -> None:
    """Lay out every city."""
    for city, patterns in FILES.items():
        bronze = folder(out, city, "bronze")
        files = [file for pattern in patterns for file in sorted(shared.glob(pattern))]
        if not files:
            sys.exit(f"{shared}: no {patterns[0]}.")
        for file in files:
            shutil.copyfile(file, bronze / file.name)
        print(f"{city}: {len(files)} files")
    for city, (file, names) in WEATHER.items():
        columns = ["time_utc", "temperature_2m", "precipitation", "wind_speed_10m"]
        table = pd.read_csv(shared / file).rename(columns=names)
        table = table[[column for column in columns if column in table]]
        table.to_csv(folder(out, city, "weather") / "hourly.csv", index=False)
        print(f"{city}: {len(table):,} hours of weather")
    minneapolis(shared / "cities/minneapolis/crime.data.RData", folder(out, "minneapolis", "bronze"))
    oakland(shared / "cities/oakland/beats_geojson.tar.gz", out / "data/oakland/area.geojson")


def folder(out: Path, city: str, name: str) -> Path:
    """A folder of a city, made where it is absent."""
    path = out / "data" / city / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def minneapolis(file: Path, bronze: Path) -> None:
    """A table with `occurred`: the last time before the report at which it was the offence's time of day.

    The file gives that time, and the report's to the second. In 2013 the report has no time of day, and the offence
    the report's: no hour is known.
    """
    import pyreadr

    table = pyreadr.read_r(str(file))["crime.data"].astype({"Longitude": float, "Latitude": float})
    reported = pd.to_datetime(table["ReportedDate"].str.removesuffix("Z"), format="mixed")
    clock = pd.to_datetime(table["Time.of.Offense"], format="mixed")
    clock -= clock.dt.normalize()
    day = reported.dt.normalize()
    table["occurred"] = day + clock - pd.to_timedelta((day + clock > reported).astype(int), unit="D")
    usable = reported.dt.year != 2013
    table[usable].to_csv(bronze / "crime.csv", index=False)
    print(f"minneapolis: {usable.sum():,} rows; {(~usable).sum():,} of 2013 left out, whose hour is that of the report")


def oakland(file: Path, area: Path) -> None:
    """The hexagons of resolution 8 that lie in the beats of the copy, as polygons.

    Ten beats have no file, but rows that name no beat lie in them too. A place is missing where most of the rows
    around it name none, and a hexagon is kept where two in three of its rows without a beat lie in places that are
    not.
    """
    rows = []
    with tarfile.open(file) as archive:
        for member in archive:
            handle = archive.extractfile(member) if member.name.endswith("json") else None
            text = handle.read() if handle else b""
            for feature in json.loads(text)["features"] if text.startswith(b'{"type":"FeatureCollection"') else ():
                row = feature["properties"]
                rows.append((row["date"][:2], row["beat"], row["lat"], row["long"]))
    table = pd.DataFrame(rows, columns=["year", "beat", "latitude", "longitude"])
    table[["latitude", "longitude"]] = table[["latitude", "longitude"]].apply(pd.to_numeric, errors="coerce")
    table = table[table["year"].between("07", "12")].dropna()
    beats = table["beat"].value_counts()
    beats = beats[beats.index.str.fullmatch(r"\d\d[XYZ]") & (beats > 1000) & ~beats.index.isin(["77X", "99X"])]
    table["known"] = table["beat"].isin(beats.index)
    table["place"] = [h3.latlng_to_cell(*point, 10) for point in table[["latitude", "longitude"]].to_numpy()]
    table["hexagon"] = [h3.cell_to_parent(place, 8) for place in table["place"]]
    counts = table.groupby("place")["known"].agg(["sum", "size"])
    near = {place: counts.reindex(h3.grid_disk(place, 1)).sum() for place in counts.index}
    covered = {place: found["sum"] > 0.75 * found["size"] for place, found in near.items()}
    nameless = table[~table["known"]]
    share = nameless["place"].map(covered).groupby(nameless["hexagon"]).agg(["sum", "size"])
    share = share.reindex(table["hexagon"].unique(), fill_value=0)
    enough = table["hexagon"].value_counts().reindex(share.index) >= 20
    kept = share.index[enough & ((share["sum"] + 1) / (share["size"] + 1) >= 2 / 3)]
    shapes = [[[lng, lat] for lat, lng in h3.cell_to_boundary(cell)] for cell in kept]
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [[*shape, shape[0]]]}}
        for shape in shapes
    ]
    area.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    print(f"oakland: {len(beats)} beats; {len(kept)} of {enough.sum()} hexagons kept, the others lie in missing beats")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
