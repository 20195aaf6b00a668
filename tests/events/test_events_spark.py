"""Files that are read in tasks of Spark give, row for row, what is read here, and errors in the same words."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from test_events_partitions import FIGHT, GOOD, NOW, content, day, settings_of, write

from stforecast.config import parse
from stforecast.config.sections import Ingest
from stforecast.errors import ConfigError, DataError
from stforecast.events import spark
from stforecast.events.clean_files import Partition
from stforecast.events.ingest import ingest
from stforecast.instants import since_1970

SPARK = Ingest(engine="spark", master="local[2]")
SAMPLES = Path(__file__).parents[1] / "publishers"
DATA = Path(__file__).parents[2] / "../shared/data"
LATER = pd.Timestamp("2026-11-01", tz="UTC")
EVENTS, PARTS = "data/town/silver/events.parquet", "data/town/partitions"


def java() -> int:
    """The version of Java here; 0 without one."""
    try:
        said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


needs_spark = pytest.mark.skipif(
    find_spec("pyspark") is None or java() < 17, reason="pyspark (`pip install '.[spark]'`) or Java 17 is absent"
)


def by_spark(config):
    return config.model_copy(update={"ingest": SPARK})


def assert_same(here, there):
    pd.testing.assert_frame_equal(here[0], there[0])
    pd.testing.assert_frame_equal(here[1], there[1])
    assert here[2] == there[2]


def test_pyspark_that_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(spark, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"ingest\.engine: pyspark is not installed.*stforecast\[spark\]"):
        ingest(by_spark(settings_of(tmp_path, [write(tmp_path / "1.csv", [GOOD, FIGHT])])), now=NOW)


@needs_spark
def test_java_that_is_absent(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"ingest\.engine: Spark does not start on local\[2\].*Java 17"):
        ingest(by_spark(settings_of(tmp_path, [write(tmp_path / "1.csv", [GOOD, FIGHT])])), now=NOW)
    assert capfd.readouterr() == ("", "")


@needs_spark
def test_dirty_files_give_the_same_rows_and_rejects(tmp_path, capfd):
    dirt = [("x", *GOOD[1:]), (*GOOD[:2], "", *GOOD[3:]), (*GOOD[:4], "Fraud", *GOOD[5:]), (*GOOD[:7], "3", GOOD[8])]
    withdrawn = [(*GOOD[:5], "a", "7", "1", "1"), (*GOOD[:5], "b", "7", "-1", "1")]
    files = [write(tmp_path / "1.csv", [GOOD, FIGHT, *dirt]), write(tmp_path / "2.csv", [*day(2), *withdrawn, GOOD])]
    files.append(write(tmp_path / "3.csv", [("25/5/2023 15:00", *row[1:]) for row in (GOOD, *day(3))]))
    one, two = [], []
    for root, out in ((tmp_path / "local", one), (tmp_path / "spark", two)):
        config = settings_of(root, files)  # the last file tells that days come first, so that all are read again
        config = config.model_copy(update={"source": config.source.model_copy(update={"date_order": None})})
        out += content(root, ingest(by_spark(config) if out is two else config, now=NOW))
    assert_same(one, two)
    assert (tmp_path / "local" / EVENTS).read_bytes() == (tmp_path / "spark" / EVENTS).read_bytes()
    assert len(one[1])
    assert one[2]["date_order"] == "day_first"
    assert capfd.readouterr() == ("", "")


@needs_spark
@pytest.mark.parametrize(
    ("preset", "path"), [("st_louis", SAMPLES / "st_louis.csv"), ("denver", DATA / "denver/crime.csv.gz")]
)
def test_publishers_give_the_same_rows_and_rejects(tmp_path, preset, path):
    if not path.is_file():
        pytest.skip("the folder shared/data beside the repository is absent")
    source = {"preset": preset, "max_rejects": 1.0, "path": str(path)}
    local, other = (parse({"city": "town", "root": str(tmp_path / n), "source": source}, "test") for n in "ab")
    one, two = (
        content(tmp_path / "a", ingest(local, now=LATER)),
        content(tmp_path / "b", ingest(by_spark(other), now=LATER)),
    )
    assert_same(one, two)
    assert preset != "st_louis" or one[2]["left_out"]["withdrawn report"]


@needs_spark
def test_errors_come_back_in_the_same_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a relative path begins there, for workers too
    write(tmp_path / "1.csv", [GOOD, FIGHT])
    (tmp_path / "2.csv").write_bytes((tmp_path / "1.csv").read_bytes() + b"\n" * (4 << 20))
    (tmp_path / "3.csv").write_text("a,b\n1,2\n")
    config = settings_of(tmp_path, ["1.csv", "2.csv", "3.csv"])
    with pytest.raises(DataError, match=r"^2\.csv.*blank lines from line") as here:
        ingest(config, now=NOW)
    with pytest.raises(DataError) as there:
        ingest(by_spark(config), now=NOW)
    assert str(here.value) == str(there.value)
    assert sorted(path.name for path in (tmp_path / "data/town").iterdir()) == ["hashes.json"]


@needs_spark
def test_what_is_known_is_not_read_again(tmp_path):
    files = [write(tmp_path / f"{number}.csv", [FIGHT, *day(number)]) for number in (1, 2)]
    ingest(settings_of(tmp_path, files[:1]), now=NOW)
    (known,) = (tmp_path / PARTS).iterdir()
    before = (known / "events.arrow").stat()
    assert len(ingest(by_spark(settings_of(tmp_path, files)), now=NOW)) == 3
    after = (known / "events.arrow").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(list((tmp_path / PARTS).iterdir())) == 2


def test_of_two_that_write_a_partition_the_first_stays(tmp_path):
    config = settings_of(tmp_path, [write(tmp_path / "1.csv", [GOOD, FIGHT])])
    ingest(config, now=NOW)
    (known,) = (tmp_path / PARTS).iterdir()
    part = Partition.open(known, known.name, since_1970(NOW))
    before = (known / "events.arrow").stat().st_ino
    Partition.write(known, part.key, since_1970(NOW), [part.cleaned()], part.source)
    assert (known / "events.arrow").stat().st_ino == before
    assert [path.name for path in (tmp_path / PARTS).iterdir()] == [known.name]
