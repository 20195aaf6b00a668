"""Tables of counts by area, period and offence, long and wide: a count of n is n events, and nothing unread is a 0."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_files import xlsx

from stforecast.config import Config, parse
from stforecast.config.sections import Columns
from stforecast.errors import ConfigError, DataError
from stforecast.events import outcomes
from stforecast.events.counts import LARGEST, parse_count
from stforecast.events.ingest import ingest
from stforecast.events.readers.periods import is_period, period_columns
from stforecast.events.readers.read_file import read

NOW = pd.Timestamp("2026-11-01", tz="UTC")
PLAIN = {"area": ["code"], "offence": ["kind"]}
WIDE = PLAIN | {"occurred": {"periods": ["*"]}}
LONG = PLAIN | {"occurred": ["month"], "count": ["count"]}
MONTHS = ["202403", "202404", "202405", "202406"]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def city(columns, step="month", path="counts.csv", **source) -> Config:
    section = {"columns": columns, "time_zone": "Europe/London", "other": "any", "path": path, **source}
    grid = {"cells": "polygons", "polygons": "areas.geojson", "polygon_key": "code"}
    return parse({"city": "town", "time": {"step": step}, "source": section, "grid": grid}, "test")


def wide(cells, months=MONTHS, path="counts.csv"):
    """A row an area and kind, the counts beside it."""
    frame = pd.DataFrame(cells, columns=months, dtype=object)
    frame.insert(0, "code", [f"E{row:08d}" for row in range(len(frame))])
    frame.insert(1, "kind", "Theft")
    frame.to_csv(path, index=False)
    return frame


def counted(events):
    """Events by area and month."""
    frame = events.frame
    month = frame["occurred_at"].dt.tz_convert("Europe/London").dt.strftime("%Y%m")
    return frame.groupby([frame["area"], month]).size().to_dict()


NUMBERS = np.array([[0, 3, 1, 0], [2, 0, 5, 1], [12, 40, 0, 7], [1, 1, 1, 1]])


def expected(numbers=NUMBERS):
    return {(f"E{row:08d}", MONTHS[at]): int(numbers[row, at]) for row, at in zip(*np.nonzero(numbers), strict=True)}


def test_a_wide_and_a_long_table_are_the_same_events():
    frame = wide(NUMBERS)
    first = ingest(city(WIDE), now=NOW)
    assert counted(first) == expected()
    assert first.meta["left_out"] == {outcomes.NOT_COUNTED: 4}
    assert (first.meta["precision"], first.meta["rows_read"]) == ("month", 16)
    assert first.meta["offences"] == [{"offence": "Theft", "category": "any", "rows": int(NUMBERS.sum())}]
    frame.melt(["code", "kind"], var_name="month", value_name="count").to_csv("counts.csv", index=False)
    other = ingest(city(LONG), now=NOW)
    assert counted(other) == expected()
    assert set(first.frame["event_id"]) == set(other.frame["event_id"])


@pytest.mark.parametrize("kind", ["parquet", "json", "xlsx"])
def test_any_format_gives_the_same(kind):
    frame = wide(NUMBERS).astype(dict.fromkeys(MONTHS, int))
    ids = set(ingest(city(WIDE), now=NOW).frame["event_id"])
    if kind == "json":
        (rows := frame.to_dict("records"))[1].pop("202404")  # as writers leave out what is null
        rows[1]["202404"] = 0
    match kind:
        case "parquet":
            frame.to_parquet("counts.parquet")
        case "json":
            Path("counts.json").write_text(json.dumps(rows))
        case "xlsx":
            pytest.importorskip("python_calamine", reason="python-calamine (the extra excel) is not installed")
            rows = [list(frame.columns), *frame.astype(object).to_numpy().tolist()]
            Path("counts.xlsx").write_bytes(xlsx(("S", rows)))
    events = ingest(city(WIDE, path=f"counts.{kind}"), now=NOW)
    assert (counted(events), set(events.frame["event_id"])) == (expected(), ids)


@pytest.mark.parametrize(
    "names",
    [
        ["2024-03", "2024-04", "2024-05", "2024-06"],
        ["Mar-24", "Apr-24", "May-24", "Jun-24"],
        ["March 2024", "April 2024", "May 2024", "June 2024"],
        ["2024-03-01", "2024-04-01", "2024-05-01", "2024-06-01"],
        ["2024-03-01 00:00:00", "2024-04-01 00:00:00", "2024-05-01 00:00:00", "2024-06-01 00:00:00"],
        ["03/2024", "04/2024", "05/2024", "06/2024"],
    ],
)
def test_periods_are_named_in_many_ways(names):
    wide(NUMBERS, names)
    assert counted(ingest(city(WIDE), now=NOW)) == expected()


def test_days_may_be_columns_too():
    days = ["2024-03-28", "2024-03-29", "2024-03-30", "2024-03-31", "2024-04-01"]
    wide(np.arange(1, 21).reshape(4, 5), days)
    events = ingest(city(WIDE, "day"), now=NOW)
    assert (events.precision, len(events)) == ("day", 210)
    assert events.frame["occurred_at"].dt.tz_convert("Europe/London").dt.strftime("%Y-%m-%d").nunique() == 5
    with pytest.raises(DataError, match=r"Set time\.step to day"):
        ingest(city(WIDE, "hour"), now=NOW)


def test_ids_stay_where_a_count_grows_and_equal_rows_stay_apart():
    wide(NUMBERS)
    before = set(ingest(city(WIDE), now=NOW).frame["event_id"])
    wide(grown := NUMBERS + np.eye(4, dtype=int))
    after = set(ingest(city(WIDE), now=NOW).frame["event_id"])
    assert before < after
    assert len(after) == grown.sum()
    pd.concat([wide(NUMBERS), wide(NUMBERS)]).to_csv("counts.csv", index=False)
    twice = ingest(city(WIDE), now=NOW)
    assert counted(twice) == expected(2 * NUMBERS)
    assert before < set(twice.frame["event_id"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<5", outcomes.UNREADABLE_COUNT),
        ("c", outcomes.UNREADABLE_COUNT),
        ("-", outcomes.UNREADABLE_COUNT),
        ("2.5", outcomes.UNREADABLE_COUNT),
        ("", outcomes.NO_COUNT),
        ("n/a", outcomes.NO_COUNT),
        ("-3", outcomes.COUNT_BELOW_ZERO),
        ("-1", outcomes.COUNT_BELOW_ZERO),
        ("2000000", outcomes.COUNT_TOO_LARGE),
    ],
)
def test_what_is_no_count_is_refused_and_said(text, reason):
    cells = NUMBERS.astype(object).copy()
    cells[2, 1] = text
    wide(cells)
    events = ingest(city(WIDE), now=NOW)
    assert events.meta["rejected"] == {reason: 1}
    assert counted(events) == {key: n for key, n in expected().items() if key != ("E00000002", "202404")}
    (doubt,) = events.meta["doubts"]
    assert doubt.startswith("1 counts are hidden, missing or no numbers") and "202404" in doubt  # noqa: PT018
    assert pd.read_parquet("data/town/silver/rejects.parquet")[["line", "reason"]].to_numpy().tolist() == [[4, reason]]
    with pytest.raises(DataError, match=f"1 of .* rows refused.*{reason}"):
        ingest(city(WIDE, max_rejects=0.001), now=NOW)
    assert pd.read_parquet("data/town/rejects.parquet")["reason"].tolist() == [reason]


def test_thousands_are_read_and_counted():
    wide([["1,234", "1000", "2000", "0"]])
    events = ingest(city(WIDE), now=NOW)
    assert (len(events), events.meta["corrected"]) == (4234, {outcomes.GROUPED_COUNT: 1})


def test_what_concerns_no_category_may_be_hidden():
    frame = wide(NUMBERS)
    frame.loc[1, "kind"], frame.loc[1, MONTHS] = "Drugs", "<5"
    frame.to_csv("counts.csv", index=False)
    events = ingest(city(WIDE, categories={"theft": ["theft"]}, other=None), now=NOW)
    assert (events.meta["rejected"], events.meta["doubts"]) == ({}, [])


def test_an_absent_period_is_said():
    wide(NUMBERS, ["202403", "202404", "202407", "202408"])
    (note,) = (text for text in ingest(city(WIDE), now=NOW).meta["notes"] if "no column" in text)
    assert note.startswith("counts.csv: has no column for 2024-05, 2024-06: no report of that time is in it.")
    named = WIDE | {"occurred": {"periods": ["202403", "202404", "202405", "202406", "202407"]}}
    wide(NUMBERS)
    assert any("has no column for 202407:" in text for text in ingest(city(named), now=NOW).meta["notes"])


@pytest.mark.parametrize(
    ("names", "periods", "words"),
    [
        (["2024-03", "Mar-24", "202404", "202405"], ["*"], "'2024-03' and 'Mar-24' are the same period"),
        (["2024-01", "2024-04", "2024-07", "2024-10"], ["*"], "neither months nor days that follow one another"),
        (["2024-03-04", "2024-03-11", "2024-03-18", "2024-03-25"], ["*"], "neither months nor days"),
        (["2024-03", "2024-03", "202404", "202405"], ["*"], "'2024-03' and '2024-03' are the same period"),
        (["202403", "202404", "202405", "202406 (p)"], ["*"], r"'202406 \(p\)' begins with a period that no other"),
        (["Mar 2024", "Apr 2024", "May 2024", "Jun 2024*"], ["*"], r"'Jun 2024\*' begins with a period"),
        (["a", "b", "c", "d"], ["*"], r"no column is named as a month or day and fits \*"),
        (["2024", "202403", "202404", "202405"], ["2024"], "'2024' is no month or day"),
    ],
)
def test_columns_that_are_no_run_of_periods_are_refused(names, periods, words):
    wide(NUMBERS, names)
    with pytest.raises(DataError, match=words):
        ingest(city(PLAIN | {"occurred": {"periods": periods}}), now=NOW)


def test_days_are_read_in_the_order_in_which_they_follow_one_another():
    days = [day.strftime("%d/%m/%Y") for day in pd.date_range("2024-03-01", periods=40)]
    wide(np.ones((4, 40), int), days)
    events = ingest(city(WIDE, "day"), now=NOW)
    assert (events.precision, len(events), events.meta["notes"][1:]) == ("day", 160, [])
    assert events.frame["occurred_at"].max() == pd.Timestamp("2024-04-08 23:00", tz="UTC")


def test_an_offence_that_is_the_total_of_the_others_is_doubted():
    frame = wide(NUMBERS)
    frame["kind"] = ["Theft", "Robbery", "Arson", "Theft"]
    total = frame.groupby("code", as_index=False)[MONTHS].sum().assign(kind="All crime")
    pd.concat([frame, total]).to_csv("counts.csv", index=False)
    for groups, other in (({}, "any"), ({"theft": ["theft"]}, "any"), ({"theft": ["theft"], "any": ["all*"]}, None)):
        (doubt,) = ingest(city(WIDE, categories=groups, other=other), now=NOW).meta["doubts"]
        assert doubt.startswith("Category any: 75 reports are 'All crime', and 75 other offences. If it is their total")
    for groups in ({"theft": ["theft"], "robbery": ["robbery"]}, {"crime": ["all crime"]}):
        assert ingest(city(WIDE, categories=groups, other=None), now=NOW).meta["doubts"] == []


def test_totals_beside_the_periods_are_passed_over():
    frame = wide(NUMBERS)
    frame["2024"], frame["2024 total"], frame["202403 (rate)"] = 99, 99, 99
    frame.to_csv("counts.csv", index=False)
    assert counted(ingest(city(WIDE | {"occurred": {"periods": ["20*"]}}), now=NOW)) == expected()


def test_rows_that_cannot_be_read_or_are_blank_count_once():
    frame = wide(np.tile(NUMBERS, (10, 1)))
    more = "E1,Theft,1\n,,,,,\n" + frame.iloc[:1].to_csv(index=False, header=False)
    Path("counts.csv").write_text(Path("counts.csv").read_text() + more)
    events = ingest(city(WIDE), now=NOW)
    assert sum(events.meta["rejected"].values()) == 1
    assert len(events) == 10 * NUMBERS.sum() + NUMBERS[0].sum()


def test_of_files_that_overlap_the_greater_count_stands_and_it_is_said():
    wide(NUMBERS, path="a.csv")
    wide(newer := np.roll(NUMBERS, 1, axis=1), path="b.csv")
    events = ingest(city(WIDE, path=["a.csv", "b.csv"]), now=NOW)
    assert counted(events) == expected(np.maximum(NUMBERS, newer))
    assert any("the greater number stands" in note for note in events.meta["notes"])


def test_a_count_and_periods_do_not_go_together():
    wide(NUMBERS)
    with pytest.raises(ConfigError, match=r"Leave out source\.columns\.count"):
        ingest(city(WIDE | {"count": ["n"]}), now=NOW)


def test_a_row_with_an_incident_may_be_a_withdrawal():
    columns = LONG | {"incident_id": ["case"]}
    rows = {"code": "E1", "kind": "Theft", "month": MONTHS * 5, "count": "1", "case": [str(n) for n in range(20)]}
    frame = pd.DataFrame(rows)
    frame = pd.concat([frame, frame.iloc[:3].assign(count="-1")])
    frame.to_csv("counts.csv", index=False)
    events = ingest(city(columns), now=NOW)
    assert events.meta["left_out"] == {outcomes.WITHDRAWAL: 3, outcomes.WITHDRAWN: 3}


@given(st.integers(-(10**6), 10**9), st.sampled_from(["{}", "{}.0", "{}.00", "{:,}", "{:+}"]))
def test_whole_numbers_are_read_however_written(number, form):
    read, wrong = parse_count(form.format(number))
    if 0 <= number <= LARGEST:
        assert (read, wrong) == (number, "")
    else:
        assert wrong == (outcomes.COUNT_BELOW_ZERO if number < 0 else outcomes.COUNT_TOO_LARGE)


@given(st.text(max_size=8) | st.from_regex(r"[<>≤*~]?[0-9., +-]{1,6}[a-z]?", fullmatch=True))
def test_no_text_is_a_count_unless_it_is_one(text):
    number, wrong = parse_count(text)
    if wrong:
        assert number <= 0
    else:
        digits = "".join(c for c in text.removesuffix(".00").removesuffix(".0") if c in "0123456789")
        assert number == int(digits)
        assert set(text) <= set("+-0123456789,. '’\u00a0\u202f\u2212")


@given(st.dates(pd.Timestamp("1970-01-01").date(), pd.Timestamp("2068-12-01").date()), st.integers(2, 40))
def test_a_run_of_months_is_found_among_other_columns(first, months):
    run = [str(one) for one in pd.period_range(first, periods=months, freq="M")]
    header = ["code", "2024", "kind", *run, "Total", "1234"]
    found = period_columns(header, ["*"], "f")
    assert [header[at] for at in found.values()] == run
    assert not any(map(is_period, ("code", "2024", "Total", "1234", "12", "")))


def test_a_table_is_read_in_pieces_of_any_size():
    frame = wide(np.tile(NUMBERS, (200, 1)))
    columns = Columns.model_validate(WIDE)
    whole, pieces = (
        pd.concat([part.frame for part in read(Path("counts.csv"), columns, ("occurred",), block)], ignore_index=True)
        for block in (1 << 20, 1 << 10)
    )
    assert len(whole) == frame[MONTHS].size
    pd.testing.assert_frame_equal(whole, pieces)
