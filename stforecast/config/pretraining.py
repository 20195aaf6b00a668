"""How weights for all cities are learned, as one frozen model: a configuration of its own."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from stforecast.config import sections


class Pretraining(sections.Section):
    """What weights are learned from, and how: with the records of the cities, all that they depend on."""

    version: str = "0"
    """what the weights are called"""
    cities: list[str] = Field(min_length=1)
    """configurations of built cities"""
    root: Path | None = None
    """folder of their data/, in place of the `root` of each"""
    simulated: float = Field(0.2, ge=0, lt=1)
    """share of the episodes that are of simulated cities"""
    episodes: int = Field(2000, ge=1)
    """parts of records that the network learns from, each of a few months"""
    tree_episodes: int = Field(600, ge=1)
    """the same of the trees, which read few cells of each"""
    learning_rate: float = Field(4e-3, gt=0)
    """its peak"""
    seed: int = Field(0, ge=0)
    """seed of everything random"""
    model: sections.Model = sections.Model(dropout=0.1)
    """network"""
    figures: Path | None = None
    """a JSON file that the card quotes: how forecasts of cities that were left out did"""

    @field_validator("model")
    @classmethod
    def _by_day(cls, model: sections.Model) -> sections.Model:
        if model.patch_hours != 24:
            raise ValueError("patch_hours: expected 24, since cities whose steps are days have no shorter patch")
        return model
