"""What every forecaster must pass: `check_forecaster` tries one of your own as the package tries its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from stforecast.config.sections import HORIZONS, Unit
from stforecast.cube import Cube
from stforecast.cube.cells import add_up
from stforecast.forecasters.base import Forecaster


def small_city(days: int = 100, late: bool = False, seed: int = 0, step: Unit = "hour") -> Cube:
    """A simulated city of 12 places in a ring and two categories, by the hour, local day or month.

    Args:
        days: length of the record, in months where steps are months.
        late: whether half of the events are reported up to a week (or two months) late.
        seed: of the draws.
        step: what a step is.
    """
    rng, n, per_day = np.random.default_rng(seed), 12, 24 if step == "hour" else 1
    rhythm = (1 + 0.8 * np.sin(np.arange(days * per_day) * np.pi / 12))[:, None, None]
    counts = rng.poisson(rhythm * rng.gamma(2, 0.48 / per_day, (1, n, 2)))
    here = np.arange(n)
    edges = np.stack([np.r_[here, here], np.r_[(here + 1) % n, (here - 1) % n]])
    zone = "UTC" if step == "hour" else "America/Denver"
    axis: dict[str, Any] = {"step_unit": step, "time_zone": zone, "horizons": HORIZONS[step]}
    cube = Cube.from_dense(counts, edge_index=edges, name="small", start="2024-01-01 07:00", **axis)
    if not late:
        return cube
    longest = 2 if step == "month" else 7 * per_day
    delay = np.where(rng.random(len(cube.hour)) < 0.5, 0, rng.integers(1, longest + 1, len(cube.hour)))
    return replace(cube, **add_up(cube.hour, cube.hexagon, cube.category, cube.hour + delay, cube.weight))


def check_forecaster(kind: type[Forecaster], parts: Mapping[str, Forecaster] | None = None, **settings: Any) -> None:
    """Try a forecaster on small simulated cities of hours, days and months.

    It must learn, give finite intensities above 0 of the right shape (past the record's end too), give the same for an
    issue whatever else is asked, know nothing that becomes known at or after the issue time (bit for bit), and give the
    same after it was saved and opened.

    Args:
        kind: the class, a subclass of `stforecast.Forecaster`.
        parts: fitted forecasters that it reads, by name.
        settings: of its constructor.

    Raises:
        AssertionError: what it must do and does not.

    Example:
        >>> import stforecast as st
        >>> from stforecast.testing import check_forecaster
        >>> check_forecaster(st.HexagonMean)
    """
    assert isinstance(getattr(kind, "name", None), str), f"{kind.__name__}: give it a `name`."
    for step, late in product(HORIZONS, (False, True)):
        cube = small_city(late=late, step=step)
        split = cube.split(0.6, 0.15)
        test = split.issues("test")
        t0, name = int(test[3]), kind.name
        model = kind(parts=parts, **settings)
        model.fit(cube, split)
        issues = np.r_[t0, test[5], cube.steps, cube.steps + 5]
        found = model.raw(cube, issues)
        shape = (len(issues), cube.horizons, cube.n, cube.c)
        assert found.shape == shape, f"{name}: intensities are {found.shape}, expected [m k n c] {shape}."
        assert (np.isfinite(found) & (found >= 0)).all(), f"{name}: intensities must be finite and not negative."
        backwards = model.raw(cube, issues[::-1])[::-1]
        assert np.allclose(found, backwards, rtol=1e-4), f"{name}: a forecast depends on what else is asked."
        alone = model.raw(cube, np.array([t0]))
        changed = _another_future(cube, t0)
        assert np.array_equal(alone, model.raw(changed, np.array([t0]))), f"{name}: reads what becomes known later."
        again = kind(parts=parts, **settings)
        again.fit(changed, split)
        assert np.array_equal(alone, again.raw(changed, np.array([t0]))), f"{name}: learns from later reports."
        with tempfile.TemporaryDirectory() as folder:
            model.save(folder)
            opened = kind.load(folder, model.config, model.parts)
            before, after = (one.forecast(cube, issues).intensity for one in (model, opened))
        assert np.array_equal(before, after), f"{name}: gives other forecasts after it was saved and opened."


def _another_future(cube: Cube, t0: int) -> Cube:
    """The cube with other events from `t0` on, and those known by then as they were."""
    rng, count, known = np.random.default_rng(9), 400, cube.known_hour < t0
    hour = rng.integers(t0, cube.steps, count)
    new = (hour, rng.integers(0, cube.n, count), rng.integers(0, cube.c, count), hour, np.ones(count, np.float32))
    old = (cube.hour, cube.hexagon, cube.category, cube.known_hour, cube.weight)
    parts = add_up(*(np.concatenate([a[known], b]) for a, b in zip(old, new, strict=True)))
    return replace(cube, **parts)
