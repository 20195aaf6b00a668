"""What an ingest needs of the configuration, resolved once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stforecast.config.sections import Source
from stforecast.events.sources import NEEDED, category_names, resolve


@dataclass(frozen=True)
class IngestRules:
    """The effective source section, with the preset's fields where the user says nothing.

    needed: the fields that a file must have. own_categories: those that the user gave.
    """

    source: Source
    needed: tuple[str, ...]
    own_categories: Mapping[str, Sequence[str]]

    @staticmethod
    def of(source: Source) -> IngestRules:
        """The rules of a source section.

        Raises:
            ConfigError: the section does not say enough, or something unknown.
        """
        whole = resolve(source)
        mapped = {name for name in source.columns.model_fields_set if getattr(source.columns, name)}
        needed = {*NEEDED, *mapped, *(("offence",) if whole.categories else ())}
        return IngestRules(whole, tuple(sorted(needed)), source.categories)

    @property
    def category_names(self) -> tuple[str, ...]:
        """The categories in order, `other` last."""
        return category_names(self.source)

    @property
    def settings(self) -> dict[str, Any]:
        """Plain values of all that decides what becomes of a row, for fingerprints."""
        return self.source.model_dump(mode="json", exclude={"path", "max_rejects", "gaps"})
