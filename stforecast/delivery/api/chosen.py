"""Which hexagons a question about several of them means."""

from __future__ import annotations

import numpy as np
from fastapi import HTTPException

from stforecast.delivery.api.questions import AreaQuestion, SumQuestion
from stforecast.delivery.api.served import Served
from stforecast.delivery.areas import polygons_in
from stforecast.delivery.sums import inside


def chosen(served: Served, question: SumQuestion) -> np.ndarray:
    """The hexagons that fit everything that is given, bool [n].

    Raises:
        HTTPException: the grid has none of them, or not all of those that are named.
    """
    grid, places, word = served.grid, served.places, served.places.geometry.word
    found = np.ones(len(grid.hexagons), bool)
    if question.cells is not None:
        names = question.cells.split(",")
        if unknown := [name for name in names if name not in places.row]:
            of = f"{len(unknown)} of {len(names)}"
            raise HTTPException(404, f"cells: {of} are no {word}s of this grid, such as {unknown[0][:40]!r}")
        found &= np.isin(np.arange(len(found)), [places.row[name] for name in names])
    if question.district is not None:
        districts = [None] * len(found) if grid.districts is None else grid.districts
        found &= np.array([name == question.district for name in districts])
    if question.place is not None:
        found &= places.named(question.place)
    if isinstance(question, AreaQuestion) and question.area is not None:
        found &= inside(grid, polygons_in(question.area))
    if not found.any():
        rule = "an area holds those whose centre lies in it"
        raise HTTPException(404, f"no {word} of this grid fits all that is given; {rule}")
    return found
