"""How cells of one kind lie over those of another: what each hands on when counts are shared out by area."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import shapely
from scipy.sparse import csr_array

from stforecast.cube import hexgrid
from stforecast.cube.geometry import Geometry, Hexagons, Polygons, in_plane
from stforecast.cube.places import MOST_CELLS
from stforecast.errors import ConfigError

SLIVER = 1e-6
"""Share of a cell below which an overlap is taken for rounding, as borders drawn twice have it."""
WHOLE = 1e-5
"""How near to 1 the shares of a cell must sum to be taken for all of it."""
KM_PER_DEGREE = 111.2


def shares(source: Geometry, target: Geometry) -> csr_array:
    """The share of each source cell's area that lies in each target cell.

    Args:
        source: cells that counts are of, [n].
        target: cells that they are shared out to, [p].

    Returns:
        [n p]. A row sums to 1 where the targets cover the source cell, and to less where part of it lies outside. Where
        targets overlap, what lies in several is shared between them.
    """
    whole = Polygons(source.names, source.outlines)
    theirs = in_plane(target.outlines, whole.plane)
    one, other = shapely.STRtree(theirs).query(whole.shapes, predicate="intersects")
    share = shapely.area(shapely.intersection(whole.shapes[one], theirs[other])) / shapely.area(whole.shapes)[one]
    kept = share > SLIVER
    one, other, share = one[kept], other[kept], share[kept]
    covered = np.bincount(one, share, len(source.names))
    share = np.where(covered[one] > 1 - WHOLE, share / covered[one], share)
    return csr_array((share, (one, other)), shape=(len(source.names), len(target.names)))


def hexagons_over(source: Geometry, resolution: int) -> Hexagons:
    """The H3 cells of a resolution that may overlap cells; a ring around them may not.

    Raises:
        ConfigError: they are too many.
    """
    area = h3.average_hexagon_area(resolution, "km^2")
    if (count := source.areas_km2.sum() / area) > MOST_CELLS:
        raise ConfigError(
            f"resolution: {resolution} makes about {count:.0f} hexagons, more than {MOST_CELLS}. Lower it."
        )
    whole = shapely.union_all(source.outlines)
    step = h3.average_hexagon_edge_length(resolution, "km") / 2 / KM_PER_DEGREE
    longitude, latitude = shapely.get_coordinates(shapely.segmentize(shapely.boundary(whole), step)).T
    border = np.unique(hexgrid.cells_of(latitude, longitude, resolution)).tolist()
    inside = [cell for part in shapely.get_parts(whole) for cell in h3.geo_to_cells(part, resolution)]
    cells = {near for cell in border for near in h3.grid_disk(cell, 1)} | {*inside}
    return Hexagons(np.array(hexgrid.to_names(np.array(sorted(cells), np.int64))))
