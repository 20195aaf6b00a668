"""Weather of the record's days, brought from where `weather.source` says into `data/<city>/weather`.

observed.csv          what was, by UTC hour, in the units of `weather.channels`
forecast.csv          what was forecast for that hour a day before it (of steps of days: as many days as are forecast)
newest/<time>.csv     the forecast of a moment, by the UTC time at which it had come: known from then on
fetched/<product>/    the answers as they came, with a manifest
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from stforecast.config import Config
from stforecast.cube.newest_forecast import NEWEST, name_of
from stforecast.cube.steps import LENGTHS, utc
from stforecast.errors import ConfigError, FetchError
from stforecast.events.schema import EventTable
from stforecast.events.sources import resolve
from stforecast.files import read_json, write_bytes
from stforecast.pipeline.preparation import Preparation
from stforecast.sources.fetch import fetch
from stforecast.sources.open_meteo import AGAIN as COMING_AGAIN
from stforecast.sources.open_meteo import DAY, MOST_LEAD, OpenMeteo, Place, Product, hours_of
from stforecast.sources.pulls import AGAIN, FETCHED, MANIFEST, Pulls
from stforecast.sources.web import Web

PAUSE = pd.Timedelta(hours=6)
"""Between two requests for the same days: models are run every few hours."""
KEPT = pd.Timedelta(days=31)
"""How long a newest forecast is kept, so that a forecast made from it can be made again."""
NEAR = 0.1
"""Degrees by which a city's centre may move with new reports until its weather is fetched anew."""
FACTS = {
    "publisher": "Open-Meteo",
    "licence": "CC BY 4.0",
    "attribution": "Weather data by Open-Meteo.com",
    "use": "the free service is for non-commercial use, of up to 10,000 calls a day",
}


def fetch_weather(
    city: Preparation, table: EventTable, whole: bool = False, web: Web | None = None, now: pd.Timestamp | None = None
) -> None:
    """Bring what is new into `data/<city>/weather`, where the configuration names a source of weather.

    Args:
        city: its stages.
        table: its reports, which say of which days, and where.
        whole: ask for all days, also where the newest would do.
        web: default the network.
        now: default the present.

    Raises:
        ConfigError: a channel is not to be had, or the city's centre is not known.
        FetchError: the source does not answer as it should; what came before stays.
    """
    if city.config.weather.source is not None:
        with city.place.lock("fetch"):
            _fetch(city, table, whole, web or Web(), now or pd.Timestamp.now("UTC"))


def fetch_weather_first(city: Preparation, table: EventTable, web: Web | None = None) -> None:
    """As `fetch_weather`; goes on with what there is where the source does not answer."""
    try:
        fetch_weather(city, table, web=web)
    except FetchError as error:
        city.say(f"weather: {error}")
        city.say("weather: goes on with what was fetched before, if anything: what is lacking is masked")


def lead_days(config: Config) -> int | None:
    """Days before an hour at which its forecast is known at every issue; None where that is more than is kept."""
    days = -(-config.horizons * LENGTHS[config.time.step] // 24)
    return days if days <= MOST_LEAD else None


def _fetch(city: Preparation, table: EventTable, whole: bool, web: Web, now: pd.Timestamp) -> None:
    config, folder, lead, calls = city.config, city.place.weather, lead_days(city.config), 0.0
    known = (folder / FETCHED).glob(f"*/{MANIFEST}")
    before: dict[str, Any] = next((read_json(path, AGAIN)["table"] for path in known), {})
    place = _place(config, table, before)
    first = utc(table.meta["first_event"]) - DAY
    first = min(first, utc(before["first"])).floor("D") if before else first.floor("D")
    last = city.step.times(utc(table.meta["last_event"]), [city.step.ahead + config.horizons])[0]
    products: list[Product] = ["observed"] if config.weather.path else []
    products += ["issued", "newest"] if lead and config.weather.forecast_path else []
    for product in products:
        client = OpenMeteo(web, product, place, first, last, lead or 0, config.weather.host, now)
        asked: dict[str, Any] = {"host": config.weather.host, "latitude": place.latitude, "longitude": place.longitude}
        asked |= {"channels": place.channels, "lead_days": lead, "first": first.isoformat()}
        pulls = Pulls.open(folder / FETCHED / product, {"table": asked, **FACTS})
        if client.first <= client.last and (whole or _due(pulls, client, now)):
            fetch(client, pulls, None, _sayer(city, product), whole, max_shrink=1, now=now)
            calls += client.calls
        _write(city, product, pulls)
    if calls:
        city.say(f"weather: {FACTS['attribution']} ({FACTS['licence']}); {FACTS['use']}: these were {calls:,.0f}")
    for old in (folder / NEWEST).glob("*.csv"):
        if old.name < name_of(now - KEPT):
            old.unlink()


def _sayer(city: Preparation, product: str) -> Any:
    return lambda line: city.say(f"weather: {product}: {line}")


def _place(config: Config, table: EventTable, before: dict[str, Any]) -> Place:
    """The city's centre: the middle of its bounds, else the median of its reports; where it was, if that is near."""
    bounds, channels = resolve(config.source).bounds, dict(config.weather.channels)
    if bounds is not None:
        west, south, east, north = bounds
        latitude, longitude = (south + north) / 2, west + (east - west) % 360 / 2
    else:
        places = table.columns(("latitude", "longitude")).dropna()
        if places.empty:
            raise ConfigError(
                "source.bounds: no report has coordinates. Give the city's bounds: weather is of its middle."
            )
        origin = places["longitude"].iloc[0]
        latitude = places["latitude"].median()
        longitude = origin + ((places["longitude"] - origin + 180) % 360 - 180).median()
    longitude = (longitude + 180) % 360 - 180
    if (
        before
        and max(abs(before["latitude"] - latitude), abs((before["longitude"] - longitude + 180) % 360 - 180)) < NEAR
    ):
        latitude, longitude = before["latitude"], before["longitude"]
    return Place(round(float(latitude), 2), round(float(longitude), 2), channels)


def _due(pulls: Pulls, client: OpenMeteo, now: pd.Timestamp) -> bool:
    """Whether there may be something new."""
    before = pulls.newest
    if before is None or pulls.pending is not None or utc(before["cursor"]["last"]) < client.last:
        return True
    checked = utc(before["checked"])
    return checked < client.last + COMING_AGAIN and now - checked >= PAUSE


def _write(city: Preparation, product: Product, pulls: Pulls) -> None:
    """Write what was pulled in the form in which a cube is made from it."""
    if (newest := pulls.newest) is None:
        return
    settings = city.config.weather
    hours, folder = hours_of(pulls.folder), city.place.weather
    name = {"observed": "observed.csv", "issued": "forecast.csv"}.get(product)
    path = folder / (name or f"{NEWEST}/{name_of(utc(newest['finished']))}")
    table = hours.reindex(columns=list(settings.channels))
    content = table.to_csv(index_label=settings.time, date_format="%Y-%m-%d %H:%M").encode()
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
