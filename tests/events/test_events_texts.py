"""Texts as numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stforecast.events.texts import as_array, numbers_of

decimals = st.decimals(-1000, 1000, places=5).map(lambda number: f"{number:f}")


@given(st.lists(decimals, min_size=1), st.booleans())
def test_decimal_commas_are_points(texts, some_points):
    commas = [text.replace(".", ",") for text in texts]
    written = texts + commas if some_points else commas
    assert numbers_of(as_array(written)).tolist() == [float(text.replace(",", ".")) for text in written]


@pytest.mark.parametrize("text", ["", "x", "1,000,000", "1,000.5", ",5", "5,", "38, 7", "1,e5"])
def test_what_is_no_number(text):
    assert np.isnan(numbers_of(as_array([text, "1,5"]))).tolist() == [True, False]
