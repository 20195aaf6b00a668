"""How places are chosen for a plan."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stforecast.config.sections.section import Section

PLACES = 10
"""Where the configuration gives no budget."""


class Allocation(Section):
    """Which places `stforecast plan` chooses: those that cover most expected reports within a budget."""

    rule: Literal["city", "district", "proportion"] = "city"
    """what the budget is of: `city` the whole city; `district` each district; `proportion` the whole city, shared out
    to districts in proportion to their expected reports"""
    places: int | None = Field(None, ge=1)
    """budget as a number of cells; default 10 where `area_km2` is not given"""
    area_km2: float | None = Field(None, gt=0, allow_inf_nan=False)
    """budget as an area, in place of `places`"""
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field({})
    """category: what an expected report of it counts, for example by severity; 1 where none is given"""
    leave_out: dict[str, Annotated[str, Field(min_length=1)]] = Field({})
    """cell: why it is not to be chosen; the reason is written with the plan"""

    @model_validator(mode="after")
    def _of_one_budget(self) -> Allocation:
        if self.places is not None and self.area_km2 is not None:
            raise ValueError("places, area_km2: give one of them")
        return self

    @property
    def amount(self) -> float:
        """The budget, in places or km²."""
        return self.area_km2 if self.area_km2 is not None else self.places or PLACES
