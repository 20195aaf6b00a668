"""A fitted tree ensemble, and the file that holds it: data in the library's own format, and no code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np

from stforecast.features.tabular import Sample, chance
from stforecast.forecasters import resampling

_OBJECT = re.compile(r'("__id__": |": ")(\d+)(?=[,\s}]|\.np[yz]")')
_OBJECT_FILE = re.compile(r"^\d+(?=\.np[yz]$)")


class Table(NamedTuple):
    """What an estimator is given: rows [r f], targets [r], and weights [r] or None."""

    rows: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None


@dataclass
class TreeFit:
    """A fitted ensemble: `model`, how many `columns` it reads, `density` (see `Sample`), `odds`, and `rounds`.

    model: opened from `saved`, its file's content; a plain factor on λ₀ where no tree was kept.
    odds: None where the model gives the factor on λ₀, and where it gives a probability what takes its odds to those of
    the drawn rows: 1 unless classes were balanced.
    rounds: how many rounds of boosting the validation slice chose; None of trees that are not boosted.
    """

    model: Any
    saved: bytes
    columns: int
    density: float
    odds: float | None
    rounds: int | None = None

    def facts(self) -> dict[str, Any]:
        """All but the content of its file, in plain values."""
        level = None if self.saved else self.model
        return {
            "columns": self.columns,
            "density": self.density,
            "odds": self.odds,
            "level": level,
            "rounds": self.rounds,
        }


def as_intensity(predicted: np.ndarray, rate: np.ndarray, fit: TreeFit) -> np.ndarray:
    """λ [r] of what a model gives for rows of climatology `rate` [r]."""
    if fit.odds is None:
        return rate * predicted
    return resampling.intensity(predicted, fit.odds * chance(rate, fit.density))


def canonical(saved: bytes) -> bytes:
    """A skops archive whose bytes follow from the estimator alone: skops names objects by where they lie in memory."""
    numbers: dict[str, str] = {}

    def counted(match: re.Match[str]) -> str:
        return match[1] + numbers.setdefault(match[2], str(len(numbers)))

    out = BytesIO()
    with ZipFile(BytesIO(saved)) as old, ZipFile(out, "w", ZIP_DEFLATED, compresslevel=3) as new:
        schema = _OBJECT.sub(counted, old.read("schema.json").decode())
        members = {name: old.read(name) for name in old.namelist() if name != "schema.json"}
        members = {_OBJECT_FILE.sub(lambda match: numbers[match[0]], name): data for name, data in members.items()}
        for name, data in [("schema.json", schema.encode()), *sorted(members.items())]:
            new.writestr(ZipInfo(name), data, ZIP_DEFLATED)
    return out.getvalue()


def level_of(sample: Sample) -> float:
    """What climatology times a constant asks for, for samples without two classes; pooled trees stand as they are."""
    exposure = float((sample.rate * sample.weight).sum())
    return float(sample.counts.sum()) / exposure if exposure and not sample.started else 1.0
