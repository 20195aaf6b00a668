"""A training run on disk: `checkpoints/<city>/<run>/`.

config.yaml        the configuration that it came from
run.json           hexagons, categories, weather channels, slices as instants, forecasters; written when all are fitted
best.ckpt …        the network's checkpoints and TensorBoard events
<forecaster>/      what another forecaster saved
state/             what forecasters remember at their newest issues, so that a forecast need not replay the record;
                   may be removed at any time
calibration/       <forecaster>.json: fitted on the validation slice: calibration, spreads of counts, thresholds
scorecard.json     the comparison on the test slice
backtest/…         a rolling origin, one folder for every way to cut it: backtest.json, table.csv, table.md, curves.png,
                   and fold_1/ … with the files of a run, and the forecasts of the fold's test slice under predictions/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.evaluation.backtest import Fitted
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import Calibrated, Forecaster, forecaster_class
from stforecast.forecasters.members import new_forecaster, open_forecaster
from stforecast.scoring.calibration import Calibration
from stforecast.scoring.conformal import Spread
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from stforecast.forecasters.kept import Kept

SCHEMA = 4
"""Of a run's files and of what its forecasters read; raised where either changes its meaning."""
FACTS = {"made_from", "start", "known_time", "embargo_hours", "train_until", "validation_until", "hexagons"}
FACTS |= {"forecasters", "categories", "weather", "future"}
"""What a forecast needs of `run.json`."""
FITTED = {"calibration", "spreads", "thresholds", "hot_thresholds"}
"""What `calibration/<forecaster>.json` holds."""


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
        """Where a forecaster keeps its files: the network in the run's own folder, others below it."""
        place = self.folder if forecaster == "gcrn" else self.folder / forecaster
        place.mkdir(parents=True, exist_ok=True)
        return place

    def backtest(self, folds: int, test_days: int, refit: bool) -> Path:
        """The folder of a backtest with these settings, such as `backtest/4x56` or `backtest/4x56-carried`."""
        return self.folder / "backtest" / f"{folds}x{test_days}{'' if refit else '-carried'}"

    def predictions(self, forecaster: str, hour: int) -> Path:
        """Calibrated λ of a fold's test slice, issued at a UTC hour: float32 [m k n c]."""
        return self.folder / "predictions" / forecaster / f"{hour:02d}.npy"

    def kept(self, say: Callable[[str], None]) -> Kept:
        """What forecasters remember at their newest issues."""
        from stforecast.forecasters.kept import Kept

        return Kept(self.folder / "state", say)

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

    def keep(self, forecaster: Forecaster, fitted: Fitted) -> None:
        """Save what was fitted on the validation slice, after the forecaster itself."""
        forecaster.save(self.place(forecaster.name))
        values = {
            "parts": [*forecaster.given],
            "calibration": fitted.forecaster.calibration.to_dict(),
            "spreads": {name: spread.to_dict() for name, spread in fitted.forecaster.spreads.items()},
            "thresholds": fitted.thresholds,
            "hot_thresholds": fitted.hot_thresholds,
        }
        write_json(self.folder / "calibration" / f"{forecaster.name}.json", values)

    def new(self, forecaster: str, config: Config) -> Forecaster:
        """A forecaster to be fitted, with the fitted ones that it reads."""
        model = new_forecaster(forecaster, config)
        model.given = self._given(forecaster, config)
        return model

    def _given(self, forecaster: str, config: Config) -> dict[str, Forecaster]:
        parts = forecaster_class(forecaster).needs(config)
        return {part: self.open(part, config).forecaster.forecaster for part in parts}

    def has(self, forecaster: str, config: Config) -> bool:
        """Whether a forecaster was fitted and calibrated in this run, from the parts that the configuration names."""
        path = self.folder / "calibration" / f"{forecaster}.json"
        return path.is_file() and self._fitted(path).get("parts", []) == [*forecaster_class(forecaster).needs(config)]

    def _fitted(self, path: Path) -> dict[str, Any]:
        values = read_json(path)
        if not isinstance(values, dict) or not values.keys() >= FITTED:
            raise ArtefactError(f"{path}: damaged, or of an older version. Remove it and run `stforecast train`.")
        return values

    def open(self, forecaster: str, config: Config) -> Fitted:
        """A fitted forecaster.

        Raises:
            ArtefactError: it is not part of the run, or its files are damaged.
        """
        if not self.has(forecaster, config):
            names = sorted(path.stem for path in (self.folder / "calibration").glob("[!.]*.json"))
            held = ", ".join(name for name in names if self.has(name, config)) or "none"
            raise ArtefactError(
                f"{self.folder}: holds no {forecaster}; the forecasters in it: {held}. Choose one of them, or add "
                "yours to evaluation.forecasters and run `stforecast train`."
            )
        values = self._fitted(self.folder / "calibration" / f"{forecaster}.json")
        model = open_forecaster(forecaster, self.place(forecaster), config)
        model.given = self._given(forecaster, config)
        spreads = {name: Spread.from_dict(spread) for name, spread in values["spreads"].items()}
        calibrated = Calibrated(model, Calibration.from_dict(values["calibration"]), spreads)
        return Fitted(calibrated, values["thresholds"], values["hot_thresholds"])

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
