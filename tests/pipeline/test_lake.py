"""The lake of a small city: what is in its tables, what of its past can be read, and what is erased from it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from tiny_city import SMALL, config_of, holders

from stforecast.cli import main
from stforecast.errors import ArtefactError, ConfigError
from stforecast.pipeline.forget import forget
from stforecast.pipeline.stages import Stages
from stforecast.pipeline.verification import verify

deltalake = pytest.importorskip("deltalake", reason="deltalake is not installed")
from stforecast.cli.lake import TABLES as OFFERED  # noqa: E402
from stforecast.pipeline.lake import BRONZE, TABLES  # noqa: E402

CAME = ["ingestion_timestamp", "run_date", "source_system"]


def stages_at(root: Path, *more: str) -> tuple[Stages, list[str]]:
    lines: list[str] = []
    return Stages(config_of(root, *more), lines.append), lines


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("lake")
    stages, _ = stages_at(root, "lake=delta")
    stages.ingest()
    stages.build()
    return root


@pytest.fixture
def root(city: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(city, tmp_path / "city"))


def lake_of(root: Path) -> Path:
    return root / "data/quickstart/lake"


def open_table(root: Path, name: str, version: int | None = None):
    return deltalake.DeltaTable(lake_of(root) / name, version=version)


def events_in(root: Path, version: int | None = None) -> pd.DataFrame:
    frame = open_table(root, "silver", version).to_pandas()
    return frame.sort_values("event_id", ignore_index=True)


def with_another_export(root: Path, change) -> None:
    """The publisher's next export: `change` of the lines behind the header."""
    path = root / "data/quickstart/bronze/offences.csv"
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *change(lines), ""]))


def test_tables_hold_what_was_read_and_made(city: Path) -> None:
    data = city / "data/quickstart"
    silver = pd.read_parquet(data / "silver/events.parquet").sort_values("event_id", ignore_index=True)
    found = events_in(city)
    assert_frame_equal(found[silver.columns].astype(silver.dtypes), silver)
    local = silver["occurred_at"].dt.tz_convert("America/Denver")
    assert (found["month"] == local.dt.strftime("%Y-%m")).all()
    assert (found["source_system"] == "quickstart").all()
    lines = (data / "bronze/offences.csv").read_text().splitlines()
    bronze = open_table(city, "bronze").to_pandas().sort_values("line", ignore_index=True)
    assert [*bronze.columns] == [*BRONZE.names, "ingestion_timestamp", "run_date"]
    assert len(bronze) == len(lines) - 1
    for row in (0, len(bronze) // 2, len(bronze) - 1):
        line = lines[bronze["line"][row] - 1]
        assert bronze["event_id"][row] in line
        assert bronze["occurred"][row] in line
    for name in ("by_district_day", "by_hour_weekday"):
        gold = pd.read_parquet(data / f"gold/{name}.parquet")
        keys = [*gold.columns[:3]]
        mine = open_table(city, f"gold/{name}").to_pandas().sort_values(keys, ignore_index=True)
        expected = gold.sort_values(keys, ignore_index=True)
        assert_frame_equal(mine[gold.columns], expected, check_dtype=False)
        assert {*CAME} <= {*mine.columns}
    assert (
        pq.ParquetFile(open_table(city, "silver").file_uris()[0]).metadata.row_group(0).column(0).compression == "ZSTD"
    )
    assert OFFERED == TABLES


def test_an_export_that_changed_little_writes_few_rows_and_the_past_stays(root: Path, tmp_path: Path) -> None:
    before, stages = events_in(root), stages_at(root, "lake=delta")[0]
    stages.ingest()
    assert open_table(root, "silver").version() == 0  # nothing new

    with_another_export(root, lambda lines: [*lines[3:], lines[-1].replace("R", "R9", 1)])
    stages, lines = stages_at(root, "lake=delta", "source.max_rejects=1")
    table = stages.ingest()
    said = [line for line in lines if line.startswith("lake: silver")]
    assert said == ["lake: silver: 1 rows written, 3 removed"]
    after = events_in(root)
    assert {*after["event_id"]} == {*table.frame["event_id"]}
    came = after.set_index("event_id")["ingestion_timestamp"]
    assert (came > before["ingestion_timestamp"].max()).sum() == 1
    assert_frame_equal(events_in(root, 0), before)

    first, second = (
        pd.Timestamp(one["timestamp"], unit="ms", tz="UTC") for one in open_table(root, "silver").history()[::-1]
    )
    lake = stages.lake()
    for as_of, expected in ((second - pd.Timedelta(milliseconds=1), before), (second, after), (None, after)):
        lake.save("silver", tmp_path / "then.parquet", as_of)
        then = pd.read_parquet(tmp_path / "then.parquet").sort_values("event_id", ignore_index=True)
        assert_frame_equal(then, expected, check_dtype=False)
    lake.save("silver", tmp_path / "then.parquet", version=0)
    assert len(pd.read_parquet(tmp_path / "then.parquet")) == len(before)
    with pytest.raises(ArtefactError, match="no such version; the oldest is 0 of"):
        lake.save("silver", tmp_path / "then.parquet", first - pd.Timedelta(days=1))
    with pytest.raises(ArtefactError, match="the newest 1 of"):
        lake.save("silver", tmp_path / "then.parquet", version=7)
    bronze = open_table(root, "bronze").to_pandas()
    assert bronze["file_hash"].nunique() == 1
    assert len(open_table(root, "bronze", 0).to_pandas()) == len(bronze) + 2


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main([*words])
    return int(str(left.value.code))


def test_the_command_line_writes_a_table_as_it_was(root: Path, capsys, tmp_path: Path) -> None:
    with_another_export(root, lambda lines: lines[3:])
    config = ["configs/quickstart.yaml", f"root={root}", *SMALL, "lake=delta"]
    assert run("ingest", *config) == run("lake", *config) == 0
    listed = capsys.readouterr().out
    assert "silver, version 0 of" in listed
    assert "silver, version 1 of" in listed
    output = tmp_path / "out/silver.parquet"
    assert run("lake", *config, "--version", "0", "--output", str(output)) == 0
    assert len(pd.read_parquet(output)) == len(events_in(root, 0))
    today = f"{pd.Timestamp.now('America/Denver'):%Y-%m-%d}"
    assert run("lake", *config, "--as-of", today, "--table", "bronze", "--output", str(output)) == 0
    assert len(pd.read_parquet(output)) == len(open_table(root, "bronze").to_pandas())
    for words, code, what in (
        (["--as-of", "2001-01-01"], 5, "no such version"),
        (["--as-of", "yesterday"], 2, "a time with Z"),
        (["--as-of", "2001-13-01"], 2, "a day such as"),
        (["--as-of", today, "--version", "0"], 2, "either"),
    ):
        assert run("lake", *config, *words, "--output", str(output)) == code
        assert what in capsys.readouterr().err
    assert run("lake", *config, "--as-of", today) == 2


def test_an_erased_report_is_in_no_version(root: Path) -> None:
    with_another_export(root, lambda lines: lines[3:])  # so that there is a past
    stages, _ = stages_at(root, "lake=delta")
    stages.ingest()
    events = pd.read_parquet(root / "data/quickstart/silver/events.parquet")
    shared = events[["latitude", "longitude", "occurred_at"]].apply(lambda column: column.duplicated(keep=False))
    event = events[~shared.any(axis=1)].iloc[7]
    came = events_in(root).set_index("event_id")["ingestion_timestamp"].drop(event["event_id"])
    assert [name for name in holders(root, event) if "/lake/" in name]
    with pytest.raises(ConfigError, match="lake: not set"):
        forget(stages_at(root)[0], [event["event_id"]])
    forget(stages, [event["event_id"]])
    assert holders(root, event) == []
    after = events_in(root)
    assert event["event_id"] not in set(after["event_id"])
    assert (after.set_index("event_id")["ingestion_timestamp"] == came).all()  # when the others came is kept
    assert all(open_table(root, name).version() == 0 for name in TABLES)
    verify(stages)


def test_damage_is_found_and_mended_where_it_can_be(root: Path) -> None:
    stages, lines = stages_at(root, "lake=delta")
    verify(stages)
    someone = events_in(root)["event_id"][0]
    open_table(root, "silver").update(
        {"category": "'other'"}, predicate=f"event_id = '{someone}'"
    )  # somebody's own write
    with pytest.raises(ArtefactError, match="1 damaged"):
        verify(stages)
    assert any("rows are missing or not what the events lead to" in line for line in lines)
    verify(stages, repair=True)
    shutil.rmtree(lake_of(root) / "gold/by_hour_weekday")
    with pytest.raises(ArtefactError, match="1 damaged"):
        verify(stages)
    stages.ingest()
    verify(stages)
    Path(open_table(root, "bronze").file_uris()[0].removeprefix("file://")).unlink()
    with pytest.raises(ArtefactError, match="1 damaged"):
        verify(stages, repair=True)
    assert any("remove the folder, and the next ingest writes the table anew" in line for line in lines)


def test_without_deltalake_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ConfigError, match=r"pip install 'stforecast\[lake\]'"):
        stages_at(tmp_path, "lake=delta")[0].ingest()
    assert not (tmp_path / "data/quickstart/silver").exists()


def test_by_district_the_folders_are_of_districts(root: Path) -> None:
    stages, _ = stages_at(root, "lake=delta_by_district")
    stages.ingest()
    table = open_table(root, "silver")
    assert table.metadata().partition_columns == ["month", "district"]
    assert_frame_equal(events_in(root), events_in(root, 0))


def test_spark_reads_the_tables(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through Delta's jars where they are among pyspark's (they have to be downloaded), else the files of a version."""
    pyspark = pytest.importorskip("pyspark", reason="pyspark (the extra spark) is not installed")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java")
    from pyspark.sql import SparkSession

    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    delta = any((Path(pyspark.__file__).parent / "jars").glob("*delta-spark*.jar"))
    if delta:
        builder = builder.config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension").config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
    spark = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    try:
        for name in TABLES:
            table, folder = open_table(city, name), str(lake_of(city) / name)
            if delta:
                found = spark.read.format("delta").load(folder)
            else:
                found = spark.read.option("basePath", folder).parquet(*table.file_uris())
            rows = table.to_pyarrow_table()
            assert {*found.columns} == {*rows.column_names}
            assert found.count() == len(rows)
            latest = found.selectExpr("unix_micros(max(ingestion_timestamp))").collect()[0][0]
            assert latest == pc.max(rows["ingestion_timestamp"].cast(pa.int64())).as_py()
    finally:
        spark.stop()


def test_polars_duckdb_and_pandas_read_the_tables(city: Path) -> None:
    polars, duckdb = (
        pytest.importorskip("polars", reason="polars is not installed"),
        pytest.importorskip("duckdb", reason="duckdb is not installed"),
    )
    for name in TABLES:
        table = open_table(city, name)
        number = len(table.to_pandas())
        assert number == polars.read_delta(str(lake_of(city) / name)).height
        rows = table.to_pyarrow_dataset()
        assert duckdb.sql("select count(*) from rows").fetchall() == [(number,)]
        assert isinstance(rows.schema, pa.Schema)
