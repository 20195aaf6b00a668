"""The configuration of a city: frozen models that forbid unknown keys, read from YAML plus dotted overrides.

`load("configs/denver.yaml", ["grid.resolution=9"])` gives a `Config`. A name without a file
(`denver`) is looked up among the configurations that ship with the package. Every field carries
a description; `stforecast doctor --keys` prints them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticUndefined

from stforecast.config.sections import (
    Analysis,
    Backtest,
    Evaluation,
    Grid,
    Model,
    Section,
    Service,
    Source,
    Split,
    Synthetic,
    Training,
    Trees,
    Weather,
)
from stforecast.config.yamls import text_of, values_of
from stforecast.errors import ConfigError
from stforecast.publishers import publisher

PACKAGED = Path(__file__).parents[1] / "configs"
if not PACKAGED.is_dir():  # an editable install keeps them beside the package
    PACKAGED = Path(__file__).parents[2] / "configs"


class Config(Section):
    """Everything that a run depends on."""

    city: str = Field(description="name used in paths")
    root: Path = Field(Path("."), description="folder that holds data/ and checkpoints/")
    seed: int = Field(0, ge=0, description="seed of everything random")
    seeds: int = Field(
        3, ge=1, description="fits of different seeds whose forecasts are averaged, where fits differ by seed"
    )
    known_time: Literal["reported", "occurred"] = Field(
        "reported", description="when an event counts as known; publishers without report time: occurrence + embargo"
    )
    embargo_hours: int = Field(
        0, ge=0, description="hours after an occurrence before which no report of it can be known"
    )
    issue_hour: int | None = Field(
        None, ge=0, le=23, description="UTC hour of daily issue times; default local midnight in winter"
    )
    source: Source = Field(Source(), description="offence reports")
    grid: Grid = Field(Grid(), description="hexagons and calendar")
    weather: Weather = Field(Weather(), description="weather channels")
    split: Split = Field(Split(), description="time-ordered slices")
    model: Model = Field(Model(), description="network")
    training: Training = Field(Training(), description="fitting")
    trees: Trees = Field(Trees(), description="tree ensembles")
    evaluation: Evaluation = Field(Evaluation(), description="comparison")
    backtest: Backtest = Field(Backtest(), description="rolling origin")
    analysis: Analysis = Field(Analysis(), description="page about the record")
    service: Service = Field(Service(), description="store and service")

    @field_validator("city")
    @classmethod
    def _plain(cls, city: str) -> str:
        if not re.fullmatch("[a-z0-9_]+", city):
            raise ValueError("use only a to z, 0 to 9 and _, for example sao_paulo")
        return city

    @model_validator(mode="before")
    @classmethod
    def _holidays(cls, values: Any) -> Any:
        """Write where a preset's publisher is into the values, so that what is built from it shows in the
        configuration."""
        source, grid = values.get("source"), values.get("grid", {})
        if not (isinstance(source, dict) and isinstance(source.get("preset"), str) and isinstance(grid, dict)):
            return values
        where = publisher(source["preset"])
        place = {"country": where.country, "subdivision": where.subdivision}
        if grid.get("country", where.country) != where.country:
            del place["subdivision"]  # of another country
        return values | {"grid": place | grid}

    def input(self, path: str) -> str:
        """A configured input file: `data/…` lies below the root, any other path is as given."""
        return str(self.root / path) if Path(path).parts[:1] == ("data",) else path

    synthetic: Synthetic | None = Field(None, description="simulated city that writes the bronze files")


def load(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read a configuration and apply `dotted.key=value` overrides (values are YAML).

    Raises:
        ConfigError: the file is absent or not YAML, a key is unknown, or a value is not allowed.
    """
    file = _find(Path(path))
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: cannot be read as YAML: {error}. Save it as UTF-8.") from error
    values = values_of(text, str(file))
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: expected `key: value` lines, found {type(values).__name__}.")
    for override in overrides:
        _apply(values, override)
    return parse(values, str(file))


def parse(values: dict[str, Any], origin: str) -> Config:
    """Validate plain values; `origin` names them in the error."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        said = "; ".join(_wrong(e["type"], e["loc"], e["msg"], e["input"]) for e in error.errors())
        stop = "" if said.endswith("?") else "."
        raise ConfigError(f"{origin}: {said}{stop} `stforecast doctor --keys` lists every key.") from error


def dump(config: Config) -> str:
    """The configuration as YAML that `load` reads back to an equal object.

    Of `source` only what was set: a default written out would win over the preset's.
    """
    values = config.model_dump(mode="json")
    values["source"] = config.source.model_dump(mode="json", exclude_unset=True)
    return text_of(values)


def fields(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """Dotted key, default and description of every field."""
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation) if isinstance(field.annotation, UnionType) else (field.annotation,)
        section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if section:
            yield from fields(section, f"{prefix}{name}.")
        else:
            default = "(required)" if field.default is PydanticUndefined else field.default
            yield f"{prefix}{name}", default, field.description or ""


def _wrong(kind: str, place: tuple[str | int, ...], message: str, given: object) -> str:
    """What is wrong with a value, and which key an unknown one is likely to mean."""
    key = (
        ".".join(str(name) for name in place if name not in ("names", "parts", "flags")) or "config"
    )  # which kind of union
    if kind != "extra_forbidden":
        return f"{key}: {message.removeprefix('Value error, ')} (got {given!r:.60})"
    near = _near(key)
    return f"{key}: unknown key; did you mean {near}?" if near else f"{key}: unknown key"


def _near(key: str) -> str | None:
    """The known key whose name is most like that of an unknown one, in its own section if there is one."""
    section, _, name = key.rpartition(".")
    leaves = [known for known, _, _ in fields()]
    known = [*leaves, *dict.fromkeys(leaf.partition(".")[0] for leaf in leaves)]
    for keys in ([k for k in known if k.rpartition(".")[0] == section], known):
        names = [k.rpartition(".")[2] for k in keys]
        if near := difflib.get_close_matches(name, names, 1):
            return keys[names.index(near[0])]
    return None


def _find(path: Path) -> Path:
    candidates = [path, PACKAGED / path, PACKAGED / f"{path}.yaml"]
    if path.parts[:1] == ("configs",):
        candidates.append(PACKAGED.joinpath(*path.parts[1:]))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = sorted(str(p.relative_to(PACKAGED).with_suffix("")) for p in PACKAGED.rglob("*.yaml"))
    raise ConfigError(f"{path}: no such configuration. Give a YAML file or one of: {', '.join(known)}.")


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override!r}: expected dotted.key=value, for example grid.resolution=9.")
    *parents, leaf = key.split(".")
    node = values
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"{override!r}: {parent} is a value, not a section.")
        node = child
    node[leaf] = values_of(text, repr(override))
