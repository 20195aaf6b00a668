"""The first days of a city: what forecasters may read, and figures that add up from the file."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from stforecast.cube.store import save_cube
from stforecast.errors import ConfigError
from stforecast.features.targets import outcomes, scored
from stforecast.files import read_json, write_json
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.trees.pooled import RHYTHMS
from stforecast.forecasters.weights import SHIPPED
from tests.small_cities import city

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from first_day import City, main, measure, result_of, shorten
from first_day_table import blocks_of, compared, merged, table
from first_day_table import main as tables

from stforecast.config import parse

DAY = 24
SEEN = pd.Timestamp("2021-03-01 07:00", tz="UTC")
"""In the record of Denver from which the shipped weights have learned."""


@pytest.mark.parametrize(
    ("days", "validation", "record", "calibrated", "first"),
    [
        (7, False, 7, 3, 80),
        (60, False, 60, 30, 80),
        (None, False, 80, 30, 80),
        (7, True, 7, 3, 40),
        (40, True, 40, 20, 40),
    ],
)
def test_slices(days: int | None, validation: bool, record: int, calibrated: int, first: int) -> None:
    """A record of 120 days: the last third is the test slice, however many days lie before it."""
    whole = city(days=120)
    part, split = shorten(whole, days, 180, validation)
    assert part.time_of(split.test_start) == whole.time_of(first * DAY)
    assert part.steps == (record + 40) * DAY
    assert split.test_start == split.validation_end == record * DAY
    assert split.validation_start == split.train_end == (record - calibrated) * DAY
    np.testing.assert_array_equal(
        outcomes(part, split, "test").sum(), whole.dense(first * DAY, (first + 40) * DAY).sum()
    )


def test_a_record_that_is_too_short() -> None:
    with pytest.raises(ConfigError, match="has 80 days before"):
        shorten(city(days=120), 81, 180, False)
    with pytest.raises(ConfigError, match="Choose from 2"):
        shorten(city(days=120), 1, 180, False)
    assert shorten(city(days=120), 81, 30, False)[1].test_start == 81 * DAY


def test_the_file_tells_every_difference() -> None:
    part, split = shorten(city(days=120), 30, 60, False)
    small = City(parse({"city": "small"}, "test"), part, split)
    counts = outcomes(part, split, "test")
    result = result_of(small, 30, "test")
    weights = blocks_of(result).weights(len(counts))
    for name, half_life in (("one", 90.0), ("other", 10.0)):
        kind = type(name, (RollingClimatology,), {"half_lives": {"hour": (half_life, 365.0)}})
        fit = lambda city, kind=kind: kind().fit(city.cube, city.split)  # noqa: E731
        result["forecasters"][name] = measure(fit, small, counts, weights) | {"seeds": 1}
    one, other = (result["forecasters"][name] for name in ("one", "other"))
    found = compared(result, "one")["other"]
    assert found["poisson_deviance"]["estimate"] == pytest.approx(one["poisson_deviance"] - other["poisson_deviance"])
    assert found["average_precision"]["estimate"] == pytest.approx(
        one["average_precision"] - other["average_precision"]
    )
    for metric in ("poisson_deviance", "average_precision"):
        assert found[metric]["low"] < found[metric]["estimate"] < found[metric]["high"]
    assert len(one["daily_deviance"]) == len(scored(part, split, "test")) == 40
    assert "| other" in table(result, "one")


def test_from_the_command_line(tmp_path: Path) -> None:
    save_cube(city(days=60), tmp_path / "gold", "stamp")
    asked = [str(tmp_path / "gold"), "--days", "7", "--days", "all", "--test-days", "20", "--only"]
    out = tmp_path / "small.json"
    done = CliRunner().invoke(main, [*asked, "rolling_climatology,hawkes", "--out", str(out), "--against", "hawkes"])
    assert not done.exit_code, done.output
    assert [result["record_days"] for result in read_json(out)["results"]] == [7, 40]
    assert "Δ deviance: hawkes −" in done.stdout
    for words, wrong in (
        ("choose from", ["nothing"]),
        ("with --weights", ["carried_hawkes"]),
        ("all", ["gcrn", "--days", "x"]),
        ("is a built cube", ["hawkes", "model.hidden=8"]),
    ):
        failed = CliRunner().invoke(main, [*asked, *wrong])
        assert failed.exit_code
        assert words in failed.output


def test_it_says_what_carried_weights_have_seen(tmp_path: Path) -> None:
    whole = replace(city(days=60), start=SEEN)
    save_cube(whole, tmp_path / "gold", "stamp")
    asked = [str(tmp_path / "gold"), "--days", "7", "--test-days", "20", "--only", "shared_climatology"]
    done = CliRunner().invoke(main, [*asked, "--weights", str(SHIPPED)])
    assert "shared_climatology learned from Denver 2019-01 to" in done.stdout
    cardless = tmp_path / "cardless"
    shutil.copytree(SHIPPED, cardless, ignore=shutil.ignore_patterns("card.json"))
    done = CliRunner().invoke(main, [*asked, "--weights", str(cardless)])
    assert "shared_climatology comes from weights without a card" in done.stdout


def test_figures_of_several_weights_are_means(tmp_path: Path) -> None:
    """Each carried forecaster for itself: their forecasts are not put together."""
    save_cube(replace(city(days=60), start=SEEN), tmp_path / "gold", "stamp")
    other = tmp_path / "other"
    shutil.copytree(SHIPPED, other, ignore=shutil.ignore_patterns("card.json"))
    rhythms = read_json(other / RHYTHMS)
    write_json(other / RHYTHMS, rhythms | {"worth": [10 * worth for worth in rhythms["worth"]]})
    asked = [str(tmp_path / "gold"), "--days", "7", "--test-days", "20"]
    asked += ["--only", "shared_climatology,rolling_climatology", "--out", str(tmp_path / "out.json")]
    found = []
    for folders in ([SHIPPED], [other], [SHIPPED, other]):
        done = CliRunner().invoke(main, [*asked, *(word for one in folders for word in ("--weights", str(one)))])
        assert not done.exit_code, done.output
        found.append(read_json(tmp_path / "out.json")["results"][0]["forecasters"])
    one, two, both = (forecasters["shared_climatology"] for forecasters in found)
    assert one["daily_deviance"] != two["daily_deviance"]
    for key in ("poisson_deviance", "average_precision", "daily_deviance", "precision_draws"):
        np.testing.assert_allclose(both[key], (np.array(one[key]) + two[key]) / 2)
    assert [one["seeds"], two["seeds"], both["seeds"], found[2]["rolling_climatology"]["seeds"]] == [1, 1, 2, 1]
    assert "learned from Denver" in both["unfair"]
    assert "without a card" in both["unfair"]


def test_files_of_one_city_are_put_together(tmp_path: Path) -> None:
    save_cube(city(days=60), tmp_path / "gold", "stamp")
    files = []
    for name in ("rolling_climatology", "hawkes"):
        files.append(tmp_path / f"{name}.json")
        asked = [str(tmp_path / "gold"), "--days", "7", "--days", "20", "--only", name, "--out", str(files[-1])]
        assert not CliRunner().invoke(main, asked).exit_code
    (seven, twenty) = merged(files)
    assert [*seven["forecasters"]] == [*twenty["forecasters"]] == ["rolling_climatology", "hawkes"]
    curve = tmp_path / "curve.svg"
    done = CliRunner().invoke(tables, [*map(str, files), "--curve", str(curve)])
    assert not done.exit_code, done.output
    assert done.stdout.count("rolling_climatology −") == 2
    assert "rolling_climatology" in curve.read_text()
    other = tmp_path / "other.json"
    asked = [str(tmp_path / "gold"), "--days", "7", "--only", "hawkes", "--test-days", "10", "--out", str(other)]
    assert not CliRunner().invoke(main, asked).exit_code
    refused = CliRunner().invoke(tables, [str(files[0]), str(other)])
    assert "another first" in refused.output
    assert [*merged([files[0], files[0]])[0]["forecasters"]] == ["rolling_climatology"]
    (result, _) = read_json(files[0])["results"]
    result["forecasters"]["rolling_climatology"]["daily_deviance"][0] += 1
    write_json(other, {"results": [result]})
    with pytest.raises(ConfigError, match="rolling_climatology has other figures in a file before"):
        merged([files[0], other])
