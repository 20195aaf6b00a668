"""Boundaries, streets and names of a city: what its areas are told by, and what maps show beside the forecast."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from stforecast.config.sections.section import Section
from stforecast.config.sections.tables import Table

Kind = Literal["streets", "water", "rail", "parks", "neighbourhoods", "beats", "other"]


class Layer(Section):
    """A layer of shapes, from a file or from its publisher."""

    file: str | None = None
    """file of polygons, lines or points (GeoJSON, GeoPackage, shapefile or GeoParquet, zipped or not)"""
    table: Table | None = None
    """where it is fetched from: a layer of ArcGIS, a data set of Socrata, or a file at an address"""
    name: str | None = None
    """attribute with the name of each shape, which is kept as `name`; the others are left out"""
    kind: Kind | None = None
    """what it is, which decides how maps draw it and whether places are named by it; default by the layer's name"""
    licence: str | None = None
    """under which its publisher gives it"""
    attribution: str | None = None
    """how its publisher wants to be named"""

    @model_validator(mode="after")
    def _of_one_origin(self) -> Layer:
        if (self.file is None) == (self.table is None):
            raise ValueError("give either a file or a table")
        if self.table is not None and self.table.kind == "ckan":
            raise ValueError("table: of CKAN name the address of the file itself, with kind: file")
        return self


def _plain(layers: dict[str, Layer]) -> dict[str, Layer]:
    for name in layers:
        if not re.fullmatch("[a-z0-9_]+", name):
            raise ValueError(f"{name}: use only a to z, 0 to 9 and _ in the name of a layer")
    return layers


Layers = Annotated[dict[str, Layer], AfterValidator(_plain)]
"""Layers by name."""
