"""The configuration of a city: frozen models that forbid unknown keys, read from YAML plus dotted overrides.

`load("configs/denver.yaml", ["grid.resolution=9"])` gives a `Config`. A name without a file
(`denver`) is looked up among the configurations that ship with the package. Every field carries
a description; `stforecast doctor --keys` prints them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from stforecast.errors import ConfigError
from stforecast.sections import (
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

PACKAGED = Path(__file__).parent / "configs"
if not PACKAGED.is_dir():  # an editable install keeps them beside the package
    PACKAGED = Path(__file__).parent.parent / "configs"


class Config(Section):
    """Everything that a run depends on."""

    city: str = Field(pattern=r"^[a-z0-9_]+$", description="name used in paths")
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
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: cannot be read as YAML: {' '.join(str(error).split())}") from error
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
        lines = [
            f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']} (got {e['input']!r:.60})" for e in error.errors()
        ]
        raise ConfigError(f"{origin}: {'; '.join(lines)}. `stforecast doctor --keys` lists every key.") from error


def dump(config: Config) -> str:
    """The configuration as YAML that `load` reads back to an equal object."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


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
    try:
        node[leaf] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r}: the value is not YAML.") from error
