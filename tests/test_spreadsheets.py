"""What a spreadsheet would run is text."""

import pandas as pd
import pytest

from stforecast.spreadsheets import to_csv


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1"])
def test_cells_and_headers_are_harmless(text):
    written = to_csv(pd.DataFrame({text: [text, "plain", None, -1.5], "plain": 1}))
    assert written.replace('"', "") == f"'{text},plain\n'{text},1\nplain,1\n,1\n-1.5,1\n"
