"""Maps of hexagon values."""

import re
import subprocess
import sys
import time

import h3
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import imread
from small_grids import grid as grid_by

from stforecast.cube.geometry import Hexagons, Polygons
from stforecast.delivery.figures import figure_of_values
from stforecast.delivery.map import (
    OUTLINE,
    class_bounds,
    class_labels,
    colours_of,
    draw_map,
    highest,
    map_png,
)
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.errors import ArtefactError
from stforecast.forecasters.forecast import Forecast

CELLS = np.array(h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 12))


def values_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).gamma(0.7, 0.3, count)


def forecast_of(k: int, **changes) -> Forecast:
    values = {
        "intensity": np.random.default_rng(1).gamma(0.5, 0.5 / k, (1, k, len(CELLS), 2)).astype(np.float32),
        "issue_times": pd.DatetimeIndex(["2024-11-03 06:00"], tz="UTC"),
        "hexagons": CELLS,
        "categories": ("theft", "violence"),
        "step_hours": 24 // k,
        "time_zone": "America/Denver",
        "model": "gcrn-20240930-ab12",
        "complete_until": pd.Timestamp("2024-11-03 05:00", tz="UTC"),
        "assumptions": ("no weather for 24 of 24 hours",),
    }
    return Forecast(**values | changes)


@given(hnp.arrays(float, st.integers(1, 40), elements=st.floats(0, 1e4)))
def test_classes_ascend_and_take_every_value(values):
    bounds = class_bounds(values)
    assert 1 <= len(bounds) <= 6
    assert (np.diff(bounds) > 0).all()
    assert (bounds > 0).all()
    assert len(class_labels(bounds)) == len(bounds) + 1


def test_the_highest_class_does_not_hide_what_lies_far_above_the_rest():
    values = np.concatenate([np.random.default_rng(0).uniform(0.01, 0.3, 999), [1.11]])
    assert class_bounds(values)[-2:].tolist() == [0.2, 1.0]
    assert class_bounds(values[:-1])[-1] == 0.2


def test_class_labels_read_as_ranges():
    assert class_labels(np.array([0.1, 0.2, 0.5])) == ["under 0.1", "0.1 to 0.2", "0.2 to 0.5", "0.5 and more"]


def test_the_highest_hexagons_are_outlined_and_every_hexagon_is_filled():
    values = values_of(len(CELLS))
    axes = Figure().add_subplot()
    draw_map(axes, Hexagons(CELLS), colours_of(values, class_bounds(values)), highest(values, 0.05))
    fill, top = (item for item in axes.collections if isinstance(item, PolyCollection))
    assert len(fill.get_paths()) == len(CELLS)
    assert len(top.get_paths()) == round(0.05 * len(CELLS))
    np.testing.assert_allclose(top.get_edgecolor()[0], to_rgba(OUTLINE))
    middle = h3.cell_to_latlng(CELLS[values.argmax()])
    assert any(path.contains_point(middle[::-1]) for path in top.get_paths())


@pytest.mark.parametrize("k", [24, 4, 1])
def test_map_is_a_picture_whatever_the_step(tmp_path, k):
    map_png(RiskGrid.of(forecast_of(k)), tmp_path / "map.png", "st_louis")
    height, width, _ = imread(tmp_path / "map.png").shape
    assert width == 1300
    assert 800 < height < 2000
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]


@pytest.mark.parametrize(
    ("unit", "horizons", "count", "titles"),
    [
        ("hour", 24, 4, ["Mon 00:00 to 06:00", "Mon 06:00 to 12:00", "Mon 12:00 to 18:00", "Mon 18:00 to 00:00"]),
        ("hour", 7, 0, []),
        ("day", 7, 7, ["Mon 30 Sep 2024", "Tue 1 Oct 2024", "Wed 2 Oct 2024", "Thu 3 Oct 2024", "Fri 4 Oct 2024"]),
        ("day", 10, 5, ["Mon 30 Sep 2024\nto Tue 1 Oct 2024", "Wed 2 Oct 2024\nto Thu 3 Oct 2024"]),
        ("day", 1, 0, []),
        ("month", 3, 3, ["October 2024", "November 2024", "December 2024"]),
        ("month", 1, 0, []),
    ],
)
def test_equal_parts_of_the_horizon_stand_below_it(tmp_path, monkeypatch, unit, horizons, count, titles):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    grid = grid_by(unit=unit, horizons=horizons)
    map_png(grid, tmp_path / "map.png", "denver")
    _, *parts = drawn[0].findobj(Axes)
    said = [re.fullmatch(r"(.*?):?\s([\d,]+) expected", part.get_title(), re.DOTALL) for part in parts]
    assert [one[1] for one in said][: len(titles)] == titles
    assert len(said) == count
    if said:
        total = sum(int(one[2].replace(",", "")) for one in said)
        assert total == pytest.approx(grid.intensity[-1, 0].sum(), abs=0.5 * count)


@pytest.mark.parametrize("cells", [CELLS[:1], h3.grid_disk(h3.latlng_to_cell(-16.8, 180.0, 6), 2)])
def test_one_hexagon_and_a_city_across_the_antimeridian_are_drawn(cells):
    axes = Figure().add_subplot()
    draw_map(axes, Hexagons(np.array(cells)), ["#ffffff"] * len(cells), np.array([0]))
    low, high = axes.get_xlim()
    assert high - low < 1


def test_holes_are_not_filled_and_parts_are():
    ring = shapely.box(0, 0, 3, 3) - shapely.box(1, 1, 2, 2)
    shapes = np.array([shapely.reverse(ring), shapely.MultiPolygon([shapely.box(4, 0, 5, 1), shapely.box(6, 0, 7, 1)])])
    canvas = FigureCanvasAgg(figure := Figure())
    axes = figure.add_subplot()
    draw_map(axes, Polygons(np.array(["a", "b"]), shapes), ["#ff0000", "#0000ff"], scale_bar=False)
    canvas.draw()
    seen = np.asarray(canvas.buffer_rgba())

    def colour(x: float, y: float) -> list[int]:
        column, row = axes.transData.transform((x, y)).round().astype(int)
        return seen[len(seen) - row, column, :3].tolist()

    assert colour(0.5, 0.5) == [255, 0, 0]
    assert colour(1.5, 1.5) == [255, 255, 255]
    assert colour(4.5, 0.5) == colour(6.5, 0.5) == [0, 0, 255]


def test_figure_for_tensorboard_is_quick_and_needs_no_pyplot():
    values = values_of(len(CELLS))
    figure_of_values(Hexagons(CELLS), values, "warm up")
    begin = time.perf_counter()
    figure = figure_of_values(Hexagons(CELLS), values, "Validation: expected events in 24 hours, epoch 3")
    figure.canvas.draw()
    assert time.perf_counter() - begin < 0.5
    assert isinstance(figure, Figure)


def test_cells_that_are_not_h3_are_refused():
    with pytest.raises(ArtefactError, match="not an H3 cell"):
        Hexagons(np.array(["0", "1"]))


def test_matplotlib_is_not_imported_before_a_map_is_drawn():
    code = "import sys, stforecast.delivery.export; sys.exit('matplotlib' in sys.modules or 'geopandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
