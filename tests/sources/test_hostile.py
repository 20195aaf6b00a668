"""Publishers that behave badly: what comes is the truth, each row once, or an error, with bronze as it was."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fetched_city import KINDS, bronze, page_rows, pull, record, rows, stages_of, truth, with_rows
from hypothesis import given, note, settings
from hypothesis import strategies as st
from publisher import Asked, Publisher, Reply, serving
from publisher import Table as Records

from stforecast.errors import StforecastError

Spoil = Callable[[Reply], Reply]
PAST = "Wed, 21 Oct 2015 07:28:00 GMT"


def _with(make: Callable[[list[Any]], list[Any]]) -> Spoil:
    """Other rows in a page."""

    def spoil(reply: Reply) -> Reply:
        found = page_rows(reply.body)
        return reply if not found else replace(reply, body=with_rows(reply.body, make(found)))

    return spoil


def _error(reply: Reply) -> Reply:
    """An error with status 200, as ArcGIS and CKAN give them."""
    body = {"error": {"code": 503, "message": "busy"}, "success": False}
    return replace(reply, body=json.dumps(body).encode())


ANYWHERE: dict[str, Spoil] = {
    "503": lambda reply: Reply(b"busy", status=503),
    "429 for no time": lambda reply: Reply(b"", status=429, headers={"Retry-After": "0"}),
    "429 until a date": lambda reply: Reply(b"", status=429, headers={"Retry-After": PAST}),
    "429 until nonsense": lambda reply: Reply(b"", status=429, headers={"Retry-After": "soon"}),
    "dropped": lambda reply: replace(reply, cut=len(reply.body) // 2),
    "longer than said": lambda reply: replace(reply, claimed=len(reply.body) + 7),
    "an HTML page": lambda reply: Reply(b"<!DOCTYPE html><p>Down for maintenance", "text/html"),
    "an HTML page as CSV": lambda reply: Reply(b"\n<html><p>Down for maintenance", "text/csv"),
    "an error with status 200": _error,
    "nothing": lambda reply: Reply(b"", reply.kind),
    "noise": lambda reply: Reply(b'{"a": [', reply.kind),
    "moved in a circle": lambda reply: Reply(b"", status=302, headers={"Location": "/export.csv?again"}),
}
OF_PAGES: dict[str, Spoil] = {
    "shorter than said": lambda reply: replace(reply, claimed=len(reply.body) // 2),
    "an empty page": _with(lambda found: []),
    "another order": _with(lambda found: random.Random(0).sample(found, len(found))),
    "a row twice": _with(lambda found: [*found, found[0]]),
}
OF_WHOLE: dict[str, Spoil] = {
    "a row less": _with(lambda found: found[1:]),
    "half a page": _with(lambda found: found[: len(found) // 2]),
    "a page again": _with(lambda found: found),
}


class World:
    """A table, its publisher, and the city that fetches it."""

    def __init__(self, kind: str, keyed: bool, publisher: Publisher, root: Path) -> None:
        self.kind, self.keyed, self.publisher, self.table = kind, keyed, publisher, publisher.table
        self.said = list[str]()
        self.stages = stages_of(root, publisher.url, kind, keyed, self.said, max_shrink=1)

    def fetch(self, plan: dict[int, tuple[str, Any]], whole: bool = False) -> bool:
        """Fetch while the publisher behaves as planned, by the number of the request; whether that went well."""
        first = len(self.publisher.asked)

        def fault(asked: Asked, reply: Reply) -> Reply:
            what, how = plan.get(asked.number - first, ("", None))
            page = asked.is_page and self.kind != "file"
            if what == "change":
                how(self.table)
            elif (
                what in ANYWHERE or (page and what in OF_PAGES) or (page and not asked.of_changes and what in OF_WHOLE)
            ):
                return how(reply)
            return reply

        before = bronze(self.stages)
        self.publisher.fault = fault
        try:
            pull(self.stages, whole)
        except StforecastError:
            failed = True
        else:
            failed = False
        self.publisher.fault = None
        note(f"{self.said[-3:]}, {len(self.publisher.asked) - first} requests")
        assert not failed or bronze(self.stages) == before
        return not failed


NUMBERS = st.integers(0, 40)
CHANGES = st.one_of(
    st.tuples(st.just("put"), NUMBERS, st.integers(1, 12), st.sampled_from(["theft", "assault"])),
    st.tuples(st.just("drop"), NUMBERS, st.integers(1, 3), st.just("")),
    st.tuples(st.just("rewrite"), NUMBERS, st.just(0), st.just("")),
)


def apply(change: tuple[str, int, int, str], table: Records) -> None:
    """Change the publisher's table."""
    what, first, number, offence = change
    if what == "put":
        table.put({case: row | {"date": row["date"]} for case, row in rows(first, first + number, offence).items()})
    elif what == "drop":
        table.drop([case for case in rows(first, first + number) if case in table.rows and len(table.rows) > 20])
    else:
        table.rewrite(first)


FAULTS = st.sampled_from([*ANYWHERE, *OF_PAGES, *OF_WHOLE])


@st.composite
def plans(draw: st.DrawFn) -> dict[int, tuple[str, Any]]:
    """What happens at some of the requests of a fetch."""
    plan: dict[int, tuple[str, Any]] = {}
    for number in draw(st.lists(st.integers(1, 12), max_size=4, unique=True)):
        if draw(st.integers(0, 3)):
            name = draw(FAULTS)
            plan[number] = (name, {**ANYWHERE, **OF_PAGES, **OF_WHOLE}[name])
        else:
            change = draw(CHANGES)
            plan[number] = ("change", lambda table, change=change: apply(change, table))
    return plan


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "unkeyed"])
@settings(max_examples=settings().max_examples // 20, deadline=None, print_blob=False)
@given(days=st.lists(st.tuples(st.lists(CHANGES, max_size=3), plans(), st.booleans()), min_size=1, max_size=3))
def test_any_sequence_of_faults_and_changes_ends_in_the_truth(
    kind: str, keyed: bool, days: list[tuple[list[Any], dict[int, tuple[str, Any]], bool]]
) -> None:
    table = Records()
    table.put(rows(0, 30))
    with serving(table, limit=7) as publisher, tempfile.TemporaryDirectory() as root:
        world = World(kind, keyed, publisher, Path(root))
        for changes, plan, whole in days:
            for change in changes:
                apply(change, table)
            begun = dict(table.rows)
            note(f"{changes}, { ({at: what for at, (what, _) in plan.items()}) }, {'whole' if whole else 'changes'}")
            if not world.fetch(plan, whole):
                continue
            found = record(world.stages, keyed)
            steady = [case for case, row in table.rows.items() if begun.get(case) is row]
            if not any(what == "change" for what, _ in plan.values()) and (whole or not keyed or kind == "file"):
                assert found == truth(table.rows, keyed)
            elif keyed:
                assert len(found) == len({case for case, *_ in found})
                assert {*truth({case: table.rows[case] for case in steady})} <= {*found}
        assert world.fetch({}, whole=True)
        assert record(world.stages, keyed) == truth(table.rows, keyed)
