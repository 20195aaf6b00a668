"""The text of a day → the day that it names, by the order in which its parts may be written.

Read are `M/D/YYYY`, `D/M/YYYY` and, with two digits of the year, `Y/M/D` (also with `-`; with `.` the year is last),
`YYYY-MM-DD` (also with `/`), `YYYYMMDD`, and a day whose month is a word in English, Spanish, Portuguese,
French or German: `5 January 2024`, `Jan 5, 2024`, `05-JAN-24`, `5 de enero de 2024`, `5. März 2024`. A month without a
day is `2024-03`, `2024/3`, `202403`, `2024M03`, `03/2024`, or a word and a year: `Mar 2024`, `March-24`, `2024 marzo`.
"""

import datetime as dt
import re
import unicodedata
from functools import lru_cache
from pathlib import Path

from stforecast.config.sections import DateOrder

NAT = -(2**63)
"""Stands for unreadable or absent among int64 days and instants."""
ORDERS: tuple[DateOrder, ...] = ("month_first", "day_first", "year_first")

_EPOCH = dt.date(1970, 1, 1).toordinal()
_YEAR_FIRST = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})|([0-9]{4})([0-9]{2})([0-9]{2})")
_NUMBERS = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{1,2})")
_EIGHT = re.compile(r"([0-9]{2})([0-9]{2})((?:19|20)[0-9]{2})")
_MONTHS = Path(__file__).with_name("months.txt").read_text(encoding="utf-8").splitlines()  # a line a month
_MONTH_OF = {word: number for number, words in enumerate(_MONTHS, 1) for word in words.split()}
_WORD = r"([a-z]{3,10})\.?"
_YEAR = r"([0-9]{4}(?![0-9])|'?[0-9]{2}(?![0-9.:h]))"
_BETWEEN = r"(?:[-/., ]+|(?= ?[a-z]))(?:de[l]? |of )?"
_NAMED = (  # the places of day, month and year among the groups
    (
        re.compile(rf"([0-9]{{1,2}})(?:st|nd|rd|th|er|[.ºª°])?{_BETWEEN}{_WORD}(?:[-/., ]+(?:de[l]? |of )?)?{_YEAR}"),
        (1, 2, 3),
    ),
    (re.compile(rf"{_WORD}[-/ ]*([0-9]{{1,2}})(?:st|nd|rd|th)?(?:[-/, ]+){_YEAR}"), (2, 1, 3)),
    (re.compile(rf"([0-9]{{4}})[-/ ]{_WORD}[-/ ]([0-9]{{1,2}})(?![0-9])"), (3, 2, 1)),
)
_MONTH = re.compile(
    r"(?P<y>(?:19|20)[0-9]{2})(?:[-/](?P<m>[0-9]{1,2})|(?:[-. ]?m)?(?P<mm>[0-9]{2}))"
    r"|(?P<m1>[0-9]{1,2})[-/.](?P<y1>(?:19|20)[0-9]{2})"
    r"|(?P<w>[a-z]{3,10})\.?(?:(?:[-/, ]+(?:de[l]? |of )?)?(?P<y2>(?:19|20)[0-9]{2})|(?:[-/]| ?')(?P<short>[0-9]{2}))"
    r"|(?P<y3>(?:19|20)[0-9]{2})[-/ ]*(?P<w3>[a-z]{3,10})\.?"
)
_WEEKDAY = re.compile(r"[a-z]+(?:-[a-z]+)?\.?,? +(?=[0-9a-z])")


def parse_date(text: str) -> tuple[int, int, int]:
    """The day that a text names under each of `ORDERS`, in days since 1970-01-01; `NAT` where it names none."""
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day = (found[1], found[3], found[4]) if found[1] else (found[5], found[6], found[7])
        number = _day(year, month, day)
        if number != NAT or found[1] or not (found := _EIGHT.fullmatch(text)):
            return (number,) * 3
        return _day(found[3], found[1], found[2]), _day(found[3], found[2], found[1]), NAT
    if found := _NUMBERS.fullmatch(text):
        one, other, last = found[1], found[3], found[4]
        year_first = _day(one, other, last) if len(last) <= 2 and len(one) == 2 and found[2] != "." else NAT
        if len(last) == 1:
            return NAT, NAT, year_first
        return _day(last, one, other), _day(last, other, one), year_first
    day, rest = parse_named_date(text)
    return (NAT if rest else day,) * 3


@lru_cache(maxsize=1 << 16)
def parse_month(text: str) -> int:
    """The first day of the month that a text without a day names, in days since 1970-01-01; `NAT` for any other."""
    if not (found := _MONTH.fullmatch(normalise(text))):
        return NAT
    part = found.groupdict()
    word = part["w"] or part["w3"]
    month = _MONTH_OF.get(word, 0) if word else part["m"] or part["mm"] or part["m1"]
    return _day(part["y"] or part["y1"] or part["y2"] or part["short"] or part["y3"], str(month), "1")


def date_numbers(text: str) -> tuple[str, str, str] | None:
    """The three numbers of a day that is written so, with the year last or, of two digits, maybe first."""
    found = _NUMBERS.fullmatch(text)
    return (found[1], found[3], found[4] if found[2] != "." else found[4].zfill(4)) if found else None


@lru_cache(maxsize=1 << 16)
def parse_named_date(text: str) -> tuple[int, str]:
    """The day at the beginning of a text whose month is a word, and the text behind it; (`NAT`, text) without one."""
    plain = normalise(text)
    for begin in (0, found.end() if (found := _WEEKDAY.match(plain)) else 0):
        for pattern, (day, month, year) in _NAMED:
            if (found := pattern.match(plain, begin)) and found[month] in _MONTH_OF:
                number = _day(found[year].lstrip("'"), str(_MONTH_OF[found[month]]), found[day])
                return number, plain[found.end() :]
    return NAT, text


def normalise(text: str) -> str:
    """A text in small letters without accents, with plain blanks, digits and dashes."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(re.sub("[\u2010-\u2015\u2212]", "-", letters).split())


def _day(year: str, month: str, day: str) -> int:
    if len(year) <= 2:  # POSIX: 69 … 99 are of the last century
        year = ("19" if int(year) >= 69 else "20") + year.zfill(2)
    try:
        return dt.date(int(year), int(month), int(day)).toordinal() - _EPOCH
    except ValueError:
        return NAT
