"""The check of a GPU: small on this machine's CPU, and its plan on one that is not there."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that the script starts

import gpu_check
import speed

LIMITS = {"kind": "cuda", "name": "a GPU", "flop_per_second": {"bfloat16": 8e12, "float32": 1e12}}
ANSWERS: dict[str, dict[str, Any]] = {
    "limits": {**LIMITS, "bytes_per_second": 1e12},
    "simulate": {"hexagons": 442},
    "timed": {"seconds_per_origin": 1e-3, "loss": 0.9, "flop": 4e8, "bytes": 2e8, "peak_bytes": 1e9},
    "fit": {"seconds": 30.0, "deviance": 0.049},
    "beside_cpu": {"forecasts": 9, "seconds": {"device": 1, "cpu": 2}, "largest_relative_difference": 1e-5},
}


class Imagined:
    """A worker on a GPU that answers at once, and fails where a step is compiled."""

    def __init__(self, *_: str) -> None:
        self.process, self.compiled = self, False

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        if what == "simulate":
            self.compiled = arguments["settings"]["training"].get("compile", False)
        if what == "timed" and self.compiled:
            raise RuntimeError("on_device.py: ended with status 1 at 'timed'; see above.")
        return ANSWERS[what]

    def kill(self) -> None: ...

    def close(self) -> None: ...


class Hanging(Imagined):
    """A worker that answers nothing until it is ended."""

    def __init__(self, *_: str) -> None:
        super().__init__()
        self.over = threading.Event()

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        assert self.over.wait(60)
        raise RuntimeError("ended")

    def kill(self) -> None:
        self.over.set()


def checked(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """What the script writes, and what it prints."""
    output = folder / "gpu_check.json"
    done = CliRunner().invoke(gpu_check.main, ["--output", str(output), *options])
    assert done.exit_code == 0, done.output
    return json.loads(output.read_text()), done.stdout


def test_small_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setitem(gpu_check.SIZES, "cpu", {"hexagons": 19, "days": 150})
    facts, printed = checked(tmp_path, str(tmp_path), "--seconds", "0.1", "--epochs", "1")
    found = facts["sections"]
    assert f"{tmp_path} holds no crime.csv.gz" in printed
    assert facts["city"]["hexagons"] == 19
    assert [name for name, section in found.items() if "not_measured" in section] == []
    one = found["1 stream, float32"]
    limits = found["limits"]
    arithmetic = one["flop"] / one["seconds_per_origin"] / limits["flop_per_second"]["float32"]
    assert one["share_of_arithmetic"] == pytest.approx(arithmetic, rel=1e-3)
    assert found["the same weights on the CPU"]["largest_relative_difference"] < 1e-5
    assert 0 < found["fit, 8 streams"]["deviance"] < 1


def test_the_plan_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "Worker", Imagined)
    found, printed = checked(tmp_path)
    found = found["sections"]
    assert [*found] == [
        "limits",
        *(f"{streams}, bfloat16" for streams in ("1 stream", "8 streams", "32 streams")),
        "8 streams, float32",
        *("fit, 1 stream", "fit, 8 streams", "fit, 32 streams"),
        *("the same weights on the CPU", "fit, 1 stream, CPU"),
        *(f"{streams}, bfloat16, compiled" for streams in ("1 stream", "8 streams", "32 streams")),
    ]
    assert found["1 stream, bfloat16"]["share_of_arithmetic"] == pytest.approx(0.05)  # 4e8 / 1e-3 of 8e12
    assert found["8 streams, float32"]["share_of_arithmetic"] == pytest.approx(0.4)
    assert found["1 stream, bfloat16"]["share_of_memory"] == pytest.approx(0.2)
    assert "ended with status 1" in found["8 streams, bfloat16, compiled"]["not_measured"]
    assert "1 ms an origin, loss 0.9000; 5.00% of arithmetic, 20.0% of memory; 1 GB" in printed


def test_a_section_that_hangs_is_ended_and_time_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "Worker", Hanging)
    monkeypatch.setattr(gpu_check, "ENOUGH", 0.2)
    found, _ = checked(tmp_path, "--minutes", "0.01")
    reasons = [section["not_measured"] for section in found["sections"].values()]
    assert reasons[0].startswith("stopped after")
    assert {*reasons[1:]} == {"no time was left"}


def test_the_page_holds_no_figure_that_no_gpu_gave() -> None:
    timed = {**ANSWERS["timed"], "share_of_arithmetic": 0.05, "share_of_memory": 0.2}
    facts = {"sections": {"limits": ANSWERS["limits"], "1 stream, bfloat16": timed}}
    assert speed.on_gpu(facts) == "a GPU: 1 stream, bfloat16 1 ms (5.0% of arithmetic, 20% of memory)"
    facts["sections"]["limits"] = {**ANSWERS["limits"], "kind": "cpu"}
    assert speed.on_gpu(facts) == "not measured"
