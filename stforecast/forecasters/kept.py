"""Kept walks: what a forecaster remembers at its newest issue, beside its checkpoint, so that a new day is one step.

`<forecaster>-<step of the day>.pt` holds the state of the walk, the calibrated forecasts of the last weeks that the
next one is held against, and a fingerprint of all that both rest on: the fit, the calibration, the graph, the calendar,
the events known before the issue, what was not recorded, and the weather read up to it. A walk goes on where all of
that is in the cube at hand, unchanged; otherwise the record is replayed and the walk kept anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
import torch

from stforecast import __version__
from stforecast.cube import Cube
from stforecast.features.observed import agreeing, last_known
from stforecast.files import atomic_path, fingerprint
from stforecast.forecasters.level import Issued, with_earlier
from stforecast.forecasters.walking import Walk, Walking, along, as_array, beyond_of

if TYPE_CHECKING:
    from stforecast.forecasters.base import Calibrated

SCHEMA = 4
"""To be raised whenever a forecaster comes to remember something else."""
ISSUED = ("steps", "intensity", "moments")


@dataclass(frozen=True)
class _Found:
    rests_on: str
    state: dict[str, Any]
    issued: Issued


class Kept:
    """A folder of kept walks. `say` receives a line where one cannot be used or written."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say

    def issued(self, fitted: Calibrated, cube: Cube, issue: int) -> Issued | None:
        """The calibrated forecast of an issue and the earlier ones that it is held against.

        None for a forecaster that does not walk.
        """
        forecaster = fitted.forecaster.walking()
        if forecaster is None or cube.horizons % forecaster.patch(cube):
            return None
        return Issued.together([self._trip(fitted, forecaster, cube, at)[1] for at in _by_walk(cube, issue)])

    def walk(self, fitted: Calibrated, forecaster: Walking, cube: Cube, issue: int, ahead: int) -> Walk:
        """The walk that serves an issue, to look `ahead` steps from there."""
        return self._trip(fitted, forecaster, cube, _by_walk(cube, issue)[-1], ahead)[0]

    def _trip(
        self, fitted: Calibrated, forecaster: Walking, cube: Cube, steps: np.ndarray, ahead: int = 0
    ) -> tuple[Walk, Issued]:
        """Walk on to the last of the ascending issue `steps`: the walk there, and the forecasts of them all."""
        patch, newest = forecaster.patch(cube), min(int(steps[-1]), cube.steps)
        wanted = steps[steps <= newest]
        path = self.folder / f"{forecaster.name}-{newest % cube.horizons:02d}.pt"
        known = last_known(cube, np.array([newest]))
        grounds, found, keep = _Grounds(fitted, forecaster, known), self._open(path), True
        last = found.state["next_issue"] - patch if found else -1
        if found and (last > cube.steps or found.rests_on != grounds.at(last)):
            self.say(f"{path}: rests on another record, fit or setting; the record is replayed")
            found = None
        if found and last > newest:  # what is kept has gone past the issue, and stays
            found, keep = None, False
        before = wanted[wanted <= last]
        if found and not np.isin(before, found.issued.steps).all():
            found = None
        state = found.state if found else None
        reader = forecaster.reader(known, beyond_of(cube, steps) + ahead, state["next_issue"] if state else 0)
        walk = forecaster.walk(reader, newest % patch, state)
        # issues at which less or more was known not to be recorded have walks of their own
        other = wanted[agreeing(cube, wanted) != agreeing(cube, np.array([newest]))]
        other = np.array([], np.int64) if found else other
        new = {step: as_array(rate) for step, rate in along(walk, newest) if step in wanted}
        new |= dict(zip(other.tolist(), forecaster.intensity(cube, other), strict=True)) if len(other) else {}
        shape = (len(new), cube.horizons, cube.n, cube.c)
        parts = [found.issued.at(before)] if found else []
        parts.append(fitted.issued(np.array([*new], np.int64), np.array([*new.values()], np.float32).reshape(shape)))
        issued = Issued.together(parts)
        if keep and (state is None or walk.next_issue != state["next_issue"]):
            self._keep(path, grounds.at(newest), walk, issued)
        if steps[-1] > newest:
            beyond = as_array(walk.beyond(int(steps[-1])))[None]
            issued = Issued.together([issued, fitted.issued(steps[-1:], beyond)])
        return walk, issued

    def _open(self, path: Path) -> _Found | None:
        if not path.is_file():
            return None
        try:
            if broken := ZipFile(path).testzip():  # torch does not look at the checksums that it writes
                raise ValueError(f"{broken} is not what was written")
            values = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            issued = Issued(*(values[name].numpy() for name in ISSUED))
            return _Found(values["rests_on"], {**values["state"]}, issued)
        except Exception as error:  # whatever the unpickler and the archive reader raise
            reason = " ".join(str(error).split())[:100]
            self.say(f"{path}: damaged ({reason}); the record is replayed and the file replaced")
            return None

    def _keep(self, path: Path, rests_on: str, walk: Walk, issued: Issued) -> None:
        values = {name: torch.from_numpy(getattr(issued, name)) for name in ISSUED}
        try:
            with atomic_path(path) as temporary:
                torch.save({"rests_on": rests_on, "state": walk.state(), **values}, temporary)
        except (OSError, RuntimeError) as error:  # torch tells so of a full disk
            self.say(f"{path}: not kept ({error}); the next forecast replays the record")


def _by_walk(cube: Cube, issue: int) -> list[np.ndarray]:
    """The issue steps of a forecast at its level, by the walk that serves them; that of the issue itself comes last.

    They are one day apart and so on one walk, but for an issue beyond the record, which the record's end serves.
    """
    steps = with_earlier(cube, np.array([issue]))
    walk = np.minimum(steps, cube.steps) % cube.horizons
    alone = walk != walk[-1]
    return [part for part in (steps[alone], steps[~alone]) if len(part)]


class _Grounds:
    """What a walk rests on, as a fingerprint at ascending issues: nothing is hashed twice."""

    def __init__(self, fitted: Calibrated, forecaster: Walking, cube: Cube) -> None:
        self.cube, (self.until, learned) = cube, forecaster.learned()
        fixed = [SCHEMA, __version__, learned, fitted.calibration.to_dict(), cube.cells.tolist(), cube.categories]
        fixed += [cube.start, cube.step_hours, cube.horizons, cube.time_zone, cube.country, cube.subdivision]
        fixed += [cube.weather.names, cube.future.names, sha256(cube.edges.tobytes()).hexdigest()]
        self.fixed = fingerprint(*fixed)
        self.arrays = {name: getattr(cube, name) for name in cube.event_columns}
        self.arrays |= {"weather": cube.weather.values, "future": cube.future.values}
        self.hashes = {name: sha256() for name in self.arrays}
        self.done = dict.fromkeys(self.arrays, 0)

    def at(self, issue: int) -> str:
        known = int(np.searchsorted(self.cube.known_hour, max(issue, self.until)))
        ends = {"weather": issue, "future": issue + self.cube.horizons}
        for name, array in self.arrays.items():
            end = ends.get(name, known)
            self.hashes[name].update(np.ascontiguousarray(array[self.done[name] : end]).data)
            self.done[name] = end
        found = {name: digest.hexdigest() for name, digest in self.hashes.items()}
        if self.cube.masked is not None and (masked := self.cube.masked[:issue]).any():
            found["masked"] = sha256(masked.tobytes()).hexdigest()
        return fingerprint(self.fixed, found)
