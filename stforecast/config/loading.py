"""Reading a configuration: YAML plus dotted overrides, and errors that name the key.

`load("configs/denver.yaml", ["grid.resolution=9"])` gives a `Config`. A name without a file (`denver`) is looked up
among the configurations that ship with the package.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from stforecast.config.city import Config
from stforecast.config.pretraining import Pretraining
from stforecast.config.yamls import LONGEST, values_of
from stforecast.errors import ConfigError

PACKAGED = Path(__file__).parents[1] / "configs"
if not PACKAGED.is_dir():  # an editable install keeps them beside the package
    PACKAGED = Path(__file__).parents[2] / "configs"

Read = TypeVar("Read", bound=BaseModel)
TOP = ("seed", "seeds")
"""Keys outside the sections that every forecaster takes."""
TABLES = {".csv", ".tsv", ".xlsx", ".geojson", ".parquet", ".gpkg", ".shp", ".zip", ".gz", ".xz", ".bz2", ".tar"}
"""Endings of files of reports."""


def load(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read a configuration and apply overrides.

    Args:
        path: a YAML file, or the name of a configuration that ships with the package.
        overrides: `dotted.key=value`, the value in YAML.

    Raises:
        ConfigError: the file is absent or not YAML, a key is unknown, or a value is not allowed.
    """
    return parse(*_read(path, overrides))


def load_pretraining(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Pretraining:
    """Read how weights are learned, as `load` reads a city."""
    return _validated(Pretraining, *_read(path, overrides))


def _read(path: str | Path, overrides: list[str] | tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """The values of a file with overrides, and the file."""
    file = _find(Path(path))
    if file.suffix.lower() in TABLES:
        raise ConfigError(f"{file}: is no configuration. For a file of reports `stforecast init {file}` writes one.")
    try:
        with file.open(encoding="utf-8") as handle:
            text = handle.read(LONGEST + 1)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: cannot be read as YAML: {error}. Save it as UTF-8.") from error
    values = values_of(text, str(file))
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: expected `key: value` lines, found {type(values).__name__}.")
    for override in overrides:
        _apply(values, override)
    return values, str(file)


def parse(values: dict[str, Any], origin: str) -> Config:
    """Validate plain values.

    Args:
        origin: names the values in the error.

    Raises:
        ConfigError: a key is unknown or missing, or a value is not allowed.
    """
    return _validated(Config, values, origin)


def _validated(model: type[Read], values: dict[str, Any], origin: str) -> Read:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_problem(model, e["type"], e["loc"], e["msg"], e["input"]) for e in error.errors())
        stop = "" if problems.endswith("?") else "."
        raise ConfigError(f"{origin}: {problems}{stop} `stforecast doctor --keys` lists every key.") from error


def with_settings(config: Config | None, owner: str, sections: tuple[str, ...], settings: dict[str, Any]) -> Config:
    """A configuration with some values changed.

    Args:
        config: the base; default the package's defaults with one seed.
        owner: who takes the settings, for the error.
        sections: sections whose keys are taken.
        settings: values by key.

    Raises:
        ConfigError: a key is unknown, or a value is not allowed.
    """
    if config is not None and not settings:
        return config
    values: dict[str, Any] = config.model_dump(exclude_unset=True) if config else {"city": "unnamed", "seeds": 1}
    fields = Config.model_fields
    keys = {key: name for name in sections for key in fields[name].annotation.model_fields}  # type: ignore[union-attr]
    for key, value in settings.items():
        if key in TOP:
            values[key] = value
        elif key in keys:
            values[keys[key]] = {**values.get(keys[key], {}), key: value}
        else:
            raise ConfigError(f"{owner}: no setting {key!r}. Known: {', '.join([*TOP, *keys])}.")
    return parse(values, owner)


def dump(config: Config) -> str:
    """The configuration as YAML that `load` reads back to an equal object.

    Of `source` only what was set: a default written out would win over the preset's.
    """
    values = config.model_dump(mode="json")
    values["source"] = config.source.model_dump(mode="json", exclude_unset=True)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def fields(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """Dotted key, default and description of every field, section by section."""
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation) if isinstance(field.annotation, UnionType) else (field.annotation,)
        section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if section:
            yield from fields(section, f"{prefix}{name}.")
            continue
        default = "(required)" if field.default is PydanticUndefined else field.default
        yield f"{prefix}{name}", default, " ".join((field.description or "").split())
        if get_origin(field.annotation) is dict:
            for kind in _models(field.annotation):
                yield from fields(kind, f"{prefix}{name}.<name>.")


def _models(annotation: object) -> list[type[BaseModel]]:
    """The sections that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _problem(model: type[BaseModel], kind: str, place: tuple[str | int, ...], message: str, value: object) -> str:
    """What is wrong with a value, and which key an unknown one is likely to mean."""
    union_tags = ("names", "parts", "flags", "of cells", "of series", "of calendar")
    key = ".".join(str(name) for name in place if name not in union_tags) or "config"
    if not place:  # of several keys, which the message names
        return message.removeprefix("Value error, ")
    if kind != "extra_forbidden":
        return f"{key}: {message.removeprefix('Value error, ')} (got {value!r:.60})"
    near = difflib.get_close_matches(key, [*(name for name, _, _ in fields(model)), *model.model_fields], 1)
    return f"{key}: unknown key" + (f"; did you mean {near[0]}?" if near else "")


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
