"""Open-Meteo: hourly weather of one place, in three ways.

observed: what was (reanalysis, some days late). issued: what was forecast for each hour whole days before it
(`_previous_day1`, by the start of the model's run). newest: the forecast of now. The archive that is pieced together
from the first hours of every run is not asked for: it knows more than was known when a forecast was issued.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from stforecast.errors import ArtefactError, ConfigError, FetchError, in_brief
from stforecast.files import write_bytes
from stforecast.sources.page import Begin, Cursor, Page, UnusableError
from stforecast.sources.pulls import AGAIN as REMOVE
from stforecast.sources.web import Answer, Web

Product = Literal["observed", "issued", "newest"]
ADDRESSES: dict[Product, tuple[str, str]] = {
    "observed": ("archive-api.open-meteo.com", "/v1/archive"),
    "issued": ("previous-runs-api.open-meteo.com", "/v1/forecast"),
    "newest": ("api.open-meteo.com", "/v1/forecast"),
}
KEY = "OPEN_METEO_API_KEY"
FIRST: dict[Product, pd.Timestamp] = {
    "observed": pd.Timestamp("1940-01-01", tz="UTC"),
    "issued": pd.Timestamp("2021-01-01", tz="UTC"),
    "newest": pd.Timestamp("2021-01-01", tz="UTC"),
}
"""Before which there is nothing."""
DAY, CHUNK = pd.Timedelta(days=1), pd.Timedelta(days=365)
AGAIN = pd.Timedelta(days=15)
"""Days that come again: observations are about 5 days late and then corrected, forecasts of days to come replaced."""
MOST_LEAD = 7
"""Days before an hour of which its forecasts are kept."""
PRECEDING = ("precipitation", "rain", "showers", "wind_gusts")
"""How the names of channels begin whose value is of the hour before its time; others are those at that time."""
UNITS = {
    "degC": ("temperature_unit", "celsius", "°C"),
    "degF": ("temperature_unit", "fahrenheit", "°F"),
    "mm": ("precipitation_unit", "mm", "mm"),
    "inch": ("precipitation_unit", "inch", "inch"),
    "m/s": ("wind_speed_unit", "ms", "m/s"),
    "km/h": ("wind_speed_unit", "kmh", "km/h"),
    "mph": ("wind_speed_unit", "mph", "mp/h"),
    "knots": ("wind_speed_unit", "kn", "kn"),
    "percent": (None, None, "%"),
    "hPa": (None, None, "hPa"),
}
"""How a unit is asked for, and how an answer names it."""


@dataclass(frozen=True)
class Place:
    """Where and what: degrees, and the unit of each channel."""

    latitude: float
    longitude: float
    channels: dict[str, str]


class OpenMeteo:
    """Hourly weather of a place as rows of a table.

    Args:
        web: the network.
        product: of the three.
        place: where, and what.
        first, last: UTC days that are wanted, as far as there are any.
        lead: days before an hour at which it was forecast (of `issued`), and days ahead.
        host: of a server of one's own.
        now: default the present.

    Raises:
        ConfigError: a channel's unit is not to be had, or two channels ask for two units of one kind.
    """

    def __init__(
        self,
        web: Web,
        product: Product,
        place: Place,
        first: pd.Timestamp,
        last: pd.Timestamp,
        lead: int,
        host: str | None = None,
        now: pd.Timestamp | None = None,
    ) -> None:
        self._web, self._place, self.always_whole = web, place, product == "newest"
        today = (now or pd.Timestamp.now("UTC")).floor("D")
        newest = today if product == "observed" else today + (lead + 1) * DAY
        self.first = today if product == "newest" else max(first.floor("D"), FIRST[product])
        self.last = min(last.floor("D"), newest)
        suffix = f"_previous_day{lead}" if product == "issued" else ""
        self._asked = _asked(place.channels)
        self._names = {f"{name}{suffix}": UNITS[unit][2] for name, unit in place.channels.items()}
        self._key, (name, path) = os.environ.get(KEY), ADDRESSES[product]
        self._url = (host.rstrip("/") if host else f"https://{'customer-' if self._key else ''}{name}") + path
        self.calls = 0.0

    def ending(self, cursor: Cursor) -> str:
        """See `Client.ending`."""
        return ".json"

    def begin(self, since: Cursor | None) -> Begin | None:
        """See `Client.begin`."""
        first = self.first
        if since is not None:
            first = max(first, pd.Timestamp(since["last"]) - AGAIN)
        if first > self.last:
            return None
        cursor = {"next": first.isoformat(), "last": self.last.isoformat()}
        return Begin(since is None or self.always_whole, cursor, f"hours of {first:%Y-%m-%d} to {self.last:%Y-%m-%d}")

    def page(self, cursor: Cursor, into: Path) -> Page:
        """See `Client.page`; a page is of a year at most."""
        first, end = pd.Timestamp(cursor["next"]), pd.Timestamp(cursor["last"])
        last = min(first + CHUNK, end)
        hours = _hours(first, last)
        params: dict[str, Any] = {"apikey": self._key} if self._key else {}
        params |= {"latitude": self._place.latitude, "longitude": self._place.longitude, "timezone": "GMT"}
        params |= {"hourly": ",".join(self._names), **self._asked}
        params |= {"start_date": f"{first:%Y-%m-%d}", "end_date": f"{last:%Y-%m-%d}"}

        def read(answer: Answer) -> bytes:
            _check(_parsed(answer.body), hours, self._names)
            return answer.body

        try:
            write_bytes(into, self._web.ask(self._url, read, params))
        except FetchError as error:
            said = re.sub(r"apikey=[^&\s)]*", "apikey=…", str(error))
            if "status 429" in said:
                said += " The free service allows 600 calls a minute, 5,000 an hour and 10,000 a day."
            raise FetchError(said) from None
        self.calls += max(1.0, len(hours) / 24 / 14) * max(1.0, len(self._names) / 10)
        following = {"next": (last + DAY).isoformat(), "last": cursor["last"]}
        return Page(len(hours), following, last >= end)

    def count(self) -> None:
        """See `Client.count`."""

    def same(self, page: Path, other: Path) -> bool:
        """See `Client.same`."""
        return True

    def keys(self, page: Path) -> np.ndarray | None:
        """See `Client.keys`."""
        return None


def hours_of(folder: Path) -> pd.DataFrame:
    """The hours of the pulls in a folder, by the time at which they begin, and channel; of one that came several times
    the last value.

    Raises:
        ArtefactError: a page is damaged.
    """
    hours = pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC"))
    for page in sorted(folder.glob("[0-9]*-*/*.json")):
        try:
            hourly = json.loads(page.read_bytes())["hourly"]
            times = pd.to_datetime(hourly.pop("time"), utc=True)
            found = pd.DataFrame(hourly, index=times, dtype=np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise ArtefactError(f"{page}: damaged ({in_brief(error)}). {REMOVE}") from error
        hours = found.combine_first(hours)
    hours = hours.rename(columns=lambda name: re.sub(r"_previous_day\d$", "", name))
    sums = [name for name in hours if str(name).startswith(PRECEDING)]
    moved = hours[sums].shift(-1, freq="h")
    return pd.concat([hours.drop(columns=sums), moved], axis=1).sort_index().dropna(how="all")


def _asked(channels: dict[str, str]) -> dict[str, str]:
    """The parameters that ask for units."""
    asked: dict[str, str] = {}
    for name, unit in channels.items():
        if unit not in UNITS:
            raise ConfigError(f"weather.channels.{name}: {unit} is not given there. Use one of: {', '.join(UNITS)}.")
        kind, value, _ = UNITS[unit]
        if kind and value and asked.setdefault(kind, value) != value:
            raise ConfigError(
                f"weather.channels.{name}: {unit}, and another channel has another {kind}. Use one of both."
            )
    return asked


def _hours(first: pd.Timestamp, last: pd.Timestamp) -> list[str]:
    """The hours of UTC days as they are written there."""
    times = pd.date_range(first, last + DAY, freq="h", inclusive="left")
    return times.strftime("%Y-%m-%dT%H:%M").tolist()


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        raise UnusableError("an answer that is cut short, or no JSON") from None
    if isinstance(found, dict) and found.get("error"):
        raise FetchError(f"refuses: {found.get('reason')}")
    if not isinstance(found, dict) or not isinstance(found.get("hourly"), dict):
        raise UnusableError("no hourly weather of Open-Meteo")
    return found


def _check(found: dict[str, Any], hours: list[str], names: dict[str, str]) -> None:
    """That an answer holds what was asked for.

    Raises:
        UnusableError: other hours, or no numbers.
        FetchError: in other units or another time zone.
    """
    hourly, units = found["hourly"], found.get("hourly_units") or {}
    if found.get("utc_offset_seconds") != 0:
        raise FetchError("answers in another time zone than UTC, which was asked for.")
    if hourly.get("time") != hours:
        raise UnusableError(f"other hours than the {len(hours):,} from {hours[0]} that were asked for")
    for name, unit in names.items():
        values = hourly.get(name)
        if not isinstance(values, list) or len(values) != len(hours):
            raise UnusableError(f"no {name} of each hour")
        if not all(value is None or type(value) in (int, float) for value in values):
            raise UnusableError(f"{name} that is no number")
        if units.get(name) != unit and any(value is not None for value in values):
            raise FetchError(
                f"gives {name} in {units.get(name)}, where {unit} was asked for. Correct weather.channels."
            )
