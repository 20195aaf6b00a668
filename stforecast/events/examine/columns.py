"""What a column of texts can be, by its values (numbers, times, times of day, words or keys), and what it is for."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.config.sections import DateOrder
from stforecast.events.event_times import FLOOR
from stforecast.events.examine.offence_words import has_word_for
from stforecast.events.hour_checks import count_by_minute, rhythm_fit
from stforecast.events.parsing.dates import NAT, ORDERS, parse_month
from stforecast.events.parsing.text_columns import factorize, is_empty, to_numbers
from stforecast.events.parsing.times_of_day import DAY, SECOND
from stforecast.events.parsing.timestamp_columns import TimeFormat, parse_date_and_time, parse_times
from stforecast.events.precision import FEW_TIMES, LEAST, values_needed

MOST = 0.95
"""Share of a column's values that have to be what it is taken for."""
FEW = 200
"""Values of a column on which a first look is taken, and from which the hours of a day have to be many."""
HOURS = 16
"""Hours of the day that a column of times of day has, if it has FEW values."""
WORST_FIT = -3.45
"""Mean log-likelihood of times of day below which numbers are none. (Of cities it is −3.16, of random hours −3.25.)"""
_DIGITS = r"^[-+]?[0-9]+(\.[0-9]*)?$"
_A_DAY = "2001-02-03"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    name, place: as the file has it, and the how manieth it is. texts: stripped [r].
    """

    name: str
    place: int
    texts: pa.Array

    @cached_property
    def filled(self) -> np.ndarray:
        """Rows [r] that have a value."""
        return ~is_empty(self.texts)

    @cached_property
    def share(self) -> float:
        """The share of such rows."""
        return float(self.filled.mean())

    @cached_property
    def codes(self) -> tuple[np.ndarray, list[str]]:
        """For each row which of the distinct texts it bears [r], and those."""
        which, distinct = factorize(self.texts)
        return which, distinct.to_pylist()

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows of each distinct text, the most frequent first."""
        which, distinct = self.codes
        rows = np.bincount(which, minlength=len(distinct))
        return {distinct[at]: int(rows[at]) for at in np.argsort(-rows, kind="stable") if distinct[at]}

    @cached_property
    def in_digits(self) -> bool:
        """Whether the values are digits and no more than that."""
        return self._share_of(np.asarray(pc.match_substring_regex(self.texts, _DIGITS))) >= MOST

    @cached_property
    def numbers(self) -> np.ndarray:
        """The values as numbers [r], NaN where there is none."""
        return to_numbers(self.texts)

    @cached_property
    def is_numeric(self) -> bool:
        """Whether the values are numbers."""
        return self._share_of(np.isfinite(self.numbers)) >= MOST

    @cached_property
    def is_whole(self) -> bool:
        """Whether the values are whole numbers."""
        return self.is_numeric and bool(np.all(np.nan_to_num(self.numbers) % 1 == 0))

    @cached_property
    def is_month(self) -> bool:
        """Whether the values are months without a day."""
        which, distinct = self.codes
        return self._share_of(np.array([parse_month(text) != NAT for text in distinct], bool)[which]) >= MOST

    @cached_property
    def times(self) -> np.ndarray | None:
        """Wall clock [r] (µs, `NAT` where there is none) of a column of days, or of days with times of day."""
        if max(float((parse_times(self._some, TimeFormat(order, True)).wall != NAT).mean()) for order in ORDERS) < MOST:
            return None
        wall = self._walls[self.order]
        read = wall[wall != NAT]
        if self._share_of(wall != NAT) < MOST or _possible(read).mean() < 0.9:
            return None
        if self.in_digits and (np.ptp(read) < DAY or (self._numbered and not self._is_epoch)):
            return None
        return wall

    @cached_property
    def order(self) -> DateOrder:
        """The order of day, month and year by which most of its times can be."""
        return max(ORDERS, key=lambda order: (_possible(self._walls[order]).sum(), (self._walls[order] != NAT).sum()))

    @cached_property
    def _walls(self) -> dict[DateOrder, np.ndarray]:
        return {order: parse_times(self.texts, TimeFormat(order, True)).wall for order in ORDERS}

    @cached_property
    def has_clock(self) -> bool:
        """Whether its times are more than days."""
        assert self.times is not None
        minutes = count_by_minute(self.times[self.times != NAT])
        few = FEW_TIMES if minutes.sum() >= LEAST else 1
        return values_needed(minutes) > few or (minutes.sum() < LEAST and minutes[0] < minutes.sum() / 2)

    @cached_property
    def has_offset(self) -> bool:
        """Whether most of its times bear an offset from UTC."""
        return bool((parse_times(self._some, TimeFormat(self.order, True)).offset != NAT).mean() > 0.5)

    @cached_property
    def clock(self) -> np.ndarray | None:
        """Times of day [r] (µs, `NAT` where there is none) of a column of them."""
        best: tuple[float, np.ndarray] | None = None
        for hours in (True, False) if self.is_whole else (True,):
            if _clocks(self._some, hours)[1] < MOST:
                continue
            wall, share = _clocks(self.texts.filter(pa.array(self.filled)), hours)
            minutes = count_by_minute(wall[wall != NAT])
            if share < MOST or not self._is_day(minutes, hours):
                continue
            out = np.full(len(self.texts), NAT)
            out[self.filled] = np.where(wall == NAT, NAT, wall % DAY)
            if best is None or rhythm_fit(minutes) > best[0]:
                best = rhythm_fit(minutes), out
        return best and best[1]

    @cached_property
    def hours_fit(self) -> float:
        """How well its times of day are those of a city."""
        assert self.clock is not None
        return rhythm_fit(count_by_minute(self.clock[self.clock != NAT]))

    def among(self, low: int, high: int, distinct: int = 1) -> bool:
        """Whether the values are whole numbers from `low` to `high`, and not less than `distinct` ones."""
        found = self.numbers[self.filled]
        inside = self.is_whole and found.size > 0 and found.min() >= low and found.max() <= high
        return bool(inside and (self.filled.sum() < FEW or len(np.unique(found)) >= distinct))

    def _is_day(self, minutes: np.ndarray, hours: bool) -> bool:
        """Whether times of day are spread as they are over a day, and no other numbers."""
        if not self.in_digits:
            return True
        by_hour = minutes.reshape(24, 60).sum(axis=1)
        if minutes.sum() < FEW:
            return True
        if hours and by_hour.min() == 0:  # hours alone: all of them, or they are numbers of districts
            return False
        return bool((by_hour > 0).sum() >= HOURS and rhythm_fit(minutes) >= WORST_FIT)

    @cached_property
    def _numbered(self) -> bool:
        """Whether each row has a number of its own."""
        return len(self.counts) > 0.9 * self.filled.sum()

    @cached_property
    def _is_epoch(self) -> bool:
        """Whether numbers are whole minutes, or whole seconds in milliseconds, since 1970, as keys are not."""
        found = np.nan_to_num(self.numbers[self.filled])
        return bool(np.mean(found % np.where(np.abs(found) < 1e11, 60, 1000) == 0) >= MOST)

    def _share_of(self, rows: np.ndarray) -> float:
        return float((rows & self.filled).sum() / max(self.filled.sum(), 1))

    @cached_property
    def _some(self) -> pa.Array:
        """The first values."""
        return self.texts.filter(pa.array(self.filled)).slice(0, FEW)


def columns_of(columns: Mapping[str, pa.Array]) -> list[Column]:
    """The columns of a table that have a value."""
    found = [Column(name, place, texts) for place, (name, texts) in enumerate(columns.items())]
    return [column for column in found if column.filled.any()]


def _possible(wall: np.ndarray) -> np.ndarray:
    """Whether times are of 1990 or later, and have been."""
    floor, now = (FLOOR - dt.date(1970, 1, 1)).days * DAY, int(dt.datetime.now(dt.UTC).timestamp()) * SECOND
    return (wall > floor) & (wall < now + 2 * DAY)


def _clocks(texts: pa.Array, hours: bool) -> tuple[np.ndarray, float]:
    """Times of day of texts behind one day, and the share that is read."""
    days = pa.repeat(pa.scalar(_A_DAY, pa.large_string()), len(texts))
    wall = parse_date_and_time(days, texts, TimeFormat(hours=hours))[0].wall
    return wall, float((wall != NAT).mean())


@dataclass(frozen=True)
class ColumnRole:
    """The column (of a date in parts: part → column; of periods: their names) of a field of `source.columns`, and why
    it is that one.

    asks: what the user has to answer, where the file leaves it open.
    """

    column: str | dict[str, str] | dict[str, list[str]]
    why: str
    question: str = ""

    @property
    def names(self) -> list[str] | dict[str, str] | dict[str, list[str]]:
        """The value of the field in a configuration."""
        return [self.column] if isinstance(self.column, str) else self.column

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        if isinstance(self.column, str):
            return [self.column]
        return [name for part in self.column.values() for name in ([part] if isinstance(part, str) else part)]


def first_with_name(columns: Sequence[Column], role: str) -> Column | None:
    """The first of some columns whose name has a word for a role."""
    return next((column for column in columns if has_word_for(column.name, role)), None)
