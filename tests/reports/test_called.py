"""Pages are written of hexagons, and read of whatever cells are."""

import numpy as np

from stforecast.delivery.figures import call_cells, label, new_figure, whiskers
from stforecast.delivery.words import called
from stforecast.reports.page import png


def test_cells_are_called_what_they_are() -> None:
    text = "A hexagon has a report; the 5 % of hexagons that hold a hexagon-day. Hexagons: hexagon mean."
    assert called(text, "hexagon") == text
    expected = "An area has a report; the 5 % of areas that hold an area-day. Areas: hexagon mean."
    assert called(text, "area") == expected


def test_figures_call_cells_what_pages_do() -> None:
    figure, (axes,) = new_figure()
    whiskers(axes, ["past reports of the hexagon", "weather"], *np.zeros((3, 2)))
    label(axes, "Hexagons", "share of hexagons")
    axes.plot([0], [0], label="a hexagon")
    figure.legend()
    before = png(figure)
    assert png(call_cells(figure, "hexagon")) == before
    call_cells(figure, "area").canvas.draw()
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [axes.get_title(loc="left"), axes.get_xlabel(), *names, *legend] == [
        *("Areas", "share of areas"),
        *("past reports of the area", "weather"),
        "an area",
    ]
