"""Columns of text, against one text after the other."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stforecast.events.parsing.text_columns import hash_texts, is_empty, strip, to_arrow, to_numbers

decimals = st.decimals(-1000, 1000, places=5).map(lambda number: f"{number:f}")


@given(st.lists(decimals, min_size=1), st.booleans())
def test_decimal_commas_are_points(texts, some_points):
    commas = [text.replace(".", ",") for text in texts]
    written = texts + commas if some_points else commas
    assert to_numbers(to_arrow(written)).tolist() == [float(text.replace(",", ".")) for text in written]


@pytest.mark.parametrize("text", ["", "x", "1,000,000", "1,000.5", ",5", "5,", "38, 7", "1,e5"])
def test_what_is_no_number(text):
    assert np.isnan(to_numbers(to_arrow([text, "1,5"]))).tolist() == [True, False]


texts = st.lists(st.sampled_from(["", "NULL", "n/a", "(null)", "7.0", "x"]) | st.text(max_size=20), max_size=12)


def alone(text: str, key: bool) -> str:
    text = pc.utf8_trim_whitespace(pa.scalar(text)).as_py()
    if text.lower() in ("na", "n/a", "nan", "nat", "null", "(null)", "none", "<na>"):
        return ""
    return text.removesuffix(".0") if key else text


@given(texts, st.booleans(), st.integers(0, 3))
def test_a_column_is_stripped_as_its_texts_alone(column, key, begin):
    found = strip(to_arrow(column)[begin:], key)
    assert found.to_pylist() == [alone(text, key) for text in column[begin:]]
    assert is_empty(found).tolist() == [alone(text, key) == "" for text in column[begin:]]


@given(st.lists(st.none() | st.text("ab\0é", max_size=18), max_size=30), st.integers(0, 3), st.integers(0, 2))
def test_equal_hashes_are_those_of_equal_texts(column, begin, key):
    found = hash_texts(pa.array(column, pa.string())[begin:], key).tolist()
    assert len(set(zip(found, column[begin:], strict=True))) == len(set(found)) == len(set(column[begin:]))
