"""The briefing of the service."""

from pathlib import Path

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from small_grids import COMPARISON, FACTS, ISSUED, grid, store_of, usual

from stforecast.config import parse
from stforecast.delivery.api import briefs
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.brief import brief_of
from stforecast.delivery.brief_pdf import pdf_of


class Clock:
    """A clock that is set by hand."""

    now = ISSUED + pd.Timedelta(hours=1)

    def __call__(self) -> pd.Timestamp:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(tmp_path: Path, clock: Clock) -> TestClient:
    config = parse({"city": "denver", "root": str(tmp_path), "service": {"hosts": ["testserver"]}}, "test")
    store = store_of(config)
    store.put(grid(), usual(grid()), FACTS | {"comparison": COMPARISON}, ISSUED)
    store.close()
    return TestClient(create_app(config, Keeper(store_of(config), clock)))


def test_it_is_that_of_the_command_and_drawn_once(client, clock, monkeypatch) -> None:
    answer = client.get("/v1/brief.pdf", params={"shift": "evening", "district": "South"})
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content == pdf_of(brief_of(grid(), "denver", "evening", "South", comparison=COMPARISON), [])
    monkeypatch.setattr(briefs.Briefs, "_drawn", None)  # no second time
    again = client.get("/v1/brief.pdf", params={"shift": "evening", "district": "South"})
    assert again.content == answer.content
    tag = {"If-None-Match": answer.headers["etag"]}
    assert client.get("/v1/brief.pdf", params={"shift": "evening", "district": "South"}, headers=tag).status_code == 304


def test_one_that_is_out_of_date_says_so(client, clock) -> None:
    fresh = client.get("/v1/brief.pdf").content
    clock.now += pd.Timedelta(days=2)
    old = client.get("/v1/brief.pdf")
    assert old.status_code == 200
    assert old.content != fresh


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"shift": "dusk"}, "shift dusk: no shift of this forecast of hours; it has day, evening, night. Choose one."),
        ({"district": "9"}, "district 9: the grid has none of that name, but =South, North, South."),
    ],
)
def test_what_there_is_not_is_answered_with_what_there_is(client, asked, said) -> None:
    answer = client.get("/v1/brief.pdf", params=asked)
    assert (answer.status_code, answer.json()) == (404, {"error": said})
