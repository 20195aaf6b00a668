"""Numbers of a view in few bytes and letters, as the page reads them again."""

import random
import re

import numpy as np
import pytest
from test_map_places_browser import made  # noqa: F401  # a fixture
from test_webmap import in_node, numbers
from test_webmap_browser import CHROMIUM, Window, browser  # noqa: F401  # a fixture

from stforecast.delivery import webmap
from stforecast.delivery.around import around
from stforecast.delivery.compact import intensity_and_usual, letters, planes
from stforecast.delivery.layers import map_layer
from stforecast.delivery.webmap import view_of, write_map


def test_whole_numbers_of_32_bits_survive() -> None:
    given = [0, 1, -1, 255, 256, -256, 2**31 - 1, -(2**31), *np.random.default_rng(0).integers(-(2**31), 2**31, 99)]
    assert in_node("[...fromPlanes(given)]", planes(np.array(given))) == [int(number) for number in given]


@pytest.mark.parametrize("steps", [1, 2, 24])
def test_floats_of_any_size_survive_to_the_last_bit_and_what_is_usual_within_its_error(steps: int) -> None:
    rng = np.random.default_rng(1)
    lam, usual = (10 ** rng.uniform(-30, 30, (steps, 3, 50)).astype(np.float32) for _ in range(2))
    lam[:, :, :3], usual[:, :, 2:5] = 0, 0
    view = {"times": [0] * (steps + 1), "hexagons": [0] * 50}
    for beside in (usual, None):
        found = numbers(view | intensity_and_usual(lam, beside))
        np.testing.assert_array_equal(found[0], lam)
        if beside is None:
            assert found[1].size == 0
        else:
            np.testing.assert_allclose(found[1], usual, rtol=2**-11)


def test_bytes_survive_as_letters_that_end_no_script() -> None:
    for length in (1, 2, 12, 13, 14, 26, 5000):
        data = random.Random(length).randbytes(length)
        text = letters(data)
        assert re.fullmatch(r"[!#-;=-}]*", text)
        assert len(text) < 1.24 * length + 2
        assert in_node(f"[...fromLetters(given, {length})]", text) == list(data)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_compressed_file_holds_what_a_plain_one_holds(browser, made, tmp_path, monkeypatch) -> None:  # noqa: F811
    of, folder = made
    monkeypatch.setattr(webmap, "LARGE", 1)
    layers = [map_layer(path.stem, None, path, "name", of.geometry) for path in sorted(folder.glob("*.geojson"))]
    write_map(view_of(of, "denver", around=around(layers)), tmp_path / "map.html")
    assert 'type="application/gzip"' in (tmp_path / "map.html").read_text("utf-8")
    asked = "() => [[...grid.arrays.intensity], [...grid.arrays.usual], [...city.cells.xy], grid.view.places,"
    asked += " city.layers.list.map(({ name, names, xy }) => [name, names, [...xy]])]"
    found = []
    for path in (folder / "map.html", tmp_path / "map.html"):
        with Window(browser, path.as_uri()) as opened:
            found.append((opened.page.evaluate(asked), opened.drawing()))
    assert found[0] == found[1]
