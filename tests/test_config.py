"""Configurations: those that ship, overrides, round trip, and errors that name the key."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from stforecast.config import PACKAGED, Config, dump, load, parse
from stforecast.errors import ConfigError
from stforecast.events.sources import resolve
from stforecast.forecasters.registry import forecaster_class
from stforecast.publishers import publisher

SHIPPED = sorted(
    str(path.relative_to(PACKAGED).with_suffix("")) for path in PACKAGED.rglob("*.yaml") if path.stem != "pretrain"
)
CONTRACT = {
    *("denver", "chicago", "los_angeles", "new_york", "boston", "st_louis", "quickstart"),
    *("reference/denver", "reference/chicago", "reference/synthetic"),
}


def test_every_promised_configuration_ships() -> None:
    assert set(SHIPPED) >= CONTRACT


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_configuration_loads_by_name_and_is_complete(name: str) -> None:
    config = load(name)
    assert resolve(config.source).time_zone
    for forecaster in config.evaluation.forecasters:
        assert forecaster_class(forecaster).name == forecaster


@pytest.mark.parametrize("name", SHIPPED)
def test_dump_and_load_round_trip(name: str, tmp_path: Path) -> None:
    config = load(name, ["root=/somewhere", "split.train=2024-01-01", "split.validation=2024-03-01"])
    again = reloaded(config, tmp_path)
    assert again == config
    assert resolve(again.source) == resolve(config.source)


def test_a_dumped_preset_keeps_its_own_fields(tmp_path: Path) -> None:
    config = parse({"city": "mine", "source": {"preset": "boston"}}, "test")
    assert resolve(reloaded(config, tmp_path).source) == resolve(config.source)
    own = parse({"city": "mine", "source": {"preset": "boston", "max_rejects": 0.05}}, "test")
    assert resolve(reloaded(own, tmp_path).source).max_rejects == 0.05


def reloaded(config: Config, folder: Path) -> Config:
    """What is read back of a configuration that was written."""
    (folder / "config.yaml").write_text(dump(config), encoding="utf-8")
    return load(folder / "config.yaml")


@pytest.mark.parametrize(
    ("grid", "country", "subdivision"),
    [
        (None, "US", "MA"),
        ({"subdivision": "VT"}, "US", "VT"),
        ({"country": "US"}, "US", "MA"),
        ({"country": "CA"}, "CA", None),  # a state of another country is none
        ({"country": None}, None, None),
        ({"subdivision": None}, "US", None),
    ],
)
def test_holidays_are_those_of_the_publisher_unless_told_otherwise(
    grid: dict[str, Any] | None, country: str | None, subdivision: str | None
) -> None:
    values = {"city": "mine", "source": {"preset": "boston"}} | ({"grid": grid} if grid is not None else {})
    config = parse(values, "test")
    assert (config.grid.country, config.grid.subdivision) == (country, subdivision)
    assert parse(yaml.safe_load(dump(config)), "test") == config


def test_without_a_preset_there_are_no_holidays() -> None:
    grid = parse({"city": "mine"}, "test").grid
    assert (grid.country, grid.subdivision) == (None, None)


def test_an_unknown_preset_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match=r"no preset 'gotham'\. `stforecast init --list` names all"):
        parse({"city": "mine", "source": {"preset": "gotham"}}, "test")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_city_has_the_holidays_of_its_country(name: str) -> None:
    config = load(name)
    own = {"london_city": "GB", "london_lsoa": "GB"}.get(name, "US")
    assert config.grid.country == (publisher(config.source.preset).country if config.source.preset else own)


def test_a_name_is_found_without_a_file_and_as_configs_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("denver") == load("configs/denver.yaml") == load(PACKAGED / "denver.yaml")
    (tmp_path / "denver").write_text("city: mine\n")
    assert load("denver").city == "mine"  # a file of the user's comes first


def test_overrides_are_yaml_under_dotted_keys() -> None:
    config = load(
        "denver",
        [
            "grid.resolution=9",
            "split.train=2022-01-01",
            "evaluation.forecasters=[gcrn, last_week]",
            "source.path=a=b.csv",
            "weather.path=null",
            "source.columns.occurred=[DATE]",
            "root=/data here",
        ],
    )
    assert config.grid.resolution == 9
    assert config.split.train == dt.date(2022, 1, 1)
    assert config.evaluation.forecasters == ["gcrn", "last_week"]
    assert config.source.path == "a=b.csv"
    assert config.weather.path is None
    assert config.source.columns.occurred == ["DATE"]
    assert config.root == Path("/data here")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("grid.resolution", "expected dotted.key=value"),
        ("=9", "expected dotted.key=value"),
        ("city.name=x", "city is a value, not a section"),
        ("grid.resolution={", "'grid.resolution={': cannot be read as YAML"),
        ("split.train=2023-13-01", "'split.train=2023-13-01': cannot be read as YAML: 2023-13-01 is no date"),
        ("grid.resolutoin=9", "grid.resolutoin: unknown key; did you mean grid.resolution?"),
        ("time_zone=UTC", "time_zone: unknown key; did you mean source.time_zone?"),
        ("sorce.path=x", "sorce: unknown key; did you mean source?"),
        ("grid.resolution=16", "grid.resolution"),
        ("grid.resolution=nine", "grid.resolution"),
        ("nonsense.key=1", "nonsense: unknown key. `stforecast doctor --keys` lists every key."),
        ("known_time=guessed", "known_time"),
        ("model.conv=transformer", "model.conv"),
        ("city=São Paulo", "city: use only a to z, 0 to 9 and _, for example sao_paulo (got 'São Paulo')"),
        ("split.train=0.95", "split"),
        ("seed=-1", "seed"),
    ],
)
def test_a_bad_override_is_one_line_that_names_it(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("denver", [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_reports_is_no_configuration(tmp_path: Path) -> None:
    for name in ("reports.csv", "reports.CSV.gz", "reports.xlsx"):
        (tmp_path / name).write_bytes(b"id,when\n1,2024-01-01\n")
        with pytest.raises(ConfigError, match=rf"{name}: is no configuration.*`stforecast init .*{name}`"):
            load(tmp_path / name)


def anchors(line: str, first: str) -> bytes:
    """Lines of which each stands nine times for the one before."""
    lines = [line.format(n, n, ", ".join([f"*a{n - 1}"] * 9) if n else first) for n in range(12)]
    return "\n".join([*lines, "city: a"]).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"city: [", "cannot be read as YAML"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
        (
            b"city: a\nsource:\n  first_day: 2023-02-30\n",
            "2023-02-30 is no date or number (day is out of range for month) in line 3",
        ),
        (b"city: a\nseeds: 2\nseeds: 3\n", "seeds is given twice; write it once in line 3"),
        (b"- a\n- b\n", "expected `key: value` lines"),
        (b"", "expected `key: value` lines"),
        (b"seed: 1\n", "city: Field required"),
        (b"city: " + b"[" * 5000 + b"]" * 5000, "values are nested more than 50 deep in line 1"),
        ("".join(" " * depth + "a:\n" for depth in range(1000)).encode(), "values are nested more than 50 deep"),
        (b"city: a\n? [1, 2]\n: 3\n", "a list or section stands as a key; write a word in line 2"),
        (b"city: a\n? {b: 1}\n: 3\n", "a list or section stands as a key; write a word in line 2"),
        (anchors("a{}: &a{} [{}]", "1, 1"), "anchors stand for more than 100,000 values"),
        (anchors("a{}: &a{} {{<<: [{}]}}", "{x: 1}"), "anchors stand for more than 100,000 values"),
        (b"city: &a [*a]\n", "an anchor stands within itself"),
        (b"city: a\nseed: " + b"9" * 5000, "99999999 is no date or number"),
        (b"city: a\nnote: " + b"y" * (1 << 20), "more than 1,048,576 letters"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"gotham: no such configuration.*denver.*reference/synthetic"):
        load("gotham")


def test_values_cannot_change() -> None:
    with pytest.raises(ValidationError):
        load("denver").seed = 1  # type: ignore[misc]


def test_every_key_has_a_description() -> None:
    seen: set[type[BaseModel]] = set()

    def walk(model: type[BaseModel]) -> None:
        seen.add(model)
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                walk(field.annotation)

    walk(Config)
    assert len(seen) >= 9


def test_dump_is_plain_yaml_with_every_default_but_those_of_a_preset() -> None:
    config = parse({"city": "mine", "split": {"train": dt.date(2024, 1, 1)}, "source": {"preset": "boston"}}, "test")
    plain = yaml.safe_load(dump(config))
    assert (plain["split"]["train"], plain["training"]["max_epochs"]) == ("2024-01-01", config.training.max_epochs)
    assert plain["source"] == {"preset": "boston"}


def test_data_lies_below_the_root_and_other_inputs_as_given(tmp_path: Path) -> None:
    config = parse({"city": "here", "root": str(tmp_path)}, "test")
    assert config.input("data/here/bronze/weather.csv") == str(tmp_path / "data/here/bronze/weather.csv")
    assert config.input("weather.csv") == "weather.csv"
    assert config.input("/elsewhere/data/weather.csv") == "/elsewhere/data/weather.csv"
