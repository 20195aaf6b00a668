"""Events and covariates on hexagons × hours."""

from stforecast.cube.cube import Cube, Series

__all__ = ["Cube", "Series"]
