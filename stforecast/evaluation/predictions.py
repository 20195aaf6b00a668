"""Predictions of a slice, made once and kept: the scorecard, the report and the backtest read the same files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.features.targets import scored
from stforecast.files import atomic_folder
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.recalibration import steps_needed
from stforecast.scoring.splits import Slice, Split
from stforecast.sealed import Sealed, seal, unseal


def predictions(
    cube: Cube,
    split: Split,
    forecasters: Mapping[str, Forecaster],
    which: Slice = "test",
    folder: Callable[[str], Path] | None = None,
    say: Callable[[str], None] = print,
    calibrated: bool = True,
) -> dict[str, np.ndarray]:
    """Calibrated λ of every forecaster at the scored issues of a slice.

    What a forecaster gave before calibration is handed on to those that read it, so that nothing is forecast twice.

    Args:
        cube: the record.
        split: its slices.
        forecasters: fitted and calibrated, by name.
        which: the slice.
        folder: of each forecaster; what is there, whole, is not made again. Default: nothing is kept on disk.
        say: told of what is damaged and made again.
        calibrated: false for what the forecasters give before calibration and level; nothing of that is kept on disk.

    Returns:
        λ [m k n c] by name, in the order of `forecasters`; mapped from the files where they are kept.
    """
    issues, out = scored(cube, split, which), dict[str, np.ndarray]()
    folders = {name: folder(name) for name in forecasters} if folder and calibrated else {}
    for name, kept in folders.items():
        try:
            if kept.exists():
                out[name] = kept_predictions(kept)
        except ArtefactError as error:
            say(f"making it again: {error}")
    left = sorted((name for name in forecasters if name not in out), key=lambda name: bool(forecasters[name].parts))
    read = {part for name in left for part in forecasters[name].parts}
    steps, raw = steps_needed(cube, issues) if left and calibrated else issues, dict[str, np.ndarray]()
    for name in tqdm(left, desc="forecasts", unit="forecaster", disable=None):
        one = forecasters[name]
        uncalibrated = one.raw(cube, steps, raw)
        if name in read:
            raw[name] = uncalibrated
        known = {name: uncalibrated}
        out[name] = one.forecast(cube, issues, known=known).intensity if calibrated else uncalibrated
        if name in folders:
            with atomic_folder(folders[name]) as temporary:
                _save(out[name], temporary / "intensity.npy")
                seal(temporary / "predictions.json", {"forecaster": name, "issues": len(issues)})
            out[name] = kept_predictions(folders[name])
    return {name: out[name] for name in forecasters}


def kept_predictions(folder: Path) -> np.ndarray:
    """λ [m k n c] from a folder, mapped.

    Raises:
        ArtefactError: it is damaged.
    """
    return unseal(folder / "predictions.json", "Remove the folder and run it again.", _intensity)


def _save(values: np.ndarray, path: Path) -> None:
    """`np.save`, but a full disk is the system's error: NumPy's own has no number and names no file."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
        file.write(np.ascontiguousarray(values).data)


def _intensity(sealed: Sealed) -> np.ndarray:
    # an array or nothing: no archive, no objects
    return np.lib.format.open_memmap(sealed.file("intensity.npy"), mode="r")
