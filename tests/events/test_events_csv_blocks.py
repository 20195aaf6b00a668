"""Whole blocks through Arrow agree with the careful parser, record by record, whatever the text."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.events.readers.csv_blocks import CsvLayout, _by_line, parse_block

LAYOUT = CsvLayout(["a", "b", "c"], ",", {"occurred": 0, "offence": 2, "latitude": 1})
normalise_name = st.text(alphabet="abc7 é", max_size=4)
dirty = st.text(alphabet='ab",\n\r\t\x00\ufeff ', max_size=5)
quoted = st.text(alphabet='ab,\n "', max_size=5).map(lambda text: '"' + text.replace('"', '""') + '"')
records = st.lists(st.one_of(normalise_name, normalise_name, dirty, quoted), min_size=1, max_size=4).map(",".join)
well = st.lists(st.one_of(normalise_name, st.just('"x, y"')), min_size=3, max_size=3).map(",".join)
line = st.one_of(well, well, well, records, st.sampled_from(["", " ", "a,b,c", "\ufeffa,b,c", '"open,b,c', 'a,"b"x,c']))
files = st.tuples(st.lists(line, max_size=12), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\n", "\r"])).map(
    lambda parts: parts[1].join(parts[0]) + parts[2]
)


def whole(text: str, size: int, way, layout: CsvLayout = LAYOUT):
    """Parse a file of `size` lines at a time, as `read` does."""
    lines, rest, first, out = list(io.StringIO(text, newline="")), b"", 2, []
    while True:
        more, lines = lines[:size], lines[size:]
        block = rest + "".join(more).encode()
        table = way(block, layout, first, not more)
        broken = {number: (reason, shown) for number, reason, shown in table.broken}
        texts = [table.texts[field].to_pylist() for field in layout.found]
        for number, *cells in zip(table.lines.tolist(), *texts, strict=True):
            out.append((number, cells, broken.get(number)))
        if not more:
            return out
        rest = block[table.used :]
        first += table.passed


@given(files, st.integers(1, 12))
@settings(max_examples=400, deadline=None)
def test_any_text_in_any_blocks_reads_as_line_by_line(text, size):
    expected = whole(text, 10**6, _by_line)
    assert whole(text, 10**6, parse_block) == expected
    assert whole(text, size, parse_block) == expected


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters(delimiter):
    layout = CsvLayout(["a", "b", "c"], delimiter, LAYOUT.found)
    text = '1,2,"3,x"\n,,\n4,5\n"a",b,c\n7,"8\n9",0\n6,7,8'.replace(",", delimiter)
    assert whole(text, 100, parse_block, layout) == whole(text, 100, _by_line, layout)


def test_a_field_beyond_the_limit_is_broken_in_both():
    text = "1,2,3\n4," + "x" * 140_000 + ",6\n7,8,9\n"
    found = whole(text, 100, parse_block)
    assert found == whole(text, 100, _by_line)
    assert [problem is None for _, _, problem in found] == [True, False, True]
