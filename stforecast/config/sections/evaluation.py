"""Which forecasters are compared, over which folds, and what the page about the record adds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stforecast.config.sections.section import Section


class Evaluation(Section):
    """What is compared on the test slice."""

    forecasters: list[str] = Field(
        ["gcrn", "rolling_climatology", "climatology", "hexagon_mean", "last_week", "hist_gradient_boosting"],
        min_length=1,
    )
    """forecasters to fit and score; the first one forecasts"""
    ensemble: list[str] = Field(["gcrn", "hist_gradient_boosting"], min_length=2)
    """forecasters that `ensemble` pools; each must be among the fitted ones"""
    patrol_area_km2: float = Field(5.0, gt=0)
    """area of the hot-spot metrics beside 1, 5 and 10 %"""


class Backtest(Section):
    """Folds of a rolling origin: each trains on all that came before it."""

    folds: int = Field(4, ge=1)
    """number of folds"""
    test_days: int | None = Field(None, ge=1)
    """days of the test slice of each fold, rounded to months where steps are months; default the configured test slice
    in equal parts"""
    refit: bool = True
    """fit anew in every fold; false: carry the first fold's fit and calibrate it anew"""
    issue_hours: list[Annotated[int, Field(ge=0, le=23)]] | None = Field(None, min_length=1)
    """UTC hours of issue that are scored, where steps are hours; default the cube's own"""


class Analysis(Section):
    """What `stforecast analyse` adds to the record."""

    severity: dict[str, list[str]] = Field({})
    """severity class: offences in it (case-insensitive, * and ? as wildcards), for trends by class; an offence
    belongs to the first class that names it"""
