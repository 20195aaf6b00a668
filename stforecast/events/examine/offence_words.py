"""Offences and names of columns by their words, which `words.yaml` holds in five languages."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from stforecast.config.yamls import values_of
from stforecast.events.parsing.dates import normalise

GROUPS = ("person", "vehicle", "property")
LEFT_OUT = "left out"
_FILE = Path(__file__).with_name("words.yaml")
_WORDS = values_of(_FILE.read_text(encoding="utf-8"), str(_FILE))


@lru_cache(maxsize=65536)
def offence_group(offence: str) -> str | None:
    """The group of `GROUPS` that an offence's words tell, `LEFT_OUT`, or None where they tell nothing."""
    return _told(_plain(offence), "offences", "group")


def offence_kind(offence: str) -> str | None:
    """The harmonised kind that the words of an offence, or of a pattern of offences, tell; None where they tell none.

    Args:
        offence: words with blanks, or CamelCase as names of columns are.
    """
    return _told(_plain(_spaced(offence)), "kinds", "kind")


def _told(text: str, rules: str, value: str) -> str | None:
    for rule in _WORDS[rules]:
        unless = "unless" in rule and _pattern(rule["unless"]).search(text)
        if not unless and all(_pattern(" ".join(words)).search(text) for words in rule["words"]):
            return str(rule[value])
    return None


def sexual_categories(offences: Iterable[Mapping[str, Any]]) -> set[str]:
    """The categories of sexual offences, by their names or by half of their rows.

    Args:
        offences: those of a record, as ingest.json has them: offence, category and rows of each.
    """
    words, rows, sexual = _pattern(_WORDS["sexual"]), Counter[str](), Counter[str]()
    for one in offences:
        if (category := one["category"]) is not None:
            rows[category] += one["rows"]
            told = words.search(_plain(one["offence"])) or words.search(_plain(category))
            sexual[category] += one["rows"] if told else 0
    return {category for category in rows if 2 * sexual[category] >= rows[category]}


@lru_cache(maxsize=4096)
def has_word_for(column: str, role: str) -> bool:
    """Whether the name of a column has a word for a role, such as `occurred`."""
    return bool(_pattern(_WORDS["columns"][role]).search(_plain(_spaced(column))))


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _plain(text: str) -> str:
    return " ".join(re.split("[^a-z0-9]+", normalise(text)))


@lru_cache(maxsize=64)
def _pattern(words: str) -> re.Pattern[str]:
    each = (word.replace("*", "[a-z0-9]*").replace("_", " ") for word in words.split())
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(each)})(?![a-z0-9])")
