"""The files of `stforecast/publishers`, one a built-in publisher, as plain values.

A configuration reads two defaults from them (whose public holidays count); `stforecast.publishers` holds them to a
model.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from stforecast.config.yamls import values_of
from stforecast.errors import ConfigError

FOLDER = Path(__file__).parents[1] / "publishers"
PRESETS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
"""Names of the built-in publishers."""
LISTED = "`stforecast init --list` names all that are known."


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
            f"source.preset: no preset {preset!r}.{_meant(preset)} {LISTED} For any other publisher leave it out and "
            "give source.columns, source.time_zone and source.categories."
        )
    file = FOLDER / f"{preset}.yaml"
    return values_of(file.read_text(encoding="utf-8"), str(file))


def preset_of_city(city: str) -> str:
    """The publisher of a city by its name as people type it: "new york", "St. Louis", "Portland, OR".

    Raises:
        ConfigError: there is none, or several share the name.
    """
    found = [preset for preset in PRESETS if _words(city) in _names(preset)]
    if len(found) > 1:
        titles = " or ".join(repr(str(preset_values(preset)["title"])) for preset in found)
        raise ConfigError(f"{city}: several are called so. Write {titles}.")
    if not found:
        raise ConfigError(
            f"{city}: neither a file nor a city whose publisher is known.{_meant(city)} {LISTED} For any other city: "
            "`stforecast init FILE`, or `stforecast init --url ADDRESS`."
        )
    return found[0]


def _meant(text: str) -> str:
    """The presets that a misspelt name may mean, as a sentence behind a blank."""
    names = {name: preset for preset in PRESETS for name in _names(preset)}
    city = _words(text.partition(",")[0])
    near = difflib.get_close_matches(city, names, 6, 0.8)
    near += [name for name in names if len(city) > 2 and name.startswith(city)]
    meant = list(dict.fromkeys(names[name] for name in near))[:3]
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


@cache
def _names(preset: str) -> frozenset[str]:
    """What a city may be called: its name, alone or with its state."""
    values = preset_values(preset)
    city, _, state = (_words(part) for part in str(values["title"]).partition(","))
    cities = {city, _words(preset)}
    states = {state, _words(str(values.get("subdivision") or ""))} - {""}
    return frozenset(cities | {f"{name} {place}" for name in cities for place in states})


def _words(text: str) -> str:
    """A name in small letters without accents and punctuation."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub("[^a-z0-9]+", " ", plain.replace(".", "")).split()
    return " ".join("st" if word == "saint" else word for word in words)
