"""Harmonised kinds of offence: what a category of one city has in common with those of others.

A crosswalk from the offences that a configuration lists: `source.kinds` of the configuration, then of the publisher's
file, then the words of the offence (`examine/words.yaml`). Nothing of the record enters, so nothing of it can leak.
"""

from __future__ import annotations

import numpy as np

from stforecast.config.sections import KINDS, OffenceKind, Source
from stforecast.events.examine.offence_words import offence_kind
from stforecast.events.sources import category_names, wildcard

COMMON: dict[OffenceKind, float] = {
    "theft": 30,
    "theft_from_vehicle": 14,
    "vehicle_theft": 9,
    "burglary": 9,
    "robbery": 5,
    "assault": 20,
    "threats": 5,
    "damage": 14,
    "sexual": 2,
    "homicide": 0.2,
    "arson": 0.3,
    "other": 10,
}
"""How common each kind is in cities at large, in round figures: a category is mostly the most common of its kinds,
however many words it takes to list the others."""


def kind_of(offence: str, source: Source) -> OffenceKind | None:
    """The kind of an offence, or of a pattern of offences, by an effective source; None where it is not known."""
    for pattern, kind in source.kinds.items():
        if wildcard(pattern).fullmatch(" ".join(offence.split())):
            return kind
    told = offence_kind(offence)
    return next((kind for kind in KINDS if kind == told), None)


def kind_shares(source: Source) -> np.ndarray:
    """The share of each kind in each category of an effective source.

    Those kinds that the category lists, as common as they are in cities at large.

    Returns:
        float32 [c K], in the order of `KINDS`; rows sum to 1, or are 0 where no kind is known, as of `source.other`.
    """
    names = category_names(source)
    shares = np.zeros((len(names), len(KINDS)))
    for row, name in enumerate(names):
        listed = source.categories.get(name, ()) if name != source.other else ()
        kinds = {kind_of(offence, source) for offence in listed}
        shares[row] = [COMMON[kind] * (kind in kinds) for kind in KINDS]
    return (shares / np.maximum(shares.sum(1, keepdims=True), 1e-9)).astype(np.float32)
