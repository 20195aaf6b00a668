"""What cities share in rates and rhythms, learned over several of them: where a new city's climatology starts from.

Profiles over the local hours of the week by harmonised kind of offence, the rhythms that hexagons may follow, and how
many events each prior is worth, by which a city's own record takes over. Steps of several hours and days read the mean
of their hours; months have none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stforecast.config.sections import KINDS
from stforecast.cube import Cube
from stforecast.files import read_made, write_json

HOURS = 168
"""Of a week."""
SMALLEST = 1e-4
"""Of the positive numbers, which are kept to four decimals."""
AGAIN = "Learn the shared rhythms again."


@dataclass(frozen=True)
class CityPrior:
    """What a city starts from.

    profile: rates over the slots of the week, with mean 1, [c slots]. worth: how many events of a category it counts
    for, [c]. rate: how many events the rate expected in a hexagon counts for, [c 3]: from its other categories, from
    its neighbours, from the city. rhythms: those of hexagons over their category's profile, [r slots]; shares: of all
    events, [r].
    """

    profile: Tensor
    worth: Tensor
    rate: Tensor
    rhythms: Tensor
    shares: Tensor


@dataclass(frozen=True)
class SharedRhythms:
    """Plain values learned over cities; the last of each K + 1 is of categories without a known kind.

    profiles: rates over the local hours of the week, Monday first, with mean 1, [K + 1][168]. worth: events that one
    counts for, [K + 1]. own: events that the rate expected in a hexagon counts for beside its own, [K + 1]. around:
    the same of a hexagon's other categories and of its neighbours, [2]. rhythms: factors of a profile, [r][168].
    shares: of each rhythm in all events, [r].
    """

    profiles: list[list[float]]
    worth: list[float]
    own: list[float]
    around: list[float]
    rhythms: list[list[float]]
    shares: list[float]

    def save(self, path: Path) -> None:
        """Write what `open` reads."""
        write_json(path, asdict(self))

    @staticmethod
    def open(path: Path) -> SharedRhythms:
        """What `save` wrote.

        Raises:
            ArtefactError: it is absent, damaged or of another version.
        """
        return read_made(path, SharedRhythms.from_dict, AGAIN)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> SharedRhythms:
        """Back from `dataclasses.asdict`.

        Raises:
            KeyError, TypeError, ValueError: the values are not those of shared rhythms.
        """
        of_kinds, rhythms = len(KINDS) + 1, len(values["shares"])
        shapes = {"profiles": (of_kinds, HOURS), "worth": (of_kinds,), "own": (of_kinds,), "around": (2,)}
        shapes |= {"rhythms": (rhythms, HOURS), "shares": (rhythms,)}
        arrays = {name: np.array(values[name], np.float64) for name in shapes}
        for name, array in arrays.items():
            if array.shape != shapes[name] or not (np.isfinite(array).all() and (array > 0).all()):
                raise ValueError(f"shared rhythms: {name} must be positive numbers of shape {shapes[name]}")
        return SharedRhythms(**{name: array.tolist() for name, array in arrays.items()})

    def prior(self, cube: Cube) -> CityPrior | None:
        """What a city starts from by the kinds of its categories; None where steps are months."""
        if cube.step_unit == "month":
            return None
        mix = kind_mix(cube)
        profile = (mix @ torch.tensor(self.profiles, dtype=torch.float64)).view(cube.c, cube.step.slots, -1).mean(2)
        worth, own = ((mix @ torch.tensor(each, dtype=torch.float64).log()).exp() for each in (self.worth, self.own))
        around = torch.tensor(self.around, dtype=torch.float64).expand(cube.c, 2)
        rhythms = torch.tensor(self.rhythms, dtype=torch.float64).view(-1, cube.step.slots, HOURS // cube.step.slots)
        shares = torch.tensor(self.shares, dtype=torch.float64)
        rate = torch.cat([own[:, None], around], 1)
        return CityPrior(profile.float(), worth.float(), rate, rhythms.mean(2), shares)


def kind_mix(cube: Cube) -> Tensor:
    """The share of each kind in each category, that of no known kind last, float64 [c K+1]."""
    kinds = np.zeros((cube.c, len(KINDS))) if cube.kinds is None else cube.kinds.astype(np.float64)
    return torch.as_tensor(np.column_stack([kinds, 1 - kinds.sum(1).clip(0, 1)]))


def shrunken_rates(events: Tensor, days: Tensor, prior: Tensor, around: Any, degree: Tensor) -> Tensor:
    """Events a day of hexagons and categories: the city's rate × how a hexagon departs from it.

    As a gamma law has it whose mean is told by the hexagon's other categories, which lean on its neighbours; no event
    is counted twice.

    Args:
        events: counts, [… c n].
        days: their exposure, [… c].
        prior: `CityPrior.rate`, [c 3].
        around: sums over neighbours, [… n] → [… n].
        degree: number of neighbours, [n].
    """
    days = days[..., None]
    city = (events.mean(-1, keepdim=True) + 1e-5) / (days + 1e-2)
    own, other, ring = (each[:, None] for each in prior.T)
    likely = city * days
    all_events, all_likely = events.sum(-2, keepdim=True), likely.sum(-2, keepdim=True)
    by_ring = (around(all_events) + ring) / (all_likely * degree + ring)
    by_others = (all_events - events + other * by_ring) / (all_likely - likely + other)
    return city * (events + own * by_others) / (likely + own)
