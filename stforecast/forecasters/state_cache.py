"""Kept states: what a forecaster carries at its newest issue, beside its files, so that a new day is one step.

`<forecaster>-<step of the day>.pt` holds the state, the calibrated forecasts of the last weeks (which the next one is
held against), and a key: a fingerprint of all that both rest on (fit, calibration, graph, calendar, the events known
before the issue, what was not recorded, and the weather read up to it). A forecast goes on from it where all of that is
in the cube at hand, unchanged; otherwise the record is replayed and the state kept anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stforecast import __version__
from stforecast.cube import Cube
from stforecast.errors import in_brief
from stforecast.features.builder import State, clone_state
from stforecast.features.observed import agreeing, last_known
from stforecast.files import atomic_path, check_archive, fingerprint
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.recalibration import PastForecasts, steps_needed
from stforecast.forecasters.streaming import StreamingForecaster, steps_past_end

SCHEMA = 7
"""To be raised whenever a forecaster comes to carry something else."""
PAST = ("steps", "intensity", "moments")


@dataclass(frozen=True)
class _Kept:
    key: str
    state: State
    past: PastForecasts


class StateCache:
    """A folder of kept states.

    Args:
        folder: of the files.
        say: receives a line where one cannot be used or written.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say

    def past(self, forecaster: Forecaster, cube: Cube, issue: int) -> PastForecasts | None:
        """The calibrated forecast of an issue and the earlier ones that it is held against.

        None for a forecaster that carries no state.
        """
        if not isinstance(forecaster, StreamingForecaster) or cube.horizons % forecaster.patch(cube):
            return None
        return PastForecasts.joined([self._advanced(forecaster, cube, steps)[2] for steps in _by_state(cube, issue)])

    def state(self, forecaster: StreamingForecaster, cube: Cube, issue: int, ahead: int) -> tuple[Any, State]:
        """The reader and the state that serve an issue, to look `ahead` steps from there."""
        return self._advanced(forecaster, cube, _by_state(cube, issue)[-1], ahead)[:2]

    def _advanced(
        self, forecaster: StreamingForecaster, cube: Cube, steps: np.ndarray, ahead: int = 0
    ) -> tuple[Any, State, PastForecasts]:
        """Go on to the last of the ascending issue `steps`: reader and state there, and the forecasts of them all."""
        fit, patch, newest = forecaster.fitted, forecaster.patch(cube), min(int(steps[-1]), cube.steps)
        wanted = steps[steps <= newest]
        path = self.folder / f"{forecaster.name}-{newest % cube.horizons:02d}.pt"
        known = last_known(cube, np.array([newest]))
        key, found, keep = _Key(forecaster, known), self._open(path), True
        last = int(found.state["next_issue"]) - patch if found else -1
        if found and (last > cube.steps or found.key != key.at(last)):
            self.say(f"{path}: rests on another record, fit or setting; the record is replayed")
            found = None
        if found and last > newest:  # what is kept has gone past the issue, and stays
            found, keep = None, False
        before = wanted[wanted <= last]
        if found and not np.isin(before, found.past.steps).all():
            found = None
        reader = forecaster.reader(known, steps_past_end(cube, steps) + ahead, last + patch if found else 0)
        state = (
            clone_state(found.state, reader.events.device) if found else forecaster.init_state(reader, newest % patch)
        )
        # issues at which less or more was known not to be recorded have states of their own
        other = wanted[agreeing(cube, wanted) != agreeing(cube, np.array([newest]))]
        other = np.array([], np.int64) if found else other
        moved = int(state["next_issue"]) <= newest
        new = dict(forecaster.rollout(reader, state, {*wanted.tolist(), newest})) if moved else {}
        new = {issue: new[issue] for issue in wanted.tolist() if issue in new}
        new |= dict(zip(other.tolist(), forecaster.raw(cube, other), strict=True)) if len(other) else {}
        shape = (len(new), cube.horizons, cube.n, cube.c)
        parts = [found.past.at(before)] if found else []
        parts.append(fit.past(cube, np.array([*new], np.int64), np.array([*new.values()], np.float32).reshape(shape)))
        past = PastForecasts.joined(parts)
        if keep and moved:
            self._keep(path, key.at(newest), state, past)
        if steps[-1] > newest:
            later = forecaster.forecast_from_state(reader, state, int(steps[-1]))[None]
            past = PastForecasts.joined([past, fit.past(cube, steps[-1:], later)])
        return reader, state, past

    def _open(self, path: Path) -> _Kept | None:
        if not path.is_file():
            return None
        try:
            check_archive(path, ratio=1)  # torch does not look at the checksums that it writes
            values = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            past = PastForecasts(*(values[name].numpy() for name in PAST))
            return _Kept(values["key"], {**values["state"]}, past)
        except Exception as error:  # whatever the unpickler and the archive reader raise
            self.say(f"{path}: damaged ({in_brief(error)}); the record is replayed and the file replaced")
            return None

    def _keep(self, path: Path, key: str, state: State, past: PastForecasts) -> None:
        values = {name: torch.from_numpy(getattr(past, name)) for name in PAST}
        try:
            with atomic_path(path) as temporary:
                torch.save({"key": key, "state": state, **values}, temporary)
        except (OSError, RuntimeError) as error:  # torch tells so of a full disk
            self.say(f"{path}: not kept ({error}); the next forecast replays the record")


def _by_state(cube: Cube, issue: int) -> list[np.ndarray]:
    """The issue steps of a forecast at its level, by the state that serves them; that of the issue itself comes last.

    They are one day apart and so on one, but for an issue beyond the record, which the record's end serves.
    """
    steps = steps_needed(cube, np.array([issue]))
    phase = np.minimum(steps, cube.steps) % cube.horizons
    alone = phase != phase[-1]
    return [part for part in (steps[alone], steps[~alone]) if len(part)]


class _Key:
    """What a state rests on, as a fingerprint at ascending issues: nothing is hashed twice."""

    def __init__(self, forecaster: StreamingForecaster, cube: Cube) -> None:
        self.cube, (self.until, learned) = cube, forecaster.fingerprint()
        fixed = [SCHEMA, __version__, learned, forecaster.fitted.calibration.to_dict()]
        fixed += [cube.cells.tolist(), cube.categories, cube.start, str(cube.step), cube.horizons, cube.time_zone]
        fixed += [cube.country, cube.subdivision, cube.weather.names, cube.future.names]
        fixed += [(one.name, one.kind) for one in cube.covariates]
        self.fixed = fingerprint(*fixed, sha256(cube.edges.tobytes()).hexdigest())
        self.known = dict[str, np.ndarray]()
        self.arrays = {name: getattr(cube, name) for name in cube.event_columns}
        for one in cube.covariates:
            self.arrays |= {f"{one.name} {key}": column.to_numpy() for key, column in one.rows.items()}
            self.known |= {f"{one.name} {key}": one.known for key in one.rows}
        self.arrays |= {"weather": cube.weather.values, "future": cube.future.values}
        self.hashes = {name: sha256() for name in self.arrays}
        self.done = dict.fromkeys(self.arrays, 0)

    def at(self, issue: int) -> str:
        known = int(np.searchsorted(self.cube.known_hour, max(issue, self.until)))
        ends = {"weather": issue, "future": issue + self.cube.horizons}
        for name, array in self.arrays.items():
            end = ends.get(name, known)
            if name in self.known:
                end = int(np.searchsorted(self.known[name], max(issue, self.until), side="right"))
            self.hashes[name].update(np.ascontiguousarray(array[self.done[name] : end]).data)
            self.done[name] = end
        found = {name: digest.hexdigest() for name, digest in self.hashes.items()}
        if self.cube.masked is not None and (masked := self.cube.masked[:issue]).any():
            found["masked"] = sha256(masked.tobytes()).hexdigest()
        return fingerprint(self.fixed, found)
