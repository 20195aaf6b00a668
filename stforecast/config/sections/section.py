"""What every section of a configuration is: a frozen model that forbids unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors, values cannot change. What is written under a key says what
    it means."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)
