"""From table to forecast: what an embargo, a late report or an unfinished span holds back reaches no forecast."""

from dataclasses import replace

import h3.api.basic_int as h3
import numpy as np
import pandas as pd
import pytest
from small_cities import fitted, settings

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.cube.build import build
from stforecast.cube.hexgrid import centres
from stforecast.events.schema import COLUMNS, TIMES, EventTable
from stforecast.features.delay import reported_share
from stforecast.forecasters.registry import BUILT_IN
from stforecast.forecasters.trees import Trees
from stforecast.scoring.splits import make_split

START = pd.Timestamp("2023-01-10 07:00", tz="UTC")  # midnight in Denver
DAYS, EMBARGO = 60, 30
SPLIT = make_split(DAYS * 24, 24, 0, 0.6, 0.15, 24, 24, lambda date: 0)
T0 = int(SPLIT.issues("test")[5])
PLACES = centres(np.array(sorted(h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 1)), np.int64))
FIXED = ("climatology", "hexagon_mean")
"""What they rest on ends with the slice before."""


def frame(count: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """Events with spans of up to two days; half of them are reported, up to five days later. Times in hours."""
    rng = np.random.default_rng(seed)
    hour = np.sort(rng.uniform(0, DAYS * 24, count))
    until = hour + rng.choice([0, 2, 8, 48], count) * rng.random(count)
    reported = np.where(rng.random(count) < 0.5, until + rng.uniform(0, 120, count), np.nan)
    place, kind = rng.integers(0, len(PLACES), count), rng.choice(["property", "violent"], count)
    return pd.DataFrame({"hour": hour, "until": until, "reported": reported, "place": place, "category": kind})


def cube_of(events: pd.DataFrame, config: Config) -> Cube:
    rows = events.sort_values("hour").reset_index(drop=True)
    times = zip(TIMES, ("hour", "until", "reported"), strict=True)
    columns = {name: (START + pd.to_timedelta(rows[hours], unit="h")).dt.as_unit("us") for name, hours in times}
    table = rows[["category"]].assign(
        **columns,
        event_id=rows.index.astype(str),
        incident_id=pd.Series(pd.NA, rows.index, "str"),
        latitude=PLACES[rows["place"], 0],
        longitude=PLACES[rows["place"], 1],
        offence="any",
        area=pd.Series(pd.NA, rows.index, "str"),
        district=pd.Series(pd.NA, rows.index, "str"),
        arrest=pd.Series(pd.NA, rows.index, "boolean"),
    )
    return build(EventTable(table[list(COLUMNS)], {"categories": ["property", "violent"]}), config)


def known_at(events: pd.DataFrame, spans: str) -> np.ndarray:
    """The hour in which each event became known, by the plain rule."""
    start = np.floor(events["hour"])
    touched = np.ceil(events["until"]).clip(lower=start + 1) - start
    last = start + np.where((spans == "aoristic") & (touched <= 24), touched - 1, 0)
    return np.fmax(last + EMBARGO, np.floor(events["reported"])).to_numpy()


def settings_of(spans: str) -> Config:
    return settings(
        embargo_hours=EMBARGO,
        training={"max_epochs": 1},
        grid={"spans": spans, "min_events": 1},
        source={
            "time_zone": "America/Denver",
            "columns": {"occurred": ["t"], "latitude": ["y"], "longitude": ["x"], "offence": ["o"]},
            "categories": {"property": ["theft"], "violent": ["assault"]},
            "first_day": START.date(),
            "last_day": (START + pd.Timedelta(days=DAYS - 1)).date(),
        },
        evaluation={"ensemble": ["rolling_climatology", "last_week"]},
    )


@pytest.fixture(scope="module")
def cubes() -> dict[str, tuple[Cube, Cube, Cube]]:
    """By rule for spans: the city, one with other events known from T0 on, and one with others known a day earlier."""
    events, others, out = frame(), frame(seed=1), {}
    for spans in ("start", "aoristic"):
        known, other_known, config = known_at(events, spans), known_at(others, spans), settings_of(spans)
        assert (events["hour"][known >= T0] < T0).sum() > 50  # occurred before the issue time, held back
        changed = (pd.concat([events[known < t], others[other_known >= t]]) for t in (T0, T0 - 24))
        out[spans] = (cube_of(events, config), *(cube_of(table, config) for table in changed))
    assert out["aoristic"][0].until_hour is not None
    return out


@pytest.mark.parametrize(("name", "spans"), [*((name, "aoristic") for name in BUILT_IN), ("last_week", "start")])
def test_what_was_held_back_reaches_no_forecast(
    name: str, spans: str, cubes: dict[str, tuple[Cube, Cube, Cube]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trees, "quiet_rows", 2_000)
    cube, later, earlier = cubes[spans]
    forecaster = fitted(name, cube, SPLIT, config=settings_of(spans))
    forecast = forecaster.raw(cube, np.array([T0]))
    np.testing.assert_array_equal(forecast, forecaster.raw(later, np.array([T0])))
    if name not in FIXED:
        assert not np.array_equal(forecast, forecaster.raw(earlier, np.array([T0])))
    if spans == "aoristic" and name != "hexagon_mean":  # whose sums are the same
        at_start = forecaster.raw(replace(cube, until_hour=None), np.array([T0]))
        assert not np.allclose(forecast, at_start, rtol=1e-4)


@pytest.mark.parametrize("spans", ["start", "aoristic"])
def test_what_was_held_back_does_not_move_the_level(spans: str, cubes: dict[str, tuple[Cube, Cube, Cube]]) -> None:
    cube, later, _ = cubes[spans]
    last_week = fitted("last_week", cube, SPLIT, config=settings_of(spans))
    forecast = last_week.forecast(cube, np.array([T0])).intensity
    assert not np.allclose(forecast, last_week.raw(cube, np.array([T0])), rtol=1e-3)
    np.testing.assert_array_equal(forecast, last_week.forecast(later, np.array([T0])).intensity)


@pytest.mark.parametrize(("days", "silent_days"), [(400, 0), (60, 0), (400, 5)])
def test_the_reported_share_of_the_last_days(days: int, silent_days: int) -> None:
    """In a long record, in one in which many reports are still to come, and where none came in the last days."""
    rng = np.random.default_rng(0)
    steps, count = days * 24, 60_000
    hour = rng.integers(0, steps, count)
    delay = np.where(rng.random(count) < 0.5, 0, rng.exponential(240, count)).astype(int)
    seen = hour + delay < steps - silent_days * 24
    place = {"name": "one", "hexagons": pd.DataFrame({"hexagon": ["a"]}), "edges": np.zeros((2, 0), int)}
    cube = Cube.from_events(
        hour[seen],
        *np.zeros((2, seen.sum()), int),
        (hour + delay)[seen],
        start=START,
        steps=steps,
        categories=("a",),
        **place,
    )
    for first in (0, steps - 30 * 24, steps - 7 * 24):
        here = hour >= first
        assert reported_share(cube, first, steps) == pytest.approx(seen[here].mean(), abs=0.02)
