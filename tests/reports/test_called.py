"""Pages are written of hexagons, and read of whatever cells are."""

from stforecast.reports.page import called


def test_cells_are_called_what_they_are() -> None:
    text = "A hexagon has a report; the 5 % of hexagons that hold a hexagon-day. Hexagons: hexagon mean."
    assert called(text, "hexagon") == text
    expected = "An area has a report; the 5 % of areas that hold an area-day. Areas: hexagon mean."
    assert called(text, "area") == expected
