"""How many reports a row stands for: the text of a count → a whole number, or what is wrong with it.

A count is digits, perhaps with a sign, with the .0 of a spreadsheet, or in groups of three between commas, apostrophes
or blanks (`1,234`). A point may be that of a fraction, so `1.234` is none; and neither is what publishers write where
they hide a small number (`<5`, `c`, `*`, `-`). A blank says nothing: it is not taken for zero.
"""

import re

import numpy as np
import pyarrow as pa

from stforecast.events import outcomes
from stforecast.events.parsing.text_columns import factorize

LARGEST = 100_000
"""Reports that one row may stand for: more are a total or a number of something else."""
_WHOLE = re.compile(r"([+-]?[0-9]{1,18})(?:\.0{1,2})?")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[, '’\u00a0\u202f][0-9]{3})+")
_SEPARATORS = re.compile(r"[, '’\u00a0\u202f]")


def parse_count(text: str) -> tuple[int, str]:
    """The number in a text, 0 where there is none, and what is wrong with it ("": nothing)."""
    text = text.replace("\u2212", "-")
    if not text:
        return 0, outcomes.NO_COUNT
    if _GROUPED.fullmatch(text):
        text = _SEPARATORS.sub("", text)
    if not (found := _WHOLE.fullmatch(text)):
        return 0, outcomes.UNREADABLE_COUNT
    number = int(found[1])
    if number < 0:
        return number, outcomes.COUNT_BELOW_ZERO
    return (number, "") if number <= LARGEST else (0, outcomes.COUNT_TOO_LARGE)


def parse_counts(texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of texts [r] the numbers, what is wrong with them, and which are written in groups of three."""
    which, distinct = factorize(texts)
    read = [parse_count(text) for text in distinct.to_pylist()]
    numbers, wrong = np.array([number for number, _ in read], np.int64), np.array([fault for _, fault in read], object)
    grouped = np.array([_GROUPED.fullmatch(text) is not None for text in distinct.to_pylist()], bool)
    return numbers[which], wrong[which], grouped[which]
