"""Briefings: their numbers, their page, and what grids of other kinds make of them."""

import re
from dataclasses import replace
from html import unescape
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from small_grids import COMPARISON, forecast, grid

from stforecast.config.sections import SHIFTS
from stforecast.delivery.brief import Brief, brief_of
from stforecast.delivery.brief_map import apart
from stforecast.delivery.brief_pdf import HEIGHT, WIDTH, html_of, page_of, pdf_of, short, write_brief
from stforecast.delivery.brief_tables import Table, compared, digits, lately
from stforecast.delivery.export import write_grid
from stforecast.delivery.layers import MapLayer
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.shifts import during, shifts_of
from stforecast.delivery.sums import range_of_sum
from stforecast.errors import ConfigError

NAMES = "E Colfax Ave & N Broadway", "<b>S $Federal$ Blvd"


def of_city(**changes: object) -> RiskGrid:
    """A grid with names of places and two districts."""
    made = grid(rings=4)
    names = [f"{NAMES[row % 2]} {row}" for row in range(len(made.hexagons))]
    districts = ["6" if row % 3 else "North" for row in range(len(names))]
    return replace(made, places=np.array(names, object), districts=np.array(districts, object), **changes)


def spelled(value: float, count: int = 2) -> str:
    """So many significant digits, in another way than the package's."""
    return f"{float(f'{value:.{count}g}'):g}"


def text_of(pdf: bytes) -> str:
    """The words of the only page, line by line."""
    reader = pytest.importorskip("pypdf", reason="pypdf is not installed").PdfReader(BytesIO(pdf))
    (page,) = reader.pages
    return page.extract_text(extraction_mode="layout")


def rows_of(html: str) -> list[list[str]]:
    """The cells of all tables."""
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [[unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows]


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> pd.DataFrame:
    """risk.csv of the city."""
    folder = tmp_path_factory.mktemp("grid") / "20240930T060000Z"
    write_grid(of_city(), folder, "denver")
    return pd.read_csv(folder / "risk.csv", parse_dates=["valid_from"])


@pytest.mark.parametrize("district", [None, "6", "North"])
@pytest.mark.parametrize("shift", [None, *SHIFTS])
def test_its_numbers_are_those_of_the_tables(tables, shift: str | None, district: str | None) -> None:
    of = of_city()
    steps = range(24) if shift is None else shifts_of(of)[shift].steps
    made = brief_of(of, "denver", shift, district, comparison=COMPARISON)
    inside = np.ones(len(of.hexagons), bool) if district is None else of.districts == district
    rows = tables[tables["valid_from"].isin(of.starts[[*steps]])].assign(valid_from=0)
    sums = rows.groupby(["category", "hexagon"])[["intensity", "usual"]].sum()
    best = sums.loc["all"].loc[of.hexagons[inside]].sort_values("intensity", ascending=False, kind="stable").head(10)
    asked = np.isin(np.arange(24), steps)
    expected = []
    for number, (name, row) in enumerate(best.iterrows(), 1):
        at = of.hexagons == name
        low, high = range_of_sum(of, at, asked, 0)
        cells = [str(number), of.places[at][0], *([of.districts[at][0]] if district is None else [])]
        risk = -np.expm1(-row["intensity"])
        cells += [spelled(row["intensity"]), f"{low}–{high}", f"{spelled(100 * risk)} %"]
        expected.append((*cells, f"× {spelled(row['intensity'] / row['usual'])}"))
    assert list(made.places.rows) == expected
    totals = {row[0]: row for row in made.totals.rows}
    whole = {None: "All", "6": "District 6", "North": "North"}[district]
    for name, category in ((whole, "all"), ("Theft", "theft")):
        total = sums.loc[category].loc[of.hexagons[inside]].sum()
        low, high = range_of_sum(of, inside, asked, of.categories.index(category))
        factor = f"× {spelled(total['intensity'] / total['usual'])}"
        assert totals[name] == (name, spelled(total["intensity"], 3), f"{low}–{high}", factor)
    words, shown = text_of(pdf_of(made, [])), rows_of(html_of(made, []))
    for table in (made.places, made.totals, made.unusual, made.districts, made.compared):
        for cells in table.rows if table else ():
            assert [*cells] in shown
            assert re.search(r"\s+".join(re.escape(cell) for cell in cells if cell), words), cells


def test_the_page_is_one_with_its_fonts_and_the_same_again() -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    made = brief_of(of_city(), "denver", "evening")
    first = pdf_of(made, [])
    assert first == pdf_of(made, [])
    reader = pypdf.PdfReader(BytesIO(first))
    assert len(reader.pages) == 1
    assert [round(float(side) / 72 * 25.4) for side in reader.pages[0].mediabox[2:]] == [WIDTH, HEIGHT]
    fonts = [font.get_object() for font in reader.pages[0]["/Resources"]["/Font"].values()]
    inside = [font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object() for font in fonts]
    assert fonts
    assert all("/FontFile2" in one for one in inside)  # TrueType, in the file
    words = text_of(first)
    for said in ("Denver: reported offences expected", "Evening: Mon 30 Sep 2024 15:00 to 23:00", "never by person"):
        assert said in re.sub(" +", " ", words)
    assert "patrol" not in words.lower()
    assert html_of(made, []) == html_of(made, [])


def crowded() -> Brief:
    """A briefing with more of everything, and longer, than there is room for."""
    made = grid(rings=9)
    count = len(made.hexagons)
    leaves = np.repeat(made.leaves(made.intensity), 5, axis=1)
    names = tuple(f"an_offence_of_a_long_name_{number}" for number in range(leaves.shape[1]))
    words = forecast(rings=9, categories=names, intensity=leaves.transpose(0, 2, 1)[None], usual=None)
    made = RiskGrid.of(replace(words, spreads=dict.fromkeys(("all", *names), made.spreads["all"]), joint={}))
    long = [f"{'Martin Luther King Junior Boulevard & ' * 4}{row}" for row in range(count)]
    made = replace(
        made,
        places=np.array(long, object),
        districts=np.array([f"A district of a very long name {row % 30}" for row in range(count)], object),
        assumptions=("A simulated city: no report in it is real.", *["Something was assumed at length"] * 90),
        credits=("A publisher of this city.",) * 90,
    )
    of = brief_of(made, "a_city_" * 14, None, None, comparison=COMPARISON)
    return replace(of, score=lately([COMPARISON["earlier"]], 3, False, "hexagon", "7 days"))


@pytest.mark.parametrize(
    "made", [crowded(), brief_of(of_city(), "denver"), brief_of(of_city(), "denver", "night", "6")]
)
def test_no_words_leave_the_page_or_meet_others(made: Brief) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure = page_of(made, [])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page, boxes = figure.bbox, []
    for words in filter(Text.get_text, figure.texts):
        box = words.get_window_extent(canvas.get_renderer())
        assert page.x0 < box.x0 < box.x1 < page.x1, words.get_text()
        assert page.y0 < box.y0 < box.y1 < page.y1, words.get_text()
        boxes.append((words.get_text(), box))
    (axes,) = figure.axes
    assert axes.get_position().height > 0.2
    boxes.append(("map", axes.get_window_extent()))
    slack = 1.5  # pixels: letters are set in boxes a little larger than they are
    for at, (text, one) in enumerate(boxes):
        for other_text, other in boxes[:at]:
            wide = min(one.x1, other.x1) - max(one.x0, other.x0)
            tall = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(wide, tall) < slack, (text, other_text)


def test_what_the_grid_does_not_have_is_refused_with_what_it_has() -> None:
    with pytest.raises(ConfigError, match="shift dusk: no shift of this forecast of hours; it has day, evening, night"):
        brief_of(of_city(), "denver", "dusk")
    with pytest.raises(ConfigError, match="district 7: the grid has none of that name, but 6, North"):
        brief_of(of_city(), "denver", None, "7")
    with pytest.raises(ConfigError, match="this grid has no districts"):
        brief_of(replace(of_city(), districts=None), "denver", None, "7")
    with pytest.raises(ConfigError, match="this forecast of months; it has none"):
        brief_of(grid(unit="month"), "denver", "evening")


def test_days_months_and_areas_have_briefings_too() -> None:
    days = brief_of(grid(unit="day"), "denver", "weekend")
    assert days.when == "Weekend: Sat 5 Oct 2024 to Sun 6 Oct 2024, America/Denver time"
    expected = during(grid(unit="day"), range(5, 7)).intensity[HORIZON, 0]
    np.testing.assert_array_equal(days.expected, expected)
    months = brief_of(grid(unit="month"), "denver")
    assert months.when == "October 2024, America/Denver time"
    boxes = np.array([shapely.box(x, 51, x + 0.9, 52) for x in range(12)])
    areas = grid(rings=3)
    areas = replace(
        areas,
        **{name: getattr(areas, name)[..., :12] for name in ("intensity", "usual", "districts")},
        hexagons=np.array([f"E{number:02}" for number in range(12)]),
        polygons=boxes,
    )
    made = brief_of(areas, "london")
    assert "area" in html_of(made, [])
    for one in (days, months, made):
        assert pdf_of(one, []).startswith(b"%PDF")


def test_a_plain_grid_of_one_category_says_less() -> None:
    plain = forecast(categories=("all",), intensity=forecast().intensity[..., :1], usual=None, spreads={}, joint={})
    made = brief_of(RiskGrid.of(replace(plain, districts=None)), "denver")
    assert made.places.columns == ("", "Place", "Expected", "Risk")
    assert [row[0] for row in made.totals.rows] == ["All"]
    assert (made.unusual, made.districts, made.compared, made.score) == (None, None, None, None)
    assert pdf_of(made, []).startswith(b"%PDF")


def test_layers_are_drawn_and_named_around_the_cells() -> None:
    at = shapely.linestrings([[[-105.05, 39.7 + 0.004 * k], [-104.9, 39.7 + 0.004 * k]] for k in range(12)])
    streets = MapLayer("streets", "streets", at, np.array([f"Street {k}" for k in range(12)], object))
    water = MapLayer("lake", "water", np.array([shapely.box(-105, 39.73, -104.98, 39.745)]), np.array(["Lake"], object))
    made = brief_of(of_city(), "denver")
    words = [each.get_text() for each in page_of(made, [streets, water]).axes[0].texts]
    assert "Lake" in words
    assert any(word.startswith("Street") for word in words)
    assert [str(number) for number in range(1, 11)] == [word for word in words if word.isdigit()]


def test_an_island_in_a_lake_is_not_drowned() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    of = of_city()
    city = shapely.box(*shapely.total_bounds(of.geometry.unbroken))
    lake = shapely.difference(shapely.buffer(city, 0.1), shapely.buffer(city, 0.005))
    figure = page_of(brief_of(of, "denver"), [MapLayer("lake", "water", np.array([lake]), np.array(["Lake"], object))])
    (canvas := FigureCanvasAgg(figure)).draw()
    picture, box = np.asarray(canvas.buffer_rgba())[::-1, :, :3], figure.axes[0].get_window_extent()
    at = [int((low + high) / 2) for low, high in ((box.y0, box.y1), (box.x0, box.x1))]
    middle = picture[at[0] - 40 : at[0] + 40, at[1] - 40 : at[1] + 40]
    blue = np.array([0xA9, 0xCD, 0xEA])
    assert not (middle == blue).all(-1).any()
    assert (picture == blue).all(-1).any()


def test_the_year_before_of_a_district_has_its_caveats() -> None:
    notes = [
        "Districts are without sexual offences. Of a district no count below 5 is shown.",
        "29 February is in one.",
    ]
    comparison = COMPARISON | {"notes": [*COMPARISON["notes"], *notes]}
    assert notes[1] in compared(comparison, None).note
    assert notes[0] not in compared(comparison, None).note
    assert all(note in compared(comparison, "<b>6").note for note in notes)


def test_numbers_on_the_map_stand_apart() -> None:
    home = np.array([[0, 0], [0.5, 0], [0, 0.5], [9, 9]], float)
    at = apart(home, 4.0)
    away = np.hypot(*(at[:, None] - at).T)
    assert away[np.triu_indices(4, 1)].min() >= 4.0 - 1e-9
    np.testing.assert_array_equal(at[3], home[3])


def test_numbers_are_spelled_as_on_the_map() -> None:
    found = [digits(value) for value in (0.0, 1.0, 0.04449, 12.5, 1304.0, 0.995, 3e-7)]
    assert found == ["0", "1", "0.044", "13", "1300", "0.99", "0.0000003"]
    assert digits(1304.4, 3) == "1300"
    assert short("Ash Street & Oak Avenue", 20, 8).endswith("…")


def test_how_earlier_forecasts_did_is_said_as_it_was() -> None:
    none = lately([], 0, True, "hexagon", "7 days")
    assert (none.rows, none.note) == ((), "None is on record.")
    assert lately([], 4, True, "hexagon", "7 days").note == "None of 4 is settled: reports are still coming in."
    one, other = (
        {"top_share": 0.05, "level": 0.9, "categories": [{"expected": e, "came": c, "top": top, "inside": inside}]}
        for e, c, top, inside in ((10.2, 8, 0.25, 0.9), (20.0, 24, None, 1.0))
    )
    found = lately([one, other], 1, True, "area", "7 days")
    assert found == Table(
        "Forecasts of the last 7 days",
        ("", ""),
        (
            ("Settled forecasts", "2"),
            ("Reports expected", "30.2"),
            ("Reports", "32"),
            ("Areas within their range", "95 %"),
        ),
        note="Of the whole city. 1 more wait for reports.",
    )
    assert ("Of these in the top 5 % of areas", "25 %") in lately([one, one], 0, True, "area", "7 days").rows


def test_what_makes_the_page_may_be_missing(tmp_path: Path, monkeypatch) -> None:
    made = brief_of(of_city(), "denver")
    write_brief(made, [], tmp_path / "brief.pdf")
    assert {path.name for path in tmp_path.iterdir()} == {"brief.pdf", "brief.html"}
    monkeypatch.setattr("stforecast.delivery.brief_pdf.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"jinja2: not installed. Run `pip install 'stforecast\[report\]'`"):
        write_brief(made, [], tmp_path / "other.pdf")
    assert not (tmp_path / "other.pdf").exists()
