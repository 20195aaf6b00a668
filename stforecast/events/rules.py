"""What an ingest needs of the configuration, resolved once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stforecast.config import Config
from stforecast.config.sections import Source
from stforecast.config.workspace import Workspace
from stforecast.events.forgotten import Forgotten
from stforecast.events.sources import NEEDED, category_names, resolve
from stforecast.files import fingerprint


@dataclass(frozen=True)
class IngestRules:
    """The effective source section, with the preset's fields where the user says nothing.

    needed: the fields that a file must have. own_categories: those that the user gave. forgotten: rows to pass over.
    """

    source: Source
    needed: tuple[str, ...]
    own_categories: Mapping[str, Sequence[str]]
    forgotten: Forgotten = field(default_factory=Forgotten)

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

    @staticmethod
    def of_city(config: Config) -> IngestRules:
        """The rules of a city, which pass over the reports that were erased there.

        Raises:
            ConfigError: as `of`.
            ArtefactError: the list of erased reports is damaged.
        """
        return replace(
            IngestRules.of(config.source), forgotten=Forgotten.open(Workspace(config.root, config.city).forgotten)
        )

    @property
    def category_names(self) -> tuple[str, ...]:
        """The categories in order, `other` last."""
        return category_names(self.source)

    @property
    def settings(self) -> dict[str, Any]:
        """Plain values of all that decides what becomes of a row, for fingerprints."""
        settings = self.source.model_dump(mode="json", exclude={"path", "max_rejects", "gaps"})
        hashes = sorted(self.forgotten.hashes)
        return settings | ({"forgotten": fingerprint(hashes)} if hashes else {})
