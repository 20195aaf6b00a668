"""Several fits of one forecaster that differ by seed alone, averaged: their chance errors cancel in part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import Forecaster, forecaster_class
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from stforecast.forecasters.walking import Walking

MEMBERS = "members.json"


class Members(Forecaster):
    """λ is the geometric mean of the members' λ. Each member keeps its files in a folder `seed-<i>` of its own."""

    draw: Any = None
    others: Any = ()

    def __init__(self, config: Config, members: list[Forecaster]) -> None:
        super().__init__(config)
        self.members = members
        self.name = members[0].name  # type: ignore[misc]

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        for i, member in enumerate(self.members):
            for name in ("draw", "others"):
                if hasattr(member, name):
                    setattr(member, name, getattr(self, name))
            member.fit(cube, split, _place(folder, i) if folder else None)
        return self

    def walking(self) -> Walking | None:
        return self.members[0].joined(self.members[1:])

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        if together := self.walking():
            return together.intensity(cube, issues)
        total: Any = 0.0
        for member in self.members:
            total = total + np.log(member.intensity(cube, issues))
        return np.exp(total / len(self.members))

    def save(self, folder: Path) -> None:
        for i, member in enumerate(self.members):
            member.save(_place(folder, i))
        write_json(folder / MEMBERS, {"forecaster": self.name, "members": len(self.members)})

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        kept = read_json(folder / MEMBERS)
        try:
            kind, count = forecaster_class(kept["forecaster"]), int(kept["members"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"{folder / MEMBERS}: damaged ({error!r}). Train it again.") from error
        return cls(config, [kind.load(_place(folder, i), config) for i in range(count)])


def _place(folder: Path, i: int) -> Path:
    place = folder / f"seed-{i}"
    place.mkdir(parents=True, exist_ok=True)
    return place


def new_forecaster(name: str, config: Config) -> Forecaster:
    """A forecaster to be fitted: `config.seeds` members where fits differ by seed."""
    kind = forecaster_class(name)
    if not kind.seeded or config.seeds == 1:
        return kind(config)
    seeds = [config.seed + i for i in range(config.seeds)]
    return Members(config, [kind(config.model_copy(update={"seed": seed})) for seed in seeds])


def in_order(config: Config) -> list[str]:
    """`evaluation.forecasters` in the order in which they can be fitted.

    Raises:
        ConfigError: a name is wrong, or one reads a forecaster that is not among them.
    """
    names = config.evaluation.forecasters
    needs = {name: forecaster_class(name).needs(config) for name in names}
    for name, parts in needs.items():
        if missing := sorted({*parts} - {*names}):
            raise ConfigError(
                f"evaluation.forecasters: {name} reads {', '.join(missing)}, which must be among them. Add what is "
                f"missing, or leave {name} out."
            )
    return sorted(names, key=lambda name: bool(needs[name]))


def open_forecaster(name: str, folder: Path, config: Config) -> Forecaster:
    """A fitted forecaster from its folder.

    Raises:
        ArtefactError: its files are absent or damaged.
    """
    kind = Members if (folder / MEMBERS).is_file() else forecaster_class(name)
    return kind.load(folder, config)
