"""Whether the result of a stage is there, and of the inputs and settings at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stforecast.files import read_json, write_json


@dataclass(frozen=True)
class Result:
    """The JSON file that a stage writes last: it says of which inputs and settings the stage's result is.

    again: what the user can do where it is damaged, unless the stage writes it again.
    """

    path: Path
    made_with: Mapping[str, Any]
    stage: str
    again: str = ""

    def read(self) -> dict[str, Any] | None:
        """What the file says; None where it is absent, or of other inputs or settings.

        Raises:
            ArtefactError: it is damaged, or of an older version.
        """
        if not self.path.is_file():
            return None
        facts = read_json(self.path, self.again or f"Run `stforecast {self.stage}` again.")
        return facts if facts.items() >= self.made_with.items() else None

    def scores(self, forecasters: Sequence[str] | None = None) -> dict[str, Any] | None:
        """The scores in the file; None also where they are of other forecasters, or of an older version."""
        card = self.read()
        if not card or "blocks" not in card:
            return None
        return card if forecasters in (None, [*card["forecasters"]]) else None

    def write(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the file; what it says."""
        write_json(self.path, written := {**facts, **self.made_with})
        return written
