"""What every forecaster is: `fit(cube, split)`, `predict(cube, issue_times) -> Forecast`, `save`, `load`.

A forecaster of one's own gives `learn` (if it learns) and `intensity`, and `save_fit` and `load_fit` (if it keeps
anything); calibration, recent level, averages and files follow. `stforecast.testing.check_forecaster` tries it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from stforecast.config import Config
from stforecast.config.loading import with_settings
from stforecast.cube import Cube
from stforecast.cube.covariates import sensitive_words
from stforecast.errors import ArtefactError
from stforecast.features.observed import by_agreement
from stforecast.files import read_json, write_json
from stforecast.forecasters.calibrated import ValidationFit, fit_validation
from stforecast.forecasters.forecast import Forecast
from stforecast.forecasters.recalibration import PastForecasts, recalibrated, steps_needed
from stforecast.scoring.calibration import Calibration
from stforecast.scoring.splits import Split
from stforecast.sealed import Sealed, seal, unseal

if TYPE_CHECKING:
    from stforecast.forecasters.by_group import ByGroup
    from stforecast.forecasters.state_cache import StateCache

CALIBRATION = "calibration.json"
"""In the folder of a saved forecaster: its `ValidationFit`, the forecasters that it reads, and what else is there."""
PROGRESS = "progress"
"""In the same folder: what a long fit keeps to go on after a kill (checkpoints, TensorBoard events)."""
AGAIN = "Run `stforecast train` again."


class Forecaster(ABC):
    """A way from the record before an issue time to the intensities after it.

    Issue steps are steps of the cube's axis: the forecast issued at step s is of steps s … s + K − 1 and rests on
    events with `known_hour < s` only.

    Args:
        config: of the city; default the package's defaults, one fit.
        parts: fitted forecasters that it reads, by name; see `needs`.
        settings: values of the configuration's sections `sections`, and seed and seeds, by keyword.
    """

    name: ClassVar[str]
    """What it is called in tables, and how its folder is named."""
    seeded: ClassVar[bool] = False
    """Whether fits differ by seed, so that several are worth averaging (`config.seeds`)."""
    sections: ClassVar[tuple[str, ...]] = ()
    """Sections of the configuration whose keys the constructor takes."""

    def __init__(
        self, config: Config | None = None, parts: Mapping[str, Forecaster] | None = None, **settings: Any
    ) -> None:
        self.config = with_settings(config, type(self).__name__, self.sections, settings)
        self.parts = dict(parts or {})
        self.calibrated: ValidationFit | None = None
        """What was fitted on the validation slice; None before."""

    @classmethod
    def needs(cls, config: Config) -> tuple[str, ...]:
        """Names of the forecasters that must be fitted before this one."""
        return ()

    @property
    def reads_covariates(self) -> bool:
        """Whether it reads the covariates of a cube."""
        return any(part.reads_covariates for part in self.parts.values())

    @property
    def seeds(self) -> list[int]:
        """The seeds of its fits."""
        return [self.config.seed + i for i in range(self.config.seeds if self.seeded else 1)]

    def learn(self, cube: Cube, split: Split, folder: Path | None = None) -> None:  # noqa: B027
        """Learn from the training slice (and, to choose between fits, the validation slice).

        Args:
            cube: the record.
            split: its slices.
            folder: where a long fit keeps its own progress (checkpoints, TensorBoard events).
        """

    @abstractmethod
    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        """λ as float32 [m k n c] at the issue steps `issues` [m], from `cube.as_known` at each; not calibrated."""

    def save_fit(self, folder: Path) -> None:  # noqa: B027
        """Write what `load_fit` needs into `folder`, as JSON, arrays or tables: nothing that can hold code."""

    def load_fit(self, folder: Path) -> None:  # noqa: B027
        """Take up what `save_fit` wrote."""

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        """Learn from the training slice and calibrate on the validation slice.

        Args:
            cube: the record.
            split: its slices.
            folder: where it will be saved; a long fit keeps its progress below, to go on after a kill.
        """
        self.learn(cube, split, folder and folder / PROGRESS)
        return self.calibrate(cube, split)

    def calibrate(self, cube: Cube, split: Split) -> Self:
        """Fit calibration, spread of daily counts and thresholds on the validation slice, as known at its end."""
        self.calibrated = replace(fit_validation(self.raw, cube, split), remark=self.remark)
        return self

    def raw(self, cube: Cube, issues: np.ndarray, known: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Uncalibrated λ [m k n c] at issue steps [m], each from the record as known at it.

        Args:
            cube: the record.
            issues: issue steps, [m].
            known: what other forecasters gave at the same steps, by name, for those that read them.
        """
        return by_agreement(self.intensity, cube, np.asarray(issues, np.int64))

    def predict(self, cube: Cube, issue_times: Any) -> Forecast:
        """The calibrated forecast at issue times; past the cube's end it rests on the record up to there.

        Args:
            cube: the record.
            issue_times: a time with Z or an offset ("2024-10-28T06:00Z"), a Timestamp, or a list or range of them.

        Raises:
            ArtefactError: it is not fitted, or a time is not a step of the cube.
        """
        return self.forecast(cube, cube.steps_of(issue_times))

    def forecast(
        self,
        cube: Cube,
        issues: np.ndarray,
        cache: StateCache | None = None,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> Forecast:
        """The calibrated forecast at issue steps [m], at the level of the weeks before each.

        Args:
            cube: the record.
            issues: issue steps, [m].
            cache: kept states, from which the forecast of one issue goes on.
            known: uncalibrated λ of forecasters at `steps_needed`, by name, where at hand; this one's too.
        """
        fit, issues = self.fitted, np.asarray(issues, np.int64)
        return Forecast(
            intensity=recalibrated(cube, issues, self.past(cube, issues, cache, known)),
            issue_times=cube.times_of(issues),
            hexagons=cube.cells,
            categories=cube.categories,
            step_hours=cube.step_hours,
            step_unit=cube.step_unit,
            time_zone=cube.time_zone,
            model=self.name,
            complete_until=min(cube.end, cube.time_of(int(issues.max(initial=0)))),
            assumptions=sensitive_words(cube.covariates) if self.reads_covariates else (),
            spreads=fit.spreads,
            joint=fit.joint,
            districts=cube.hexagons["district"].to_numpy(object) if "district" in cube.hexagons else None,
            polygons=cube.polygons,
        )

    def past(
        self,
        cube: Cube,
        issues: np.ndarray,
        cache: StateCache | None = None,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> PastForecasts:
        """The calibrated forecasts at issue steps [m] and at those that they are held against; see `forecast`."""
        if cache and len(issues) == 1 and (past := cache.past(self, cube, int(issues[0]))) is not None:
            return past
        steps, known = steps_needed(cube, issues), known or {}
        return self.fitted.past(cube, steps, known[self.name] if self.name in known else self.raw(cube, steps, known))

    def by_group(self, cube: Cube, issue: int, cache: StateCache) -> ByGroup | None:
        """It at an issue step with its inputs in named groups (`attribution`); None where they cannot be taken apart.

        Args:
            cube: the record.
            issue: the step.
            cache: kept states.
        """
        return None

    @property
    def remark(self) -> str:
        """What the fit chose by itself, in a few words; empty where it chose nothing."""
        return ""

    @property
    def untrained(self) -> bool:
        """Whether it is as other records made it, and only calibrated on this one."""
        return False

    @property
    def fitted(self) -> ValidationFit:
        """What was fitted on the validation slice.

        Raises:
            ArtefactError: it is not fitted.
        """
        if self.calibrated is None:
            raise ArtefactError(f"{self.name}: not fitted. Run `stforecast train`, or call fit(cube, split), first.")
        return self.calibrated

    def uncalibrated(self, cube: Cube) -> Self:
        """It, with a calibration that changes nothing; for a forecaster that has no validation slice."""
        self.calibrated = ValidationFit(Calibration.identity(cube.c))
        return self

    def save(self, folder: str | Path) -> None:
        """Write what `load` needs into `folder`; what was fitted on the validation slice comes last."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CALIBRATION).unlink(missing_ok=True)
        self.save_fit(folder)
        files = [path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != PROGRESS]
        seal(folder / CALIBRATION, {"parts": [*self.parts], **asdict(self.fitted)}, files)

    @classmethod
    def load(
        cls, folder: str | Path, config: Config | None = None, parts: Mapping[str, Forecaster] | None = None
    ) -> Self:
        """Open what `save` wrote.

        Args:
            folder: of the saved forecaster.
            config: as it was fitted with, or one that only differs in what does not concern the fit.
            parts: the forecasters that it reads, by name.

        Raises:
            ArtefactError: files are absent or damaged.
        """
        return unseal(Path(folder) / CALIBRATION, AGAIN, partial(cls._opened, config, parts))

    @classmethod
    def _opened(cls, config: Config | None, parts: Mapping[str, Forecaster] | None, sealed: Sealed) -> Self:
        sealed.check()
        forecaster = cls(config, parts)
        forecaster.calibrated = ValidationFit.from_dict(sealed.facts)
        forecaster.load_fit(sealed.path.parent)
        return forecaster


class WithoutParameters(Forecaster):
    """Counts the record anew for every forecast; keeps only where training and validation ended."""

    def __init__(
        self,
        config: Config | None = None,
        parts: Mapping[str, Forecaster] | None = None,
        ends: tuple[int, ...] = (),
        **settings: Any,
    ) -> None:
        super().__init__(config, parts, **settings)
        self.ends = ends

    def learn(self, cube: Cube, split: Split, folder: Path | None = None) -> None:
        self.ends = (split.train_end, split.validation_end)

    def slice_end(self, issue: int) -> int:
        """The end of the slice before: of training for issues in validation, of validation for test issues."""
        return max((end for end in self.ends if end <= issue), default=issue)

    def save_fit(self, folder: Path) -> None:
        write_json(folder / "ends.json", {"ends": self.ends})

    def load_fit(self, folder: Path) -> None:
        self.ends = tuple(map(int, read_json(folder / "ends.json", AGAIN)["ends"]))
