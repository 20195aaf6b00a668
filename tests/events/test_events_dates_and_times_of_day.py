"""Texts of days and of times of day → what they name, and never anything else."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stforecast.events.parsing.dates import NAT, parse_date, parse_named_date
from stforecast.events.parsing.times_of_day import BAD_OFFSET, BAD_TIME_OF_DAY, DAY, HOUR, SECOND, parse_time_of_day

EPOCH = dt.date(1970, 1, 1)
MONTHS = {
    "English": "January February March April May June July August September October November December",
    "English, short": "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec",
    "Spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "Portuguese": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "French": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "German": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
}
NAMED = (
    *("{d} {m} {y}", "{d} de {m} de {y}", "{d}. {m} {y}", "{d:02d}-{m}-{y}", "{m} {d}, {y}", "{m} {d} {y}"),
    *("{y}-{m}-{d:02d}", "{d:02d}{m}{y}", "Friday, {d} {m} {y}", "viernes {d} de {m} del {y}"),
)


def day(text):
    found = set(parse_date(text))
    assert len(found) == 1
    return None if (number := found.pop()) == NAT else EPOCH + dt.timedelta(number)


@given(
    st.dates(dt.date(1990, 1, 1), dt.date(2060, 12, 31)),
    st.sampled_from(sorted(MONTHS)),
    st.sampled_from(NAMED),
    st.sampled_from([str, str.upper, str.lower]),
)
def test_months_in_words(date, language, form, letters):
    name = MONTHS[language].split()[date.month - 1]
    text = letters(form.format(d=date.day, m=name, y=date.year))
    assert day(text) == date
    assert parse_named_date(f"{text} 14:30") == ((date - EPOCH).days, " 14:30")


def test_short_years_behind_a_month_in_words():
    assert day("05-JAN-24") == day("5 Jan 24") == day("Jan 5, 24") == dt.date(2024, 1, 5)
    assert day("05-JAN-98") == dt.date(1998, 1, 5)


@pytest.mark.parametrize("text", ["32 January 2024", "5 Janvember 2024", "January 2024", "mayor 5 2024", "5 may", "x"])
def test_what_names_no_day(text):
    assert day(text) is None


def test_two_digits_of_the_year_may_come_first():
    assert [EPOCH + dt.timedelta(n) for n in parse_date("24-01-05")[1:]] == [dt.date(2005, 1, 24), dt.date(2024, 1, 5)]
    assert parse_date("24-01-05")[0] == NAT
    assert parse_date("24.01.05")[2] == NAT  # with points the year is last


def at(hour, minute=0, second=0.0):
    return round((hour * 3600 + minute * 60 + second) * SECOND)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        *(("14:30", at(14, 30)), ("2:00:00 p. m.", at(14)), ("2:00 p.m.", at(14)), ("12:15 a.m.", at(0, 15))),
        *(("2:30:15\u202fPM", at(14, 30, 15)), ("2:30\u00a0PM", at(14, 30)), ("２:30 PM", at(14, 30))),
        *(("2 PM", at(14)), ("2pm", at(14)), ("12 AM", 0), ("12 PM", at(12)), ("9:30a", at(9, 30))),
        *(
            ("14h30", at(14, 30)),
            ("14 h 30", at(14, 30)),
            ("14h", at(14)),
            ("14H05", at(14, 5)),
            ("14h30m05s", at(14, 30, 5)),
        ),
        *(("14:30 Uhr", at(14, 30)), ("14.30 Uhr", at(14, 30)), ("14 Uhr", at(14)), ("14:30 hrs", at(14, 30))),
        *(("1430", at(14, 30)), ("0005", at(0, 5)), ("143015", at(14, 30, 15)), ("1430 hrs", at(14, 30))),
        *(("00:30 AM", at(0, 30)), ("14:30 PM", at(14, 30))),
        *(
            ("24:00", DAY),
            ("2400", DAY),
            ("24:00:00", DAY),
            ("0:00", 0),
            ("14:30:15.25", at(14, 30, 15.25)),
            ("14:30:15:25", at(14, 30, 15.25)),
        ),
        *(("0.604166667", at(14, 30)), (".5", at(12)), ("0.25", at(6))),
    ],
)
def test_times_of_day(text, time):
    assert parse_time_of_day(text) == (time, NAT, NAT, 0)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        *(("14:30Z", 0), ("14:30:00Z", 0), ("14:30 UTC", 0), ("14:30 GMT", 0), ("14:30+00", 0), ("1430Z", 0)),
        *(("14:30-07:00", -7), ("14:30:00-0700", -7), ("14:30:00 GMT-0700 (MST)", -7), ("14:30+05:30", 5.5)),
        *(("14:30+14:00", 14), ("14:30-12:00", -12)),
    ],
)
def test_offsets(text, offset):
    assert parse_time_of_day(text) == (at(14, 30), round(offset * HOUR), NAT, 0)


@pytest.mark.parametrize("text", ["14:30+14:30", "14:30-12:30", "14:30:00+19:00", "14:30-15:30"])
def test_no_place_is_that_far_from_utc(text):
    assert parse_time_of_day(text) == (NAT, NAT, NAT, BAD_OFFSET)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "x",
            "25:00",
            "14:60",
            "13:00 AM",
            "00:30 PM",
            "24:01",
            "14.30",
            "13.5",
            "5",
            "99",
            "2575",
            "14:30 MST",
            "noon",
        ),
        *("1430-1530", "1430-0500", "14:", ":30", "14:30:", "-14:30", "14:30-", "14:30 - ", "2 P", "243000"),
    ],
)
def test_what_is_no_time_of_day(text):
    assert parse_time_of_day(text).wrong == BAD_TIME_OF_DAY or text == "2 P"


def test_a_bare_number_is_read_as_told():
    assert parse_time_of_day("14", hours=True).time == parse_time_of_day("14.0", hours=True).time == at(14)
    assert parse_time_of_day("14", hours=False).time == at(0, 14)
    assert parse_time_of_day("1430", hours=True).time == at(14, 30)
    assert parse_time_of_day("0").time == parse_time_of_day("00", hours=True).time == 0
    assert parse_time_of_day("24", hours=True).time == DAY


@pytest.mark.parametrize(
    "text", ["14:30 - 15:30", "14:30–15:30", "14:30 to 15:30", "2:30 PM-3:30 PM", "14h30 a 15h30", "14:30 bis 15:30"]
)
def test_spans(text):
    assert parse_time_of_day(text, spans=True) == (at(14, 30), NAT, at(15, 30), 0)


def test_a_span_may_end_on_the_next_day_and_what_looks_like_an_offset_may_be_one():
    assert parse_time_of_day("23:30-00:30", spans=True) == (at(23, 30), NAT, at(24, 30), 0)
    assert parse_time_of_day("23:30-00:30") == (at(23, 30), -HOUR // 2, NAT, 0)


@given(st.text(max_size=20), st.sampled_from([None, True, False]), st.booleans())
def test_any_text_is_read_or_refused(text, hours, spans):
    found = parse_time_of_day(text, hours, spans)
    assert (found.time == NAT) == (found.wrong != 0)
    assert found.wrong or 0 <= found.time <= DAY
    assert len(parse_date(text)) == 3
