"""Settings by keyword, as constructors of forecasters take them."""

from __future__ import annotations

from typing import Any

from stforecast.config.city import Config
from stforecast.config.loading import parse
from stforecast.errors import ConfigError

TOP = ("seed", "seeds")
"""Keys outside the sections that every forecaster takes."""


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
