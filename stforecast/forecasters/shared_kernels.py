"""Excitation kernels that cities share: an event excites its own category, and all others by their share of events.

    θ[c, place, h, c′] = same[place, h]                where c is c′
                         other[place, h] · share[c]    elsewhere

No weight belongs to a category, so the kernels of some cities can be carried to one with others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.files import read_made, write_json

AGAIN = "Learn the shared kernels again."


@dataclass(frozen=True)
class SharedKernels:
    """What a city's events excite, by place (own hexagon, then ring) and half-life.

    half_lives: in hours, [h]. background: μ, the share of λ₀. same, other: θ, by place and half-life, [2 h] each.
    """

    half_lives: tuple[float, ...]
    background: float
    same: np.ndarray
    other: np.ndarray

    @staticmethod
    def of(theta: np.ndarray, half_lives: Sequence[float]) -> SharedKernels:
        """From the weights [1 + 4·h] of the columns of `columns`."""
        same, other = theta[1:].reshape(2, 2, len(half_lives))
        return SharedKernels(tuple(half_lives), float(theta[0]), same, other)

    @staticmethod
    def columns(parts: np.ndarray, category: np.ndarray, share: np.ndarray) -> np.ndarray:
        """What λ of some categories is mixed from, [e 1+f] as `Hawkes` has it, in the columns of these weights.

        Args:
            parts: by place, half-life and exciting category, behind the background.
            category: whose λ each row is, [e].
            share: of all events, by category, [c].

        Returns:
            Background, then excitation by the same category, then by all others: [e 1+4·h].
        """
        excited = parts[:, 1:].reshape(len(parts), (parts.shape[1] - 1) // len(share), len(share))
        same = np.take_along_axis(excited, category[:, None, None], 2)[..., 0]
        other = (excited.sum(2) - same) * share[category][:, None]
        return np.concatenate([parts[:, :1], same, other], 1)

    def weights(self, share: np.ndarray, half_lives: Sequence[float]) -> np.ndarray:
        """The weights of a city as `Hawkes` has them, float64 [c, 1 + f].

        Args:
            share: of all events, by category, [c].
            half_lives: in hours, that the city's excitation has.

        Raises:
            ConfigError: the kernels were learned with other half-lives.
        """
        if [*self.half_lives] != [*half_lives]:
            raise ConfigError(
                f"hawkes: shared kernels have half-lives of {[*self.half_lives]} hours and this city's steps ask for "
                f"{[*half_lives]}. Learn them from cities with the same steps."
            )
        own = np.eye(len(share), dtype=bool)[:, None, None]
        theta = np.where(own, self.same[..., None], self.other[..., None] * share[:, None, None, None])
        return np.column_stack([np.full(len(share), self.background), theta.reshape(len(share), -1)])

    def to_dict(self) -> dict[str, Any]:
        """In plain values."""
        return {
            "half_lives_hours": self.half_lives,
            "background": self.background,
            "same": self.same.tolist(),
            "other": self.other.tolist(),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> SharedKernels:
        """Back from `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: the values are not those of shared kernels.
        """
        half_lives, background = tuple(values["half_lives_hours"]), float(values["background"])
        same, other = (np.array(values[key], np.float64) for key in ("same", "other"))
        if same.shape != (2, len(half_lives)) or other.shape != same.shape:
            raise ValueError(f"shared kernels: same and other must be of shape {(2, len(half_lives))}")
        return SharedKernels(half_lives, background, same, other)

    def save(self, path: Path) -> None:
        """Write what `open` reads."""
        write_json(path, self.to_dict())

    @staticmethod
    def open(path: Path) -> SharedKernels:
        """What `save` wrote.

        Raises:
            ArtefactError: it is absent, damaged or of another version.
        """
        return read_made(path, SharedKernels.from_dict, AGAIN)


def category_share(cube: Cube, known_before: int) -> np.ndarray:
    """Share of each category in the events known at a step, float64 [c]; one event of each is given."""
    known = cube.known_hour < known_before
    counts = np.bincount(cube.category[known], cube.weight[known], minlength=cube.c) + 1
    return counts / counts.sum()
