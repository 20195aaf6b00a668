"""What the page says in each language: the same texts, all of them used, and none beside them."""

import re

import pytest
from test_webmap import in_node

from stforecast.delivery.rates import CAUTION
from stforecast.delivery.riskgrid import NOTICE
from stforecast.delivery.webmap import page
from stforecast.delivery.words import WARNINGS

LANGUAGES = ("en", "es")
OURS = [
    name for name in page() if name.endswith(".js") and name not in ("leaflet.js", *(f"{one}.js" for one in LANGUAGES))
]


def texts() -> dict[str, dict[str, list[str]]]:
    """Of each language every text as its forms, one where it has no others."""
    return in_node(
        "Object.fromEntries(Object.entries(TEXTS).map(([name, all]) => [name, Object.fromEntries(Object.entries(all)"
        ".map(([key, said]) => [key, typeof said === 'string' ? [said] : Object.values(said)]))]))",
        None,
    )


def code() -> str:
    return "\n".join(page()[name].decode() for name in OURS)


def names_in(forms: list[str]) -> set[str]:
    return {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}


def test_languages_have_the_same_texts_with_the_same_values() -> None:
    english, *others = (texts()[name] for name in LANGUAGES)
    for other in others:
        assert list(other) == list(english)
        assert {key: names_in(other[key]) for key in english} == {key: names_in(english[key]) for key in english}


def test_every_text_is_used_and_none_is_missing() -> None:
    known, html = {*texts()["en"]}, page()["page.html"].decode()
    fixed = {*re.findall(r'data-(?:text|label|title|placeholder)="(\w+)"', html)}
    quoted = {*re.findall(r'"(\w+)"', code())}
    begins = {*re.findall(r"`(\w+_)\$\{", code())} | {f"{prefix}_" for prefix in re.findall(r'named\("(\w+)"', code())}
    made = {key for key in known if key.startswith(tuple(begins)) or re.sub("_(hour|day|month)$", "", key) in quoted}
    assert known - fixed - quoted - made == set()
    assert fixed - known == set()
    assert {*re.findall(r'\btext\("(\w+)"', code())} - known == set()


def test_no_words_stand_in_the_code_or_the_page() -> None:
    said = re.sub(r"^\s*(/\*\*?[\s\S]*?\*/|//.*)|\s//.*$", "", code(), flags=re.MULTILINE)
    strings = re.findall(r'"((?:[^"\\\n]|\\.)*)"', said)
    parts = [re.sub(r"\$\{[^}]*\}+", "", one) for one in re.findall(r"`([^`]*)`", said)]
    words = {one for one in strings + parts if re.search(r"[A-Za-z]{2,} [a-z]{2,}", one)}
    words -= {"use strict", "system-ui, sans-serif", "bold px sans-serif", "move zoomend"}
    assert words == set()
    html = re.sub(r"<(noscript|title)>.*?</\1>", "", page()["page.html"].decode())
    assert not [one for one in re.findall(r">([^<>]+)<", html) if re.search(r"[A-Za-z]{2}", one)]


def test_notices_are_those_of_files_and_pictures() -> None:
    english = texts()["en"]
    assert english["notice"] == [NOTICE]
    assert {name: english[f"warning_{name}"] for name in WARNINGS} == {name: [said] for name, said in WARNINGS.items()}
    assert english["about_residents"] == [CAUTION]


@pytest.mark.parametrize(
    ("language", "value", "digits", "area"),
    [("en", 1234.5, "1,200", "1,230 km²"), ("es", 1234.5, "1200", "1230 km²"), ("es", 0.0123, "0,012", "0,0123 km²")],
)
def test_numbers_are_those_of_the_language(language: str, value: float, digits: str, area: str) -> None:
    assert in_node(f"(language = '{language}', [digits(given), areaText(given)])", value) == [digits, area]


def test_miles_are_square_miles_of_areas() -> None:
    assert in_node("(measures.units = 'mi', [areaText(2.589988110336), inKm2(inUnit(7))])", None) == ["1.00 sq mi", 7]
