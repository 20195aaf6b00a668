"""Offences and names of columns by their words, which `words.yaml` holds in five languages."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from stforecast.config.yamls import values_of
from stforecast.events.parsing.dates import normalise

GROUPS = ("person", "vehicle", "property")
LEFT_OUT = "left out"
_FILE = Path(__file__).with_name("words.yaml")
_WORDS = values_of(_FILE.read_text(encoding="utf-8"), str(_FILE))


@lru_cache(maxsize=65536)
def offence_group(offence: str) -> str | None:
    """The group of `GROUPS` that an offence's words tell, `LEFT_OUT`, or None where they tell nothing."""
    text = _plain(offence)
    for rule in _WORDS["offences"]:
        unless = "unless" in rule and _pattern(rule["unless"]).search(text)
        if not unless and all(_pattern(" ".join(words)).search(text) for words in rule["words"]):
            return str(rule["group"])
    return None


@lru_cache(maxsize=4096)
def has_word_for(column: str, role: str) -> bool:
    """Whether the name of a column has a word for a role, such as `occurred`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return bool(_pattern(_WORDS["columns"][role]).search(_plain(spaced)))


def _plain(text: str) -> str:
    return " ".join(re.split("[^a-z0-9]+", normalise(text)))


@lru_cache(maxsize=64)
def _pattern(words: str) -> re.Pattern[str]:
    each = (word.replace("*", "[a-z0-9]*").replace("_", " ") for word in words.split())
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(each)})(?![a-z0-9])")
