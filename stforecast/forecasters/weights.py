"""What forecasters start from: weights that were learned elsewhere, in a folder with a card that says of which records.

card.json             what the weights learned from, by which recipe, and size and hash of the files beside it
network.safetensors   the network, see `forecasters.gcrn.start`
rhythms.json          rates and rhythms that cities share, see `features.shared`; the network holds its own copy
hawkes_kernels.json   what an event excites, see `forecasters.shared_kernels`
lightgbm.txt          trees, see `forecasters.trees.pooled`; months have none
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.cube import Cube, hexgrid
from stforecast.features.shared import SharedRhythms
from stforecast.forecasters.gcrn.start import StartingNetwork
from stforecast.forecasters.registry import kind_of
from stforecast.forecasters.shared_kernels import SharedKernels
from stforecast.forecasters.trees.pooled import RHYTHMS, TREES, PooledTrees
from stforecast.sealed import FILES, Sealed, unseal

CARD, NETWORK, KERNELS = "card.json", "network.safetensors", "hawkes_kernels.json"
BOOSTED = ("hist_gradient_boosting", "xgboost", "lightgbm")
"""Trees that can start from those of many cities."""
STARTING = ("gcrn", *BOOSTED, "rolling_climatology", "hawkes")
"""All that can start from weights."""
SHIPPED = Path(__file__).parents[1] / "weights"
"""Those that come with the package."""
PLACE = 5
"""H3 resolution at which places are compared: its cells are about 250 km² large."""
AGAIN = "Take the folder again from where it came, or run `stforecast pretrain`."


@dataclass(frozen=True)
class Learned:
    """A record that something was learned from.

    first, last: the instants at which it begins and ends. places: H3 cells of resolution `PLACE`; none where it lies
    nowhere.
    """

    city: str
    first: str
    last: str
    places: tuple[str, ...]

    @staticmethod
    def of(cube: Cube, last: int) -> Learned:
        """A record up to a step."""
        return Learned(cube.name, cube.start.isoformat(), cube.time_of(last).isoformat(), places_of(cube))

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Learned:
        """Back from its fields, among others."""
        return Learned(str(values["city"]), str(values["first"]), str(values["last"]), tuple(values["places"]))

    def lies_in(self, name: str, places: Collection[str]) -> bool:
        """Whether it is of these places, or, where it or they lie nowhere, of a city of this name."""
        return bool({*places} & {*self.places}) if places and self.places else name == self.city

    def words(self, first: pd.Timestamp, last: pd.Timestamp) -> str:
        """What there is to say of forecasts of its places from `first` to `last`; empty where it ends before."""
        begin, end = pd.Timestamp(self.first), pd.Timestamp(self.last)
        if end <= first:
            return ""
        name = self.city.replace("_", " ").title()
        newest = end - pd.Timedelta(days=1)  # a record ends where its last local day does
        how = "lies after" if begin >= last else "holds" if begin <= first and end >= last else "overlaps"
        when = f"{begin:%Y-%m} to {newest:%Y-%m}"
        return f"learned from {name} {when}, which {how} this test slice: not a fair figure"


def seen(learned: Iterable[Learned], cube: Cube, first: int, last: int) -> list[str]:
    """What there is to say of forecasts of the steps first … last − 1 of a record, by what was learned from."""
    span, here = (cube.time_of(first), cube.time_of(last)), places_of(cube)
    return [words for one in learned if one.lies_in(cube.name, here) and (words := one.words(*span))]


def unfair(
    started: Mapping[str, Any] | None, config: Config, names: Iterable[str], cube: Cube, first: int, last: int
) -> dict[str, str]:
    """What there is to say, by forecaster, of those whose weights have learned from the steps first … last − 1.

    Args:
        started: `Weights.facts` of what they started from; None for nothing.
        config: of the city.
        names: of the forecasters.
        cube: the record.
        first: step.
        last: step after the last.
    """
    if not started:
        return {}
    words = "; ".join(seen([Learned.from_dict(one) for one in started["learned"]], cube, first, last))
    return {name: words for name in names if words and starts(started, config, name)}


def starts(started: Mapping[str, Any] | None, config: Config, name: str) -> bool:
    """Whether a forecaster, or one that it reads, started from weights (`Weights.facts`; None for nothing)."""
    return bool(started and {*started["forecasters"]} & {name, *kind_of(name, config).needs(config)})


def origin(started: Mapping[str, Any]) -> str:
    """The weights that a run started from and the cities that they were learned from, in words."""
    cities = dict.fromkeys(one["city"].replace("_", " ").title() for one in started["learned"])
    return f"{started['name']}, learned from {', '.join(cities)}"


def places_of(cube: Cube) -> tuple[str, ...]:
    """Roughly where the cells of a cube are; empty where they lie nowhere."""
    latitude, longitude = (cube.hexagons[name].to_numpy(float) for name in ("latitude", "longitude"))
    known = np.isfinite(latitude) & np.isfinite(longitude)
    if not cube.drawn or not known.any():
        return ()
    cells = hexgrid.cells_of(latitude[known], longitude[known], PLACE)
    if cube.resolution is None or cube.resolution < PLACE:  # cells may be larger than such a place
        cells = np.concatenate([cells, hexgrid.cells_within(cube.geometry.outlines, PLACE)])
    return tuple(sorted({*hexgrid.to_names(cells)}))


@dataclass(frozen=True)
class Weights:
    """Weights to start from.

    name: what they are called in messages. digest: a SHA-256 of them. learned: from which records. starts: what each
    forecaster that can start from them is given, by its name, as arguments of its constructor.
    """

    name: str
    digest: str
    learned: Sequence[Learned]
    starts: Mapping[str, Mapping[str, Any]] = field(repr=False)

    @property
    def network(self) -> StartingNetwork:
        """That of the network."""
        return self.starts["gcrn"]["start"]

    def seen(self, cube: Cube, first: int, last: int) -> list[str]:
        """What there is to say of their forecasts of the steps first … last − 1 of a record; see `Learned.words`."""
        return seen(self.learned, cube, first, last)

    def facts(self) -> dict[str, Any]:
        """What a run notes of them."""
        learned = [asdict(one) for one in self.learned]
        return {"name": self.name, "sha256": self.digest, "forecasters": [*self.starts], "learned": learned}

    def only(self, names: Iterable[str]) -> Weights:
        """What some forecasters start from."""
        return replace(self, starts={name: start for name, start in self.starts.items() if name in {*names}})

    @staticmethod
    def load(folder: Path) -> Weights:
        """Open a folder of weights.

        Raises:
            ArtefactError: its card or a file of it is absent or damaged.
        """
        return unseal(folder / CARD, AGAIN, Weights._opened)

    @staticmethod
    def shipped() -> Weights | None:
        """Those that come with the package; None where none do.

        Raises:
            ArtefactError: a file of them is damaged.
        """
        return _loaded_once(SHIPPED) if (SHIPPED / CARD).is_file() else None

    @staticmethod
    def _opened(sealed: Sealed) -> Weights:
        facts, shared = sealed.facts, SharedRhythms.open(sealed.file(RHYTHMS))
        starts: dict[str, dict[str, Any]] = {"gcrn": {"start": StartingNetwork.load(sealed.file(NETWORK))}}
        starts["rolling_climatology"] = {"shared": shared}
        starts["hawkes"] = {"shared": shared, "kernels": SharedKernels.open(sealed.file(KERNELS))}
        trees = PooledTrees.load(sealed.file(TREES).parent)
        starts |= {name: {"start": trees} for name in BOOSTED}
        return Weights(
            f"weights {facts['version']}",
            hashlib.sha256(json.dumps(facts[FILES], sort_keys=True).encode()).hexdigest(),
            [Learned.from_dict(city) for city in facts["cities"]],
            starts,
        )


@cache
def _loaded_once(folder: Path) -> Weights:
    """Those of a folder that does not change: a command asks for them several times."""
    return Weights.load(folder)
