"""A training run on disk: `checkpoints/<city>/<run>/`.

config.yaml        the configuration that it came from
run.json           hexagons, categories, weather channels, slices as instants, forecasters; written when all are fitted
<forecaster>/      what a forecaster saved: its fit (seed-<i>/ with checkpoints and TensorBoard events for the network),
                   and calibration.json, fitted on the validation slice: calibration, spreads of counts, thresholds
state/             what forecasters carry at their newest issues, so that a forecast need not replay the record; may be
                   removed at any time
predictions/       calibrated forecasts of the test slice, <forecaster>/<hour of issue>.npy
scorecard.json     the comparison on the test slice
backtest/…         a rolling origin, one folder for every way to cut it: backtest.json, table.csv, table.md, curves.png,
                   and fold_1/ … with the files of a run
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import CALIBRATION, Forecaster
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.registry import create_forecaster, kind_of
from stforecast.forecasters.state_cache import StateCache
from stforecast.scoring.splits import Split

SCHEMA = 5
"""Of a run's files and of what its forecasters read; raised where either changes its meaning."""
FACTS = {"made_from", "start", "known_time", "embargo_hours", "train_until", "validation_until", "hexagons"}
FACTS |= {"forecasters", "categories", "weather", "future"}
"""What a forecast needs of `run.json`."""


@dataclass(frozen=True)
class Run:
    """A folder of checkpoints and what was written about it."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether every forecaster was fitted and calibrated."""
        return (self.folder / "run.json").is_file()

    def place(self, forecaster: str) -> Path:
        """Where a forecaster keeps its files."""
        return self.folder / forecaster

    def backtest(self, folds: int, test_days: int, refit: bool) -> Path:
        """The folder of a backtest with these settings, such as `backtest/4x56` or `backtest/4x56-carried`."""
        return self.folder / "backtest" / f"{folds}x{test_days}{'' if refit else '-carried'}"

    def predictions(self, forecaster: str, hour: int) -> Path:
        """Calibrated λ of the test slice, issued at a UTC hour: float32 [m k n c]."""
        return self.folder / "predictions" / forecaster / f"{hour:02d}.npy"

    def states(self, say: Callable[[str], None]) -> StateCache:
        """What forecasters carry at their newest issues."""
        return StateCache(self.folder / "state", say)

    def facts(self) -> dict[str, Any]:
        """What `run.json` says.

        Raises:
            ArtefactError: the run is not finished, or its file is damaged or of another version.
        """
        if not self.finished:
            raise ArtefactError(f"{self.folder}: training has not finished. Run `stforecast train` to go on with it.")
        path = self.folder / "run.json"
        facts = read_json(path)
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA or not facts.keys() >= FACTS:
            raise ArtefactError(f"{path}: damaged, or of another version. Run `stforecast train --fresh`.")
        return facts

    def create(self, forecaster: str, config: Config, **more: Any) -> Forecaster:
        """A forecaster to be fitted, with the fitted ones that it reads."""
        return create_forecaster(forecaster, config, self._parts(forecaster, config), **more)

    def _parts(self, forecaster: str, config: Config) -> dict[str, Forecaster]:
        return {part: self.open(part, config) for part in kind_of(forecaster, config).needs(config)}

    def has(self, forecaster: str, config: Config) -> bool:
        """Whether a forecaster was fitted and calibrated in this run, from the parts that the configuration names."""
        path = self.place(forecaster) / CALIBRATION
        if not path.is_file():
            return False
        return read_json(path).get("parts", []) == [*kind_of(forecaster, config).needs(config)]

    def forget(self, forecaster: str) -> None:
        """Remove what rests on the fit of a forecaster that is fitted anew: predictions, and scores of all."""
        shutil.rmtree(self.predictions(forecaster, 0).parent, ignore_errors=True)
        (self.folder / "scorecard.json").unlink(missing_ok=True)

    def open(self, forecaster: str, config: Config) -> Forecaster:
        """A fitted forecaster.

        Raises:
            ArtefactError: it is not part of the run, or its files are damaged.
        """
        if not self.has(forecaster, config):
            names = sorted(path.parent.name for path in self.folder.glob(f"[!.]*/{CALIBRATION}"))
            raise ArtefactError(
                f"{self.folder}: holds no {forecaster}; the forecasters in it: {', '.join(names) or 'none'}. Choose "
                "one of them, or add yours to evaluation.forecasters and run `stforecast train`."
            )
        kind = kind_of(forecaster, config)
        return kind.load(self.place(forecaster), config, self._parts(forecaster, config))

    def digest(self, forecaster: str, config: Config) -> str:
        """A SHA-256 of all files of a fitted forecaster and of those that it reads."""
        places = [self.place(name) for name in (forecaster, *kind_of(forecaster, config).needs(config))]
        files = [path for place in places for path in sorted(place.rglob("*")) if path.is_file()]
        hashes = [(str(path.relative_to(self.folder)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
        return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()

    def climatology(self, cube: Cube, config: Config) -> RollingClimatology:
        """The rolling climatology as of the run, calibrated where the run has it: what a forecast is compared with."""
        if self.has(RollingClimatology.name, config):
            opened = self.open(RollingClimatology.name, config)
            assert isinstance(opened, RollingClimatology)
            return opened
        return RollingClimatology(config, ends=(cube.step_of(self.train_until()),)).uncalibrated(cube)

    def finish(
        self, cube: Cube, split: Split, forecasters: list[str], made_from: str, offences: dict[str, list[str]]
    ) -> None:
        """Write `run.json`; `offences` are those that each category asks for."""
        write_json(
            self.folder / "run.json",
            {
                "schema": SCHEMA,
                "made_from": made_from,
                "start": cube.start.isoformat(),
                "known_time": cube.notes["known_time"],
                "embargo_hours": cube.notes["embargo_hours"],
                "forecasters": forecasters,
                "categories": list(cube.categories),
                "offences": offences,
                "train_until": cube.time_of(split.train_end).isoformat(),
                "validation_until": cube.time_of(split.validation_end).isoformat(),
                "weather": list(cube.weather.names),
                "future": list(cube.future.names),
                "hexagons": cube.cells.tolist(),
            },
        )

    def train_until(self) -> pd.Timestamp:
        """The instant at which the training slice ended."""
        return pd.Timestamp(self.facts()["train_until"])
