"""Kept predictions: written as NumPy writes them, and a full disk is told of as such."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import numpy as np
import pytest

from stforecast.evaluation import predictions


@pytest.mark.parametrize("shape", [(2, 24, 3, 2), (0, 24, 3, 2)])
def test_an_array_is_written_as_numpy_writes_it(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values, expected = np.random.default_rng(1).random(shape, np.float32), io.BytesIO()
    np.save(expected, values)
    predictions._save(values, tmp_path / "values.npy")
    assert (tmp_path / "values.npy").read_bytes() == expected.getvalue()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "full.npy").symlink_to("/dev/full")
    with pytest.raises(OSError, match="space") as caught:
        predictions._save(np.zeros(100_000, np.float32), tmp_path / "full.npy")
    assert caught.value.errno == errno.ENOSPC
