"""The stage before ingest: what is new at the publisher, brought into bronze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stforecast.config.sections import Table
from stforecast.errors import ConfigError, FetchError, StforecastError
from stforecast.events.readers.header import locate
from stforecast.events.sources import IngestRules, resolve
from stforecast.pipeline.preparation import Preparation, one_writer
from stforecast.publishers import publisher
from stforecast.sources.clients import client_of, single_tables
from stforecast.sources.fetch import fetch as fetch_table
from stforecast.sources.pulls import FETCHED, Pulls, fetched_folders
from stforecast.sources.web import Web


@one_writer
def fetch(city: Preparation, whole: bool = False, web: Web | None = None) -> bool:
    """Bring every table of the source into bronze; one that fails does not keep the others back.

    Args:
        city: its stages.
        whole: pull all rows, also where changes would do.
        web: default the network.

    Returns:
        Whether there is anything new.

    Raises:
        ConfigError: the source names no table.
        DataError, FetchError: the first failure, after all tables were tried.
    """
    source, web, new = resolve(city.config.source), web or Web(), False
    if not (source.tables or city.config.layers or city.config.weather.source):
        raise ConfigError("source.tables: not given. Name the publisher's tables, or set source.preset.")
    failures: list[StforecastError] = []
    for table in source.tables:
        try:
            for single in single_tables(web, table):
                new |= _fetch(city, single, web, whole)
        except StforecastError as error:
            failures.append(error)
            city.say(f"fetch: {error}")
    if failures:
        raise failures[0]
    return new


def fetch_first(city: Preparation) -> None:
    """Fetch where the configuration says so, and go on with what there is where a publisher does not answer.

    Raises:
        ConfigError, DataError: as `fetch`.
        FetchError: nothing was fetched before either.
    """
    if not city.config.source.fetch:
        return
    try:
        fetch(city)
    except FetchError:
        if not fetched_folders(city.place.bronze):
            raise
        city.say("fetch: goes on with what was fetched before")


def _fetch(city: Preparation, table: Table, web: Web, whole: bool) -> bool:
    rules = IngestRules.of_city(city.config)
    source = rules.source
    pulls = Pulls.open(city.place.bronze / FETCHED / table.name, _facts(city, table))

    def check(columns: Sequence[str]) -> None:
        locate(columns, source.columns, rules.needed, pulls.folder.name, geometry=table.kind == "arcgis")

    return fetch_table(
        client_of(table, web, keyed=bool(source.columns.event_id)),
        pulls,
        check,
        lambda line: city.say(f"fetch: {pulls.folder.name}: {line}"),
        whole,
        source.max_shrink,
    )


def _facts(city: Preparation, table: Table) -> dict[str, Any]:
    """What the manifest says of a table and its publisher."""
    facts: dict[str, Any] = {"table": table.model_dump(mode="json", exclude_defaults=True)}
    if preset := city.config.source.preset:
        known = publisher(preset)
        facts |= {"publisher": known.publisher, "licence": known.licence, "attribution": known.attribution}
    return facts
