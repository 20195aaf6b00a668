"""The wheel holds all that a run needs: it is installed beside the libraries of this environment, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1]
SMALL = ("synthetic.hexagons=19", "synthetic.days=100", "training.max_epochs=1", "training.warm_up_days=20")


def command(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_wheel_runs_the_quickstart(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the wheel is built without a network, by the hatchling that is installed")
    command(
        sys.executable, "-m", "pip", "wheel", SOURCE, "--no-deps", "--no-build-isolation", "-w", tmp_path, cwd=tmp_path
    )
    (wheel,) = tmp_path.glob("stforecast-*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    (folder,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (folder / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")  # whose own .pth files are not read
    command(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel),
        cwd=tmp_path,
    )
    python = tmp_path / "venv" / "bin" / "python"
    where = command(python, "-c", "import stforecast; print(stforecast.__file__)", cwd=tmp_path)
    assert Path(where.strip()).parent == folder / "stforecast"
    assert (folder / "stforecast" / "py.typed").is_file()
    command(python, "-m", "stforecast", "run", "quickstart", f"root={tmp_path}", *SMALL, cwd=tmp_path)
    assert list(tmp_path.glob("data/quickstart/grids/*/map.html"))
