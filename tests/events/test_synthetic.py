"""The simulated city: its oracle is exact and blind to the future, and its files are a publisher's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h3
import numpy as np
import pandas as pd
import pytest

from stforecast.config import load
from stforecast.config.sections import Synthetic
from stforecast.errors import ArtefactError, ConfigError
from stforecast.events.synthetic import FORECAST_DAYS, City, excitation, oracle, simulate
from stforecast.events.synthetic_files import write_city
from stforecast.pipeline.stages import Stages

REPOSITORY = Path(__file__).resolve().parents[2]
QUICKSTART, REFERENCE = REPOSITORY / "configs/quickstart.yaml", REPOSITORY / "configs/reference/synthetic.yaml"


def parameters(**changes: object) -> Synthetic:
    """The quickstart's world with some parameters changed."""
    synthetic = load(QUICKSTART).synthetic
    assert synthetic is not None
    return Synthetic.model_validate(synthetic.model_dump() | changes)


@pytest.fixture(scope="module")
def city() -> City:
    """The quickstart's city."""
    return simulate(parameters(), seed=7)


@pytest.fixture(scope="module")
def busy() -> City:
    """A tiny city with many events, so that Monte Carlo converges."""
    world = parameters(hexagons=9, days=12, neighbour_share=0.6, cross_share=0.3)
    kinds = {name: k.model_copy(update={"rate": 24.0}) for name, k in world.categories.items()}
    return simulate(world.model_copy(update={"categories": kinds}), seed=1)


def add_excitation(city: City, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """X of the next hour from X and events of this one, both [n c], written out event by event."""
    p, out = city.parameters, x.copy()
    kinds = list(p.categories.values())
    for n in range(len(city.cells)):
        neighbours = city.edges[1][city.edges[0] == n]
        for c, own in enumerate(kinds):
            for other, kind in enumerate(kinds):
                share = 1 - p.cross_share if other == c else p.cross_share / (len(kinds) - 1)
                rho = 0.5 ** (1 / kind.half_life_hours)
                amount = y[n, c] * own.branching * share * (1 - rho) / rho
                out[n, other] += (1 - p.neighbour_share) * amount
                for neighbour in neighbours:
                    out[neighbour, other] += p.neighbour_share * amount / len(neighbours)
    return out * 0.5 ** (1 / np.array([k.half_life_hours for k in kinds]))


def test_excitation_follows_the_recursion(busy: City) -> None:
    x = np.zeros(busy.base.shape[1:])
    for t in range(72):
        np.testing.assert_allclose(excitation(busy)[t], x, rtol=1e-4, atol=1e-6)
        x = add_excitation(busy, x, busy.counts[t].astype(float))


def test_oracle_is_the_mean_of_simulated_futures(busy: City) -> None:
    """Futures drawn with the transition written out above, as one matrix from y to X."""
    issue, horizons, futures = 200, 12, 4000
    n, c = busy.base.shape[1:]
    units = np.eye(n * c).reshape(-1, n, c)
    response = np.stack([add_excitation(busy, np.zeros((n, c)), unit).ravel() for unit in units])  # [from to]
    decay = add_excitation(busy, np.ones((n, c)), np.zeros((n, c))).ravel()
    x = np.zeros(n * c)
    for t in range(issue):
        x = decay * x + busy.counts[t].ravel() @ response
    rng = np.random.default_rng(0)
    x = np.tile(x, (futures, 1))
    drawn = np.empty((futures, horizons, n * c))
    for k in range(horizons):
        drawn[:, k] = rng.poisson(busy.base[issue + k].ravel() + x)
        x = decay * x + drawn[:, k] @ response
    expected = oracle(busy, np.array([issue]), horizons)[0].reshape(horizons, n * c)
    error = (drawn.mean(0) - expected) / (drawn.std(0) / np.sqrt(futures))
    assert np.abs(error).max() < 5
    assert abs(error.std() - 1) < 0.15
    day = drawn.sum((1, 2))  # the sum is sharp enough to see a wrong order in the recursion
    assert abs(day.mean() - expected.sum()) < 4 * day.std() / np.sqrt(futures)
    assert expected.sum() > 1.03 * busy.base[issue : issue + horizons].sum()


def test_oracle_of_several_issues_is_each_alone(city: City) -> None:
    issues = np.array([0, 500, 24 * 427 - 24])
    together = oracle(city, issues)
    assert together.shape == (3, 24, *city.base.shape[1:])
    assert together.dtype == np.float32
    for i, issue in enumerate(issues):
        np.testing.assert_allclose(together[i], oracle(city, np.array([issue]))[0], rtol=1e-6)
    np.testing.assert_array_equal(together[0, 0], city.base[0])  # nothing has happened yet
    with pytest.raises(ValueError, match="issue steps must lie in"):
        oracle(city, issues + 1)


def test_oracle_does_not_see_events_after_the_issue_time(city: City) -> None:
    issue = 5000
    later = city.counts.copy()
    later[issue:] = np.random.default_rng(0).integers(0, 9, later[issue:].shape)
    changed = replace(city, counts=later)
    np.testing.assert_array_equal(oracle(changed, np.array([issue])), oracle(city, np.array([issue])))
    earlier = city.counts.copy()
    earlier[issue - 1, 0, 0] += 1
    assert (oracle(replace(city, counts=earlier), np.array([issue])) > oracle(city, np.array([issue]))).any()


def deviance(intensity: np.ndarray, y: np.ndarray) -> float:
    """Poisson deviance, 2 · mean(λ − y + y log(y / λ))."""
    y = y.astype(float)
    return float(2 * np.mean(intensity - y + y * np.log(np.where(y > 0, y / np.maximum(intensity, 1e-9), 1))))


def test_oracle_beats_the_true_base_rates_and_climatology(city: City) -> None:
    steps, train = len(city.base), int(0.75 * city.parameters.days) * 24
    issues = np.arange(train, steps - 23, 24)
    y = city.counts[train : issues[-1] + 24]
    best = deviance(oracle(city, issues).reshape(y.shape), y)
    scale = city.counts[:train].sum((0, 1)) / city.base[:train].sum((0, 1))
    true_rates = deviance(city.base[train : issues[-1] + 24] * scale, y)
    mean = deviance(np.broadcast_to(city.counts[:train].mean(0), y.shape), y)
    truth = deviance((city.base + excitation(city))[train : issues[-1] + 24], y)
    assert truth < best < 0.985 * min(true_rates, mean)


def test_stated_shares_hold(city: City) -> None:
    excited = excitation(city).sum(dtype=float)
    assert excited / (excited + city.base.sum(dtype=float)) == pytest.approx(0.54, abs=0.02)
    assert 0.015 < (city.counts.sum(2) > 0).mean() < 0.04
    by_hexagon = np.sort(city.counts.sum((0, 2), dtype=int))[::-1]
    assert by_hexagon[:6].sum() > 0.15 * by_hexagon.sum()  # 5 % of the hexagons
    train = int(0.75 * city.parameters.days) * 24
    assert city.counts[:train].sum((0, 2)).min() >= load(QUICKSTART).grid.min_events


def test_counts_neither_explode_nor_die(city: City) -> None:
    quarters = np.array_split(city.counts.sum((1, 2), dtype=int)[24 * 14 :], 4)
    rates = np.array([q.mean() for q in quarters])
    assert rates.max() < 2 * rates.min()
    world = parameters().model_dump()
    world["categories"]["theft"]["branching"] = 1.0
    with pytest.raises(ValueError, match="branching"):
        Synthetic.model_validate(world)


def test_weather_moves_the_base_rates(city: City) -> None:
    hours = len(city.base)
    rain = city.precipitation[:hours]
    rates = city.base[..., 0].mean(1)
    assert rates[rain > 2].mean() < 0.6 * rates[rain == 0].mean()
    assert len(city.temperature) == hours + 24 * FORECAST_DAYS


def test_too_many_events_are_a_config_error() -> None:
    world = parameters(hexagons=7, days=2)
    kinds = {name: k.model_copy(update={"rate": 1e5}) for name, k in world.categories.items()}
    with pytest.raises(ConfigError, match="more than 255"):
        simulate(world.model_copy(update={"categories": kinds}), seed=0)


def test_seed_decides(tmp_path: Path) -> None:
    world = parameters(hexagons=19, days=20)
    first, again, other = simulate(world, 3), simulate(world, 3), simulate(world, 4)
    np.testing.assert_array_equal(first.base, again.base)
    np.testing.assert_array_equal(first.counts, again.counts)
    assert (first.counts != other.counts).any()
    write_city(first, tmp_path / "a")
    write_city(again, tmp_path / "b")
    names = sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file())
    layers = [f"layers/{name}.geojson" for name in ("neighbourhoods", "parks", "rail", "streets", "water")]
    assert names == [*layers, "offences.csv", "weather/weather.csv", "weather/weather_forecast.csv"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_clean_rows_are_the_counts(city: City, tmp_path: Path) -> None:
    write_city(city, tmp_path)
    raw = pd.read_csv(tmp_path / "offences.csv", encoding="utf-8-sig")
    assert (tmp_path / "offences.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    clean = raw.dropna(subset=["LATITUDE"]).query("LATITUDE != 0").drop_duplicates("REPORT_ID")
    assert 0 < len(raw) - len(clean) < 0.005 * len(raw)
    occurred, reported = (pd.to_datetime(clean[key], utc=True) for key in ("OCCURRED_UTC", "REPORTED_UTC"))
    assert (occurred <= reported).all()
    assert (occurred.dt.floor("h") == reported.dt.floor("h")).all()
    groups = {o: i for i, k in enumerate(city.parameters.categories.values()) for o in k.offences}
    row = {cell: i for i, cell in enumerate(city.cells)}
    cells = [h3.latlng_to_cell(*point, 8) for point in clean[["LATITUDE", "LONGITUDE"]].itertuples(index=False)]
    hour = ((occurred - city.start) // pd.Timedelta(hours=1)).to_numpy()
    counts = np.zeros_like(city.counts)
    np.add.at(counts, (hour, [row[cell] for cell in cells], clean["OFFENSE"].map(groups).to_numpy()), 1)
    np.testing.assert_array_equal(counts, city.counts)

    observed, forecast = (pd.read_csv(tmp_path / f"weather/{n}.csv") for n in ("weather", "weather_forecast"))
    assert (len(observed), len(forecast)) == (len(city.counts), len(city.temperature))
    np.testing.assert_array_equal(forecast["temperature_2m"].to_numpy(np.float32), city.temperature)
    np.testing.assert_array_equal(observed["precipitation"], forecast["precipitation"][: len(observed)])
    assert pd.Timestamp(observed["time_utc"][0]) == city.start


@pytest.mark.parametrize("path", [QUICKSTART, REFERENCE])
def test_configurations_fit_their_world(path: Path) -> None:
    """Categories, time zone, resolution and bounds that the ingest is told are those of the simulation."""
    from fnmatch import fnmatch

    config = load(path)
    world = config.synthetic
    assert world is not None
    assert (config.source.time_zone, config.grid.resolution) == (world.time_zone, world.resolution)
    assert list(config.source.categories) == list(world.categories)
    for name, kind in world.categories.items():
        assert all(any(fnmatch(o, pattern) for pattern in config.source.categories[name]) for o in kind.offences)
    same = {"hexagons", "first_day", "days"}
    assert world.model_dump(exclude=same) == parameters().model_dump(exclude=same)
    west, south, east, north = config.source.bounds or (0, 0, 0, 0)
    assert west < world.longitude < east
    assert south < world.latitude < north


@pytest.mark.parametrize("zone", ["Australia/Sydney", "Asia/Kolkata", "America/Denver", "Africa/Abidjan"])
def test_the_city_begins_where_its_cube_does(zone: str, tmp_path: Path) -> None:
    """On either hemisphere, and where the local hour is not a UTC hour."""
    zones = [f"{section}.time_zone={zone}" for section in ("synthetic", "source")]
    small = ["synthetic.hexagons=7", "synthetic.days=20", "grid.min_events=1"]
    config = load("quickstart", [f"root={tmp_path}", *small, *zones])
    stages = Stages(config, lambda line: None)
    stages.ingest()
    assert config.synthetic is not None
    assert stages.build().start == simulate(config.synthetic, config.seed).start


def test_a_changed_simulation_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    settings = [f"root={tmp_path}", "synthetic.hexagons=7", "synthetic.days=20", "grid.min_events=1"]
    old, new = (Stages(load("quickstart", [*settings, *more]), lambda line: None) for more in ([], ["seed=9"]))
    old.ingest()
    old.build()
    with pytest.raises(ArtefactError, match="Run `stforecast ingest` first"):
        new.build()
    new.ingest()
    new.build()
    with pytest.raises(ArtefactError, match="Run `stforecast ingest` first"):
        old.cube()
