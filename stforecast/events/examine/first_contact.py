"""Tables at a publisher → a configuration of their city, from rows that are asked for at first contact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from stforecast.config import parse
from stforecast.config.sections import Table
from stforecast.errors import DataError, FetchError, StforecastError
from stforecast.events.examine.entries import ConfigEntry
from stforecast.events.examine.init import new_configuration, plain_name, write
from stforecast.events.examine.propose import Proposal, propose
from stforecast.events.examine.sample import Sample, sample_files
from stforecast.events.readers.header import locate
from stforecast.events.sources import IngestRules
from stforecast.publishers import Publisher, publisher
from stforecast.sources.addresses import table_at
from stforecast.sources.clients import client_of, single_tables
from stforecast.sources.pulls import FETCHED
from stforecast.sources.web import Retry, Web

MOST = 5_000
"""Rows that are asked for from each end of a table."""
HOPELESS = 3
"""Tables that fail, before any answered, from which the others are not asked for."""
RETRY = Retry(total=2, backoff_factor=0.5, backoff_jitter=0.5)


@dataclass(frozen=True, eq=False)
class Looked:
    """A table and what was seen of it: files of its rows, and the rows."""

    table: Table
    files: list[Path]
    sample: Sample


def init_city(
    preset: str,
    city: str | None,
    say: Callable[[str], None],
    now: pd.Timestamp | None = None,
    web: Web | None = None,
) -> Path:
    """Write `configs/CITY.yaml` for a publisher of the catalogue; see `init`.

    Args:
        preset: the publisher.
        city: default the preset.
        now: default the present; later events are refused.
        web: default the network.

    Raises:
        ConfigError: there is such a configuration.
        DataError: the rows have no dates or places.
        FetchError: nothing of it can be fetched.
    """
    known, city = publisher(preset), city or preset
    by_hand = f"Download the reports by hand from {' or '.join(known.addresses)}, then `stforecast init FILE`."
    if not known.source.tables:
        for quirk in known.quirks:
            say(f"note: {quirk}")
        raise FetchError(f"{known.title}: no table of it can be fetched. {by_hand}")
    try:
        return _init(known.source.tables, preset, city, list(remarks_on(known)), say, now, web)
    except FetchError as error:
        raise FetchError(f"{error} {by_hand}") from error


def init_url(
    url: str,
    city: str | None,
    say: Callable[[str], None],
    now: pd.Timestamp | None = None,
    web: Web | None = None,
) -> Path:
    """Write `configs/CITY.yaml` for the table at an address; see `init_city`.

    Args:
        url: of a page, a service or a file.
        city: default the name of the table.
        now: default the present; later events are refused.
        web: default the network.

    Raises:
        ConfigError: there is such a configuration, or there are several tables.
        DataError: the rows have no dates or places.
        FetchError: nothing answers there, or nothing that holds rows.
    """
    web = web or Web(RETRY)
    table, name = table_at(web, url)
    remark = "licence and attribution: not known; the publisher's page tells, and whether you may use the data"
    return _init([table], None, city or plain_name(name), [remark], say, now, web)


def remarks_on(known: Publisher) -> Iterator[str]:
    """What is to be known of a publisher before its rows are used."""
    yield f"publisher: {known.publisher or known.title}; {', '.join(known.addresses)}"
    yield f"licence: {known.licence}" + (f"; attribution: {known.attribution}" if known.attribution else "")
    if known.live is None:
        yield f"never tried live: {known.tried}; look through what is read"
    for quirk in known.quirks:
        yield f"note: {quirk}"


def _init(
    tables: Sequence[Table],
    preset: str | None,
    city: str,
    remarks: list[str],
    say: Callable[[str], None],
    now: pd.Timestamp | None,
    web: Web | None,
) -> Path:
    now = now or pd.Timestamp.now("UTC")
    parse({"city": city}, "--city")
    target = new_configuration(city)
    with TemporaryDirectory(prefix="stforecast-") as folder:
        looked, left_out = look_at(tables, Path(folder), say, web or Web(RETRY))
        proposal, kept, more = _proposed(looked, tables, [table for table, _ in left_out], city, preset, now)
        files = [path for each in reversed(kept) for path in each.files]
        sample = _joined(kept)
        for table, reason in [*left_out, *more]:
            remarks.append(f"left out: {_shown(table)}: {reason}")
        if preset and publisher(preset).has_format and proposal.config.source.preset is None:
            remarks.append(f"the columns are not those of the format of {preset}, so they were sought by their values")
        if not proposal.rules.source.columns.event_id:
            remarks.append("no column is a key of the rows, so every fetch of what has changed is a whole one")
        if not sample.whole:
            remarks.append("a sample: the oldest and the newest rows; what ingest makes of it is said of them alone")
        what = f"{len(sample):,} rows of {_shown(*(each.table for each in kept))}"
        write(target, proposal, sample, files, what, remarks, say, now)
    return target


def look_at(
    tables: Sequence[Table], folder: Path, say: Callable[[str], None], web: Web
) -> tuple[list[Looked], list[tuple[Table, str]]]:
    """Rows of each table, the newest table first; and those of which none came, with the reason.

    Raises:
        FetchError, DataError: none came of any.
    """
    looked: list[Looked] = []
    failed: list[tuple[Table, StforecastError]] = []
    for unit in _units(tables, web, failed):
        try:
            looked.append(_look(unit, folder / FETCHED / unit.name, web))
            say(f"{_shown(unit)}: {len(looked[-1].sample):,} rows to look at")
        except (FetchError, DataError) as error:
            failed.append((unit, error))
        if len(failed) >= HOPELESS and not looked:
            break
    if not looked:
        raise failed[0][1]
    return looked, [(table, str(error)) for table, error in failed]


def _units(tables: Sequence[Table], web: Web, failed: list[tuple[Table, StforecastError]]) -> Iterator[Table]:
    """The tables that have a header each, the newest first; `failed` takes those of which that cannot be found out."""
    for table in reversed(tables):
        try:
            yield from [table] if table.kind == "file" else reversed(single_tables(web, table))
        except FetchError as error:
            failed.append((table, error))


def _look(table: Table, folder: Path, web: Web) -> Looked:
    """Rows of a table; of several files those of the first and of the last."""
    singles = single_tables(web, table)
    files, looks = [], []
    for at, single in enumerate(singles if len(singles) < 3 else [singles[0], singles[-1]]):
        into = folder / str(at)
        into.mkdir(parents=True)
        looks.append(client_of(single, web, False).look(into, MOST))
        files += looks[-1].files
    sample = sample_files(files)
    whole = sample.whole and all(look.whole for look in looks) and len(looks) == len(singles)
    numbers = {look.row_id for look in looks if look.row_id}
    of_server = frozenset(name for name in sample.columns if name.startswith(":") or name in numbers)
    row_id = next((look.row_id for look in looks if look.stable), None)
    return Looked(table, files, replace(sample, whole=whole, of_server=of_server, row_id=row_id))


def _proposed(
    looked: Sequence[Looked],
    tables: Sequence[Table],
    failed: Sequence[Table],
    city: str,
    preset: str | None,
    now: pd.Timestamp,
) -> tuple[Proposal, list[Looked], list[tuple[Table, str]]]:
    """The configuration by the newest table and those that have its columns; these; and the others, with the reason."""
    newest = looked[0]

    def propose_by(kept: Sequence[Looked]) -> Proposal:
        origin, sample = _shown(newest.table), _joined(kept)
        whence = [ConfigEntry("source.fetch", True, "run and refresh fetch what is new first")]
        draft = propose(sample, city, whence, origin, now, preset)
        gone = [*failed, *(each.table for each in looked if each not in kept)]
        named = _tables(tables, kept, gone, draft, sample)
        whence.append(ConfigEntry("source.tables", named, "the newest last" if len(named) > 1 else ""))
        at = next(i for i, entry in enumerate(draft.entries) if entry.key == "source.fetch")
        entries = [*draft.entries[:at], *whence, *draft.entries[at + 1 :]]
        return replace(draft, entries=entries)

    proposal = propose_by([newest])
    rules, kept, others = IngestRules.of(proposal.config.source), [newest], []
    for each in looked[1:]:
        header, placed = list(each.sample.columns), bool(each.sample.points)
        try:
            locate(header, rules.source.columns, rules.needed, "it has other columns than the newest", placed)
            kept.append(each)
        except DataError as error:
            others.append((each.table, str(error)))
    return (propose_by(kept) if len(kept) > 1 else proposal), kept, others


def _tables(
    tables: Sequence[Table], kept: Sequence[Looked], gone: Sequence[Table], proposal: Proposal, sample: Sample
) -> list[dict[str, Any]]:
    """`source.tables` for those that are kept; a service stands for its layers, where none of them is gone. Where no
    date is named, or one that is not there, new rows are asked for by that of the report, or else the occurrence."""
    columns = proposal.rules.source.columns
    dates = [name for names in (columns.reported, columns.occurred) if isinstance(names, list) for name in names]
    date = next((name for name in dates if name in sample.columns), None)
    named: list[Table] = []
    for table in tables:
        mine = [each.table for each in reversed(kept) if each.table == table or _is_layer(each.table, table)]
        whole = table.dataset and table.kind == "arcgis" and not any(_is_layer(each, table) for each in gone)
        named += [table] if mine and whole else mine
    given = [
        {"date": date} if table.kind in ("arcgis", "ckan") and table.date not in sample.columns else {}
        for table in named
    ]
    return [
        table.model_copy(update=update).model_dump(mode="json", exclude_defaults=True)
        for table, update in zip(named, given, strict=True)
    ]


def _joined(looked: Sequence[Looked]) -> Sample:
    """The rows of some tables, the oldest first."""
    if len(looked) == 1:
        return looked[0].sample
    sample = sample_files([path for each in reversed(looked) for path in each.files])
    newest = looked[0].sample
    return replace(
        sample,
        whole=sample.whole and all(each.sample.whole for each in looked),
        of_server=frozenset().union(*(each.sample.of_server for each in looked)),
        row_id=newest.row_id,
    )


def _is_layer(layer: Table, service: Table) -> bool:
    return layer.kind == "arcgis" and layer.urls[0].startswith(f"{service.urls[0].rstrip('/')}/")


def _shown(*tables: Table) -> str:
    """Tables for a message."""
    first = f"{urlsplit(tables[0].urls[0]).netloc} {tables[0].dataset}" if tables[0].dataset else tables[0].urls[0]
    more = sum(len(table.urls) for table in tables) - 1
    return f"{first} and {more} more" if more else first
