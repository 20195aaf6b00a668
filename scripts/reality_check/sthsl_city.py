"""ST-HSL's benchmark as a publisher's files: counts by cell and day, the cells as polygons, and a configuration.

    python scripts/reality_check/sthsl_city.py PATH/sthsl_chicago.npz runs/sthsl
    stforecast run runs/sthsl/sthsl.yaml root=runs/sthsl

So it runs as any other city does, with the authors' slices. Where the cells lie is not in the file: they are squares of
3 km, laid over Chicago; neighbours share a border, where `sthsl.py` also joins those that meet in a corner.
"""

from __future__ import annotations

from pathlib import Path

import click
import geopandas
import numpy as np
import pandas as pd
import shapely
import yaml
from sthsl import START, Benchmark

from stforecast.config import load

WEST, SOUTH, WIDTH, HEIGHT = -87.9, 41.64, 0.036, 0.027
"""Degrees: where the grid begins, and how wide and high a cell is."""


@click.command(help=__doc__)
@click.argument("path", type=click.Path(exists=True, dir_okay=False))
@click.argument("folder", type=click.Path(path_type=Path))
def main(path: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    benchmark = Benchmark.read(path)
    days = pd.date_range(START, periods=len(benchmark.counts))
    codes = np.array([f"c{i:03d}" for i in range(benchmark.counts.shape[1])])
    day, cell, kind = np.nonzero(benchmark.counts)
    table = {
        "cell": codes[cell],
        "day": days[day].strftime("%Y-%m-%d"),
        "offence": np.array(benchmark.categories)[kind],
    }
    number = benchmark.counts[day, cell, kind].astype(int)
    pd.DataFrame({**table, "number": number}).to_csv(folder / "counts.csv", index=False)
    row, column = np.divmod(np.arange(len(codes)), benchmark.columns)
    west, south = WEST + WIDTH * column, SOUTH + HEIGHT * row
    squares = shapely.box(west, south, west + WIDTH, south + HEIGHT)
    geopandas.GeoDataFrame({"code": codes}, geometry=squares, crs=4326).to_file(folder / "cells.geojson")
    train, validation, _ = (days[end - 1] + pd.Timedelta(days=1) for end in np.cumsum(benchmark.days))
    settings = load(Path(__file__).with_name("sthsl.yaml"))
    values = {
        "city": settings.city,
        "time": {"step": "day", "horizons": 1},
        "source": {
            "path": str(folder / "counts.csv"),
            "columns": {"occurred": ["day"], "area": ["cell"], "offence": ["offence"], "count": ["number"]},
            "time_zone": "UTC",
            "categories": {name.replace(" ", "_"): [name] for name in benchmark.categories},
        },
        "grid": {"cells": "polygons", "polygons": str(folder / "cells.geojson"), "polygon_key": "code", "min_events": 0}
        | {"country": "US", "subdivision": "IL"},
        "split": {"train": train.date(), "validation": validation.date(), "gap": 0},
        **settings.model_dump(mode="json", include={"model", "training", "evaluation"}, exclude_unset=True),
    }
    (folder / "sthsl.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    click.echo(f"next: stforecast run {folder / 'sthsl.yaml'} root={folder}")


if __name__ == "__main__":
    main()
