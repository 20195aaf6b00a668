"""Sums over equal cells, against pandas."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from stforecast.cube.cells import add_up, spread

small, large = st.integers(0, 3), st.sampled_from([0, 1, 2**30])
rows = st.lists(st.tuples(large, large, large, small, small | large, st.integers(1, 3)), max_size=30)


@given(rows, st.booleans())
def test_equal_cells_are_summed_in_order(rows, spans):
    """Also where the numbers are so large that those of pairs of pairs would not fit in 64 bits."""
    names = ["known_hour", "hour", "hexagon", "category", "until_hour", "weight"]
    frame = pd.DataFrame(rows, columns=names, dtype=np.int64)
    keys = names[: 4 + spans]
    expected = frame.groupby(keys, as_index=False)["weight"].sum()
    given = ["hour", "hexagon", "category", "known_hour", "weight", *keys[4:]]
    found = add_up(*(frame[name].to_numpy() for name in given))
    assert {name: values.tolist() for name, values in found.items()} == expected.to_dict("list")


def test_spans_are_shared_out_up_to_the_end_of_the_axis():
    event, step, share = spread(np.array([3, 8, 9]), np.array([3, 11, 10]), steps=10)
    assert event.tolist() == [0, 1, 1, 2]
    assert step.tolist() == [3, 8, 9, 9]
    assert share.tolist() == [1, 0.25, 0.25, 0.5]
