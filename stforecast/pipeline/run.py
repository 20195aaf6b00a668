"""A training run on disk: `checkpoints/<city>/<run>/`.

config.yaml        the configuration that it came from
run.json           hexagons, categories, weather channels, slices as instants, forecasters, which records were learned
                   from and which weights were started from; written when all are fitted
<forecaster>/      what a forecaster saved: its fit, in formats that hold no code (seed-<i>/ has the checkpoints of the
                   network and its TensorBoard events), and calibration.json, fitted on the validation slice:
                   calibration, spreads of counts, thresholds
state/             what forecasters carry at their newest issues, so that a forecast need not replay the record; may be
                   removed at any time
predictions/       calibrated forecasts of the test slice, <forecaster>/<hour of issue>/
scorecard.json     the comparison on the test slice
backtest/…         a rolling origin, one folder for every way to cut it: backtest.json, table.csv, table.md, curves.png,
                   and fold_1/ … with the files of a run
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.files import read_json, sha256_of
from stforecast.forecasters.base import AGAIN, CALIBRATION, Forecaster
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.registry import create_forecaster, kind_of, names_of
from stforecast.forecasters.state_cache import StateCache
from stforecast.forecasters.weights import Learned, places_of, unfair
from stforecast.scoring.splits import Split
from stforecast.sealed import Sealed, seal, unseal

SCHEMA = 10
"""Of a run's files and of what its forecasters read; raised where either changes its meaning."""
FACTS = {"made_from", "start", "known_time", "embargo_hours", "train_until", "validation_from", "validation_until"}
FACTS |= {"hexagons", "forecasters", "categories", "weather", "future", "step", "horizons", "learned", "started"}
"""What a forecast, or a fit that goes on from it, needs of `run.json`."""


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

    @property
    def config(self) -> Path:
        """The configuration that it came from."""
        return self.folder / "config.yaml"

    def place(self, forecaster: str) -> Path:
        """Where a forecaster keeps its files."""
        return self.folder / forecaster

    def backtest(self, folds: int, test_days: int, refit: bool) -> Path:
        """The folder of a backtest with these settings, such as `backtest/4x56` or `backtest/4x56-carried`."""
        return self.folder / "backtest" / f"{folds}x{test_days}{'' if refit else '-carried'}"

    def predictions(self, forecaster: str, hour: int) -> Path:
        """The folder of the calibrated forecasts of the test slice that are issued at a UTC hour."""
        return self.folder / "predictions" / forecaster / f"{hour:02d}"

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
        facts = read_json(path, AGAIN)
        names = facts.get("forecasters")
        named = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
        if facts.get("schema") != SCHEMA or not facts.keys() >= FACTS or not named:
            raise ArtefactError(f"{path}: of another version. {AGAIN}")
        return facts

    def create(self, forecaster: str, config: Config, **more: Any) -> Forecaster:
        """A forecaster to be fitted, with the fitted ones that it reads."""
        return create_forecaster(forecaster, config, self._parts(forecaster, config), **more)

    def _parts(self, forecaster: str, config: Config) -> dict[str, Forecaster]:
        return {part: self.open(part, config) for part in kind_of(forecaster, config).needs(config)}

    def has(self, forecaster: str, config: Config, whole: bool = False) -> bool:
        """Whether a forecaster was fitted and calibrated in this run, from the parts that the configuration names.

        Raises:
            ArtefactError: its calibration is damaged or, where it is asked whether it is `whole`, another of its files.
        """
        path = self.place(forecaster) / CALIBRATION
        if not path.is_file():
            return False
        if whole:
            unseal(path, AGAIN, Sealed.check)
        return read_json(path, AGAIN)["parts"] == [*kind_of(forecaster, config).needs(config)]

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
        names = (forecaster, *kind_of(forecaster, config).needs(config))
        hashes = "".join(sha256_of(self.place(name) / CALIBRATION) for name in names)  # which bears those of the others
        return hashlib.sha256(hashes.encode()).hexdigest()

    def climatology(self, cube: Cube, config: Config) -> RollingClimatology:
        """The rolling climatology as of the run, calibrated where the run has it: what a forecast is compared with."""
        if self.has(RollingClimatology.name, config):
            opened = self.open(RollingClimatology.name, config)
            assert isinstance(opened, RollingClimatology)
            return opened
        return RollingClimatology(config, ends=(cube.step_of(self.train_until()),)).uncalibrated(cube)

    def finish(
        self,
        cube: Cube,
        split: Split,
        forecasters: list[str],
        made_from: str,
        offences: dict[str, list[str]],
        learned: Sequence[Learned],
        started: Mapping[str, Any] | None,
    ) -> None:
        """Write `run.json`.

        Args:
            cube: the record.
            split: its slices.
            forecasters: of the run, the one that forecasts first.
            made_from: the stamp of the record.
            offences: those that each category asks for.
            learned: the records that the fits read.
            started: what they started from, and how much of it was learned on (`Weights.facts`, `adapt`).
        """
        seal(
            self.folder / "run.json",
            {
                "schema": SCHEMA,
                "made_from": made_from,
                "start": cube.start.isoformat(),
                "step": cube.step_unit,
                "horizons": cube.horizons,
                "known_time": cube.notes["known_time"],
                "embargo_hours": cube.notes["embargo_hours"],
                "forecasters": forecasters,
                "categories": list(cube.categories),
                "offences": offences,
                "train_until": cube.time_of(split.train_end).isoformat(),
                "validation_from": cube.time_of(split.validation_start).isoformat(),
                "validation_until": cube.time_of(split.validation_end).isoformat(),
                "weather": list(cube.weather.names),
                "future": list(cube.future.names),
                "hexagons": cube.cells.tolist(),
                "learned": [*map(asdict, learned), *(started["learned"] if started else ())],
                "started": started,
            },
            [self.config],
        )

    def seen(self, cube: Cube, split: Split, config: Config) -> dict[str, str]:
        """What there is to say, by forecaster of the configuration, of those whose weights have learned from the test
        slice."""
        return unfair(self.facts()["started"], config, names_of(config), cube, *split.span("test"))

    def learned_until(self, cube: Cube) -> pd.Timestamp:
        """The instant up to which it, or what it started from, has learned from the places of a record."""
        facts, places = self.facts(), places_of(cube)
        learned = [Learned.from_dict(one) for one in facts["learned"]]
        ends = [facts["validation_until"], *(one.last for one in learned if one.lies_in(cube.name, places))]
        return max(map(pd.Timestamp, ends))

    def train_until(self) -> pd.Timestamp:
        """The instant at which the training slice ended."""
        return pd.Timestamp(self.facts()["train_until"])
