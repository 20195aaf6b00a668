"""Lay out the records of the cities of `configs/pretrain` as these read them, and say what is left out.

    python scripts/corpus.py ../shared/data corpus
    for city in configs/pretrain/*.yaml; do stforecast ingest $city; stforecast build $city; done

The first folder holds files as their publishers (or who re-published them) had them, named in FILES. Most are only
copied into `corpus/data/CITY/bronze`. Of Oakland the study area is found, since the copy lacks ten beats; the R file of
Minneapolis becomes a table, in which an offence occurred the last time that it was its time of day before
the report.
Needs `pip install pyreadr` for the latter. The rows stay on this machine: the project ships none.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

import h3
import pandas as pd

from stforecast.files import write_bytes, write_text

FILES = {
    "denver": "denver/crime.csv.gz",
    "chicago": "cities/chicago/crimes_*.csv.xz",
    "mexico_city": "cities/mexico_city/*.tar.xz",
    "vancouver": "cities/vancouver/*.csv.gz",
    "toronto": "cities/toronto/mci_*.csv.gz",
    "oakland": "cities/oakland/beats_geojson.tar.gz",
    "minneapolis": "cities/minneapolis/crime.data.RData",
}
WEATHER = {
    "denver": ("denver/weather_2022.csv.gz", {"windspeed_10m": "wind_speed_10m"}),
    "chicago": ("chicago/weather.csv.gz", {"temperature_k": "temperature_2m", "wind_speed_ms": "wind_speed_10m"}),
}
"""Files, and columns that get the names of the channels that cities share."""
CHANNELS = ["temperature_2m", "precipitation", "wind_speed_10m"]


def main(shared: Path, out: Path) -> None:
    """Lay out every city whose files are there."""
    for city, pattern in FILES.items():
        files, folder = sorted(shared.glob(pattern)), out / "data" / city
        needed = [pattern, *([WEATHER[city][0]] if city in WEATHER else [])]
        if missing := [one for one in needed if not any(shared.glob(one))]:
            print(f"{city}: left out, since there is no {shared / missing[0]}")
            continue
        if city == "minneapolis":
            minneapolis(files[0], folder / "bronze/crime.csv")
            continue
        for file in files:
            write_bytes(folder / "bronze" / file.name, file.read_bytes())
        print(f"{city}: {len(files)} files")
        if city == "oakland":
            oakland(files[0], folder / "area.geojson")
        if city in WEATHER:
            weather(shared / WEATHER[city][0], WEATHER[city][1], folder / "weather/hourly.csv")


def weather(file: Path, names: dict[str, str], target: Path) -> None:
    """The channels that cities share, by their names; units stay as they are, and stand in the configuration."""
    table = pd.read_csv(file).rename(columns=names)
    table = table[["time_utc", *(channel for channel in CHANNELS if channel in table)]]
    write_text(target, table.to_csv(index=False))
    print(f"  {len(table):,} hours of weather: {', '.join(table.columns[1:])}")


def minneapolis(file: Path, target: Path) -> None:
    """A table with `occurred`. In 2013 reports have no time of day, and offences the report's: no hour is known."""
    try:
        import pyreadr
    except ModuleNotFoundError:
        print("minneapolis: left out, since pyreadr is not installed. Run `pip install pyreadr`.")
        return
    table = pyreadr.read_r(str(file))["crime.data"]
    reported = pd.to_datetime(table["ReportedDate"].str.removesuffix("Z"), format="mixed")
    table["occurred"] = last_before(reported, pd.to_datetime(table["Time.of.Offense"], format="mixed"))
    usable = reported.dt.year != 2013
    write_text(target, table[usable].to_csv(index=False))
    print(f"minneapolis: {usable.sum():,} rows; {(~usable).sum():,} of 2013 left out, whose hour is that of the report")


def last_before(reported: pd.Series, clock: pd.Series) -> pd.Series:
    """The last instant that is not after a report and has the time of day of `clock`, whatever the day of that."""
    same_day = reported.dt.normalize() + (clock - clock.dt.normalize())
    return same_day - pd.to_timedelta((same_day > reported).astype(int), unit="D")


def oakland(file: Path, target: Path) -> None:
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
    write_text(target, json.dumps({"type": "FeatureCollection", "features": features}))
    print(f"  {len(beats)} beats; {len(kept)} of {enough.sum()} hexagons kept, the others lie in missing beats")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
