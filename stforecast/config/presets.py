"""The files of `stforecast/publishers`, one a built-in publisher, as plain values.

A configuration reads two defaults from them (whose public holidays count); `stforecast.publishers` holds them to a
model.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from stforecast.config.yamls import values_of
from stforecast.errors import ConfigError

FOLDER = Path(__file__).parents[1] / "publishers"
PRESETS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
"""Names of the built-in formats."""


@cache
def preset_values(preset: str) -> Any:
    """What the file of a built-in publisher says.

    Args:
        preset: the name of the file.

    Raises:
        ConfigError: there is no such file, or it is not YAML.
    """
    if preset not in PRESETS:
        raise ConfigError(
            f"source.preset: no preset {preset!r}. Known: {', '.join(PRESETS)}. For any other publisher leave it "
            "out and give source.columns, source.time_zone and source.categories."
        )
    file = FOLDER / f"{preset}.yaml"
    return values_of(file.read_text(encoding="utf-8"), str(file))
