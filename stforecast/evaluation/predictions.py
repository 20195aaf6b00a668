"""Predictions of a slice, made once and kept: the scorecard, the report and the backtest read the same files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.features.targets import scored
from stforecast.files import atomic_path
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.recalibration import steps_needed
from stforecast.scoring.splits import Slice, Split


def predictions(
    cube: Cube,
    split: Split,
    forecasters: Mapping[str, Forecaster],
    which: Slice = "test",
    path: Callable[[str], Path] | None = None,
) -> dict[str, np.ndarray]:
    """Calibrated λ of every forecaster at the scored issues of a slice.

    What a forecaster gave before calibration is handed on to those that read it, so that nothing is forecast twice.

    Args:
        cube: the record.
        split: its slices.
        forecasters: fitted and calibrated, by name.
        which: the slice.
        path: the file of each forecaster; what is there is not made again. Default: nothing is kept on disk.

    Returns:
        λ [m k n c] by name, in the order of `forecasters`; mapped from the files where they are kept.

    Raises:
        ArtefactError: a kept file is damaged.
    """
    issues, out = scored(cube, split, which), {}
    files = {name: path(name) for name in forecasters} if path else {}
    left = [name for name in forecasters if name not in files or not files[name].is_file()]
    left.sort(key=lambda name: bool(forecasters[name].parts))
    read = {part for name in left for part in forecasters[name].parts}
    steps, raw = steps_needed(cube, issues) if left else issues, dict[str, np.ndarray]()
    for name in tqdm(left, desc="forecasts", unit="forecaster", disable=None):
        one = forecasters[name]
        uncalibrated = one.raw(cube, steps, raw)
        if name in read:
            raw[name] = uncalibrated
        out[name] = one.forecast(cube, issues, known={name: uncalibrated}).intensity
        if name in files:
            with atomic_path(files[name]) as temporary:
                np.save(temporary, out.pop(name))
    return {name: out[name] if name in out else kept_predictions(files[name]) for name in forecasters}


def kept_predictions(path: Path) -> np.ndarray:
    """λ [m k n c] from a file, mapped.

    Raises:
        ArtefactError: it is damaged.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")  # an array or nothing: no archive, no objects
    except (OSError, ValueError, EOFError) as error:
        raise ArtefactError(f"{path}: damaged ({error}). Remove it and run the stage again.") from error
