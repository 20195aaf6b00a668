"""The store: what comes back is what was put, whole, whoever writes at the same time."""

import os
import sqlite3
import threading
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from small_grids import FACTS, ISSUED, UNITS, grid, usual

from stforecast.delivery import store as module
from stforecast.delivery.store import Store
from stforecast.delivery.tables import METADATA
from stforecast.errors import ArtefactError, ConfigError

NOW, HOUR, DAY = pd.Timestamp("2024-09-30T06:05Z"), pd.Timedelta(hours=1), pd.Timedelta(days=1)
POSTGRES = os.environ.get("STFORECAST_TEST_POSTGRES")
needs_postgres = pytest.mark.skipif(not POSTGRES, reason="STFORECAST_TEST_POSTGRES names no PostgreSQL database")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def url(request, tmp_path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'forecasts.sqlite'}"
    else:
        assert POSTGRES is not None
        yield POSTGRES
        engine = sa.create_engine(POSTGRES)
        METADATA.drop_all(engine)
        engine.dispose()


@pytest.fixture
def store(url) -> Iterator[Store]:
    opened = Store(url, "denver")
    yield opened
    opened.close()


@pytest.mark.parametrize("unit", UNITS)
def test_what_comes_back_is_what_was_put(store, unit) -> None:
    written = grid(unit=unit)
    week = usual(written)
    number = store.put(written, week, FACTS, NOW)
    found = store.open(number)
    for name in ("intensity", "hexagons", "usual", "districts"):
        np.testing.assert_array_equal(getattr(found.grid, name), getattr(written, name))
    pd.testing.assert_frame_equal(found.grid.steps, written.steps)
    pd.testing.assert_frame_equal(found.grid.horizon, written.horizon)
    assert (found.facts, found.created, found.city) == (FACTS, NOW, "denver")
    np.testing.assert_array_equal(found.usual.slots, week.slots)
    np.testing.assert_array_equal(found.usual.months, week.months)
    state = store.state()
    assert (state.current, state.succeeded, state.error) == (number, NOW, None)


def test_a_grid_without_usual_districts_and_spreads_comes_back(store) -> None:
    written = grid(usual=None, districts=None, spreads={}, categories=("all",), intensity=np.ones((1, 24, 37, 1), "f4"))
    found = store.open(store.put(written, usual(grid()), FACTS, NOW)).grid
    assert (found.usual, found.districts, dict(found.spreads), found.categories) == (None, None, {}, ("all",))
    np.testing.assert_array_equal(found.intensity, written.intensity)


def test_a_grid_replaces_that_of_the_same_issue_and_an_id_is_never_given_twice(store) -> None:
    first = store.put(grid(), usual(grid()), FACTS, NOW)
    second = store.put(grid(seed=1), usual(grid()), FACTS, NOW)
    assert second > first
    with pytest.raises(ArtefactError, match=f"no grid {first}"):
        store.open(first)
    later = store.put(grid(issued=ISSUED + DAY), usual(grid()), FACTS, NOW)
    assert store.open(second).usual is None
    assert store.open(later).usual is not None


def test_old_grids_retire_but_not_the_current_one(store) -> None:
    numbers = [store.put(grid(issued=ISSUED + i * DAY), usual(grid()), FACTS, NOW) for i in (0, 1, 2)]
    assert store.retire(ISSUED + 2 * DAY) == [ISSUED, ISSUED + DAY]
    assert store.retire(ISSUED + 9 * DAY) == []
    assert store.state().current == numbers[-1]
    assert store.open(numbers[-1]).grid.issue_time == ISSUED + 2 * DAY
    with store.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM grids")).scalar() == 1


def test_how_refreshes_went(store) -> None:
    assert store.state() == module.State()
    store.note(attempted=NOW)
    store.note(error="weather.csv: absent")
    number = store.put(grid(), usual(grid()), FACTS, NOW + HOUR)
    assert store.state() == module.State(number, NOW, NOW + HOUR, None, NOW + HOUR)
    store.note(attempted=NOW + DAY)
    store.note(error="again")
    assert store.state() == module.State(number, NOW + DAY, NOW + HOUR, "again", NOW + HOUR)
    store.note(succeeded=NOW + DAY, error=None)
    assert store.state() == module.State(number, NOW + DAY, NOW + DAY, None, NOW + HOUR)


def test_cities_in_one_database_do_not_meet(url) -> None:
    denver, boston = Store(url, "denver"), Store(url, "boston")
    number = denver.put(grid(), usual(grid()), FACTS, NOW)
    assert boston.state().current is None
    boston.put(grid(seed=1), usual(grid()), FACTS, NOW)
    boston.retire(ISSUED + DAY)
    assert denver.open(denver.state().current).id == number
    assert denver.open(number).usual is not None
    denver.close()
    boston.close()


def test_a_put_that_fails_leaves_the_old_grid(store, monkeypatch) -> None:
    number = store.put(grid(), usual(grid()), FACTS, NOW)

    def fail(*_, **__):
        raise OverflowError("in the middle of a transaction")

    monkeypatch.setattr(Store, "_set", fail)
    with pytest.raises(ArtefactError):
        store.put(grid(issued=ISSUED + DAY), usual(grid()), FACTS, NOW)
    assert store.state().current == number
    np.testing.assert_array_equal(store.open(number).grid.intensity, grid().intensity)
    with store.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM grids")).scalar() == 1


def test_readers_have_a_whole_grid_while_another_writes(url) -> None:
    """Every value of a grid is its number: a mixture of two would show."""

    def numbered(i: int):
        return grid(rings=2, issued=ISSUED, intensity=np.full((1, 24, 19, 2), i, np.float32), districts=None)

    writer = Store(url, "denver")
    writer.put(numbered(1), usual(numbered(1)), FACTS | {"made_from": "1"}, NOW)
    done, seen, wrong = threading.Event(), set(), []

    def read() -> None:
        reader = Store(url, "denver")
        while not done.is_set():
            current = reader.state().current
            try:
                found = reader.open(current)
            except ArtefactError as error:  # replaced since: the next look finds its successor
                if "holds no grid" not in str(error):
                    wrong.append(error)
                continue
            values = np.unique(found.grid.leaves(found.grid.intensity))
            if values.tolist() != [int(found.facts["made_from"])] or found.grid.intensity.shape != (25, 3, 19):
                wrong.append(values)
            seen.add(found.id)
        reader.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for i in range(2, 14):
        writer.put(numbered(i), usual(numbered(i)), FACTS | {"made_from": str(i)}, NOW)
    done.set()
    for reader in readers:
        reader.join()
    writer.close()
    assert wrong == []
    assert len(seen) > 1


def test_several_that_open_a_new_store_at_once_agree(url) -> None:
    problems: list[Exception] = []

    def open_it() -> None:
        try:
            Store(url, "denver").close()
        except ArtefactError as error:
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    store = Store(url, "denver")
    assert store.state() == module.State()
    store.close()


@pytest.mark.parametrize("damage", ["UPDATE version SET number = 7", "DELETE FROM version", "DROP TABLE grids"])
def test_a_store_of_another_version_is_refused(tmp_path, damage) -> None:
    path = tmp_path / "forecasts.sqlite"
    Store(f"sqlite:///{path}", "denver").close()
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    with pytest.raises(ArtefactError, match=r"forecasts\.sqlite: not a store of schema version 4.*stforecast refresh"):
        Store(f"sqlite:///{path}", "denver")


def test_a_file_that_is_no_database_and_a_damaged_grid_are_named(tmp_path) -> None:
    path = tmp_path / "forecasts.sqlite"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 50)
    with pytest.raises(ArtefactError, match=r"forecasts\.sqlite: .*not a database"):
        Store(f"sqlite:///{path}", "denver")
    path.unlink()
    store = Store(f"sqlite:///{path}", "denver")
    number = store.put(grid(), usual(grid()), FACTS, NOW)
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE grids SET content = x'00'"))
    with pytest.raises(ArtefactError, match=f"grid {number} is damaged"):
        store.open(number)
    store.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nonsense", "not a URL"),
        ("oracle9://host/x", "no driver"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/x", "127.0.0.1"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(given, said) -> None:
    with pytest.raises((ConfigError, ArtefactError), match=said) as caught:
        Store(given, "denver")
    assert "secret" not in str(caught.value)
