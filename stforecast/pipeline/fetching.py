"""The stage before ingest: what is new at the publisher, brought into bronze."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stforecast.config.sections import Table
from stforecast.errors import ConfigError, DataError, FetchError, StforecastError
from stforecast.events.readers.header import RAW_PREFIX, has_coordinates, locate
from stforecast.events.readers.read_file import read
from stforecast.events.sources import IngestRules, resolve
from stforecast.pipeline.preparation import Preparation, one_writer
from stforecast.publishers import publisher
from stforecast.sources.clients import client_of, single_tables
from stforecast.sources.fetch import fetch as fetch_table
from stforecast.sources.pulls import FETCHED, Pulls, manifests
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
        DataError, FetchError: a failure, after all tables were tried; a publisher that does not answer comes last.
    """
    source, web, new = resolve(city.config.source), web or Web(), False
    if not (source.tables or city.config.layers or city.config.weather.source):
        raise ConfigError("source.tables: not given. Name the publisher's tables, or set source.preset.")
    failures: list[StforecastError] = []
    for table in source.tables:
        try:
            singles = single_tables(web, table)
        except StforecastError as error:
            singles, failures = [], [*failures, error]
        for single in singles:
            try:
                new |= _fetch(city, single, web, whole)
            except StforecastError as error:
                failures.append(error)
    for folder, facts in manifests(city.place.bronze).items():
        if not any(_covers(table, facts["table"]) for table in source.tables):
            city.say(f"fetch: {folder} is of no table of source.tables, and is read all the same; remove it if need be")
    failures.sort(key=lambda error: isinstance(error, FetchError))
    for failure in failures[1:]:
        city.say(f"fetch: {failure}")
    if failures:
        raise failures[0]
    return new


def fetch_first(city: Preparation) -> None:
    """Fetch where the configuration says so, and go on with what there is where a publisher does not answer.

    Raises:
        ConfigError, DataError: as `fetch`.
        FetchError: a table was not fetched before either.
    """
    if not city.config.source.fetch:
        return
    try:
        fetch(city)
    except FetchError as error:
        known = [facts["table"] for facts in manifests(city.place.bronze).values()]
        tables = resolve(city.config.source).tables
        tables = [table.model_copy(update={"url": url}) for table in tables for url in table.urls]
        if not all(any(_covers(table, facts) for facts in known) for table in tables):
            raise
        city.say(f"fetch: {error}")
        city.say("fetch: goes on with what was fetched before")


def _covers(table: Table, facts: Mapping[str, Any]) -> bool:
    """Whether what was fetched is a table of the configuration, or a layer of it."""
    if table.kind == "arcgis" and table.dataset:
        return str(facts["url"]).rpartition("/")[0] == table.urls[0].rstrip("/")
    return facts["url"] in table.urls and facts.get("dataset") == table.dataset


def _fetch(city: Preparation, table: Table, web: Web, whole: bool) -> bool:
    rules = IngestRules.of_city(city.config)
    columns = rules.source.columns
    keyed = bool(columns.event_id) and not columns.count  # a count takes back reports, as often as it is read
    needed = {*rules.needed, *(("event_id",) if keyed and table.kind != "file" else ())}
    pulls = Pulls.open(city.place.bronze / FETCHED / table.name, _facts(city, table, keyed))

    def look(path: Path) -> tuple[list[str], dict[str, str]]:
        name = pulls.folder.name
        try:
            chunk = next(read(path, None, rows_in=rules.source.rows_in))
            texts = list(map(str, chunk.frame))
            names = [text.removeprefix(RAW_PREFIX) for text in texts if text.startswith(RAW_PREFIX)]
            found = locate(names, columns, needed, name, geometry=has_coordinates(texts))
        except DataError as error:
            raise DataError(f"{str(error).replace(str(path), name)} Nothing was changed.") from error
        return names, {field: names[at] for field, at in found.items()}

    return fetch_table(
        client_of(table, web, keyed),
        pulls,
        look,
        lambda line: city.say(f"fetch: {pulls.folder.name}: {line}"),
        whole,
        rules.source.max_shrink,
    )


def _facts(city: Preparation, table: Table, keyed: bool) -> dict[str, Any]:
    """What the manifest says of a table and its publisher."""
    facts: dict[str, Any] = {"table": {**table.model_dump(mode="json", exclude_defaults=True), "keyed": keyed}}
    if preset := city.config.source.preset:
        known = publisher(preset)
        facts |= {"publisher": known.publisher, "licence": known.licence, "attribution": known.attribution}
    return facts
