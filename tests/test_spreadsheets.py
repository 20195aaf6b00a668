"""What a spreadsheet would run is text."""

import pandas as pd
import pytest

from stforecast.spreadsheets import harmless_table


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1"])
def test_cells_and_headers_are_harmless(text):
    table = harmless_table(pd.DataFrame({text: [text, "plain", None, -1.5], "plain": 1}))
    assert list(table.columns) == [f"'{text}", "plain"]
    assert table.iloc[:2, 0].tolist() == [f"'{text}", "plain"]
    assert table.iloc[3, 0] == -1.5
