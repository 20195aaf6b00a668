"""A city whose record is fetched has the grid of one whose record is a file, byte for byte, on the next day too."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tiny_city import config_of

from stforecast import config
from stforecast.pipeline import fetching
from stforecast.pipeline.refresh import refresh
from stforecast.pipeline.stages import Stages
from stforecast.sources.web import Retry, Web

sys.path.insert(0, str(Path(__file__).parents[1] / "sources"))
from publisher import Publisher, serving
from publisher import Table as Records

pytestmark = pytest.mark.usefixtures("one_thread")
FIELDS = {"case": "REPORT_ID", "date": "OCCURRED_UTC", "reported": "REPORTED_UTC", "offence": "OFFENSE"}
FIELDS |= {"latitude": "LATITUDE", "longitude": "LONGITUDE"}
LATER = pd.Timestamp("2024-01-01", tz="UTC")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The reports of the small simulated city, as a publisher has them."""
    stages = Stages(config_of(tmp_path_factory.mktemp("simulated")), lambda _: None)
    stages.ingest()
    found = pd.read_csv(stages.place.bronze / "offences.csv", dtype=str).dropna().drop_duplicates("REPORT_ID")
    found = pd.DataFrame({name: found[field] for name, field in FIELDS.items()})
    return found.assign(date=found["date"].str.replace(" ", "T"))


def stages_of(root: Path, **source: Any) -> Stages:
    """The city of `tiny_city`, its record from elsewhere."""
    values = yaml.safe_load(Path("configs/quickstart.yaml").read_text())
    del values["synthetic"], values["weather"]
    columns = {"event_id": "case", "occurred": "date", "reported": "reported"}
    columns |= {name: name for name in ("offence", "latitude", "longitude")}
    values["source"] |= {"columns": {field: [name] for field, name in columns.items()}, **source}
    values |= {"root": str(root), "evaluation": {"forecasters": ["rolling_climatology", "hexagon_mean"]}}
    return Stages(config.parse(values, "test"), lambda _: None)


def add(records: Records, reports: pd.DataFrame) -> None:
    records.put({row["case"]: row for row in reports.to_dict("records")})


def first_grid(stages: Stages) -> dict[str, bytes]:
    """What `run` writes of a forecast."""
    fetching.fetch_first(stages)
    stages.ingest()
    stages.build()
    stages.train()
    stages.forecast()
    return written(stages)


def next_grid(stages: Stages) -> dict[str, bytes]:
    """What a refresh writes of a forecast."""
    refresh(stages, LATER)
    return written(stages)


def written(stages: Stages) -> dict[str, bytes]:
    """The files of the newest grid; the model's name in them ends with a hash of the names of the files read."""
    folder = max(path for path in stages.place.grids.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {"issued": folder.name.encode()}
    for path in sorted(folder.glob("risk*")):
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            found[path.name] = frame.assign(model=frame["model"].str[:-10]).to_parquet()
        else:
            found[path.name] = re.sub(rb"(climatology-)[0-9a-f]{10}", rb"\1", path.read_bytes())
    return found


def days_of(reports: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The reports but for those of the last two days, and those and what was revised."""
    late = reports["date"] >= reports["date"].max()[:8] + f"{int(reports['date'].max()[8:10]) - 1:02}"
    revised = reports[~late].tail(3).assign(offence="robbery")
    return reports[~late], pd.concat([revised, reports[late]])


@pytest.fixture(scope="module")
def from_files(
    reports: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Grids of the city whose record is a file that the user replaces."""
    root, records = tmp_path_factory.mktemp("file"), Records(columns=tuple(FIELDS))
    stages, grids = stages_of(root), []
    stages.place.bronze.mkdir(parents=True)
    for day, grid in zip(days_of(reports), (first_grid, next_grid), strict=True):
        add(records, day)
        publisher = Publisher(records)
        publisher.server.server_close()
        (stages.place.bronze / "export.csv").write_bytes(publisher.export())
        grids.append(grid(stages))
    return grids[0], grids[1]


@pytest.mark.parametrize("kind", ["socrata", "arcgis", "ckan", "file"])
def test_the_grid_is_that_of_a_file(
    kind: str,
    reports: pd.DataFrame,
    from_files: tuple[dict[str, bytes], dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "Web", lambda: Web(Retry(total=3, backoff_factor=0), pause=0))
    records = Records(columns=tuple(FIELDS))
    first, second = days_of(reports)
    add(records, first)
    with serving(records, limit=400) as publisher:
        path = {"arcgis": "/FeatureServer/0", "file": "/export.csv"}.get(kind, "")
        table = {"kind": kind, "url": publisher.url + path}
        table |= {"dataset": "abcd-1234"} if kind in ("socrata", "ckan") else {}
        table |= {"date": "date"} if kind in ("arcgis", "ckan") else {}
        stages = stages_of(tmp_path, tables=[table], fetch=True)
        assert first_grid(stages) == from_files[0]
        add(records, second)
        assert next_grid(stages) == from_files[1]
