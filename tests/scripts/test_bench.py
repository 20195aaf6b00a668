"""The benchmarks' shared parts by hand, and every script at its smallest."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scripts/bench"
PEERS = os.environ.get("STFORECAST_PEERS")
"""Interpreter of the peers' environment (scripts/bench/peers.py says how to make it)."""
PREDSPOT = os.environ.get("STFORECAST_PREDSPOT")
"""Interpreter of predspot's environment (scripts/bench/predspot_peer.py says how to make it)."""
sys.path.append(str(FOLDER))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that scripts start

import cities  # noqa: E402
import predspot_skill  # noqa: E402
import scaling  # noqa: E402
import speed  # noqa: E402
import timing  # noqa: E402
import workers  # noqa: E402

from stforecast.files import read_json, write_json  # noqa: E402


def small(script: str, folder: Path, *options: str) -> dict[str, Any]:
    """What a script writes with --small."""
    output = folder / f"{script}.json"
    done = CliRunner().invoke(import_module(script).main, ["--small", "--output", str(output), *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == read_json(output)
    return json.loads(done.stdout)


def test_sides_take_turns_after_one_unmeasured_call_each() -> None:
    calls: list[str] = []
    seconds = timing.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}
    assert all(value >= 0 for values in seconds.values() for value in values)


def test_a_ratio_is_how_many_times_faster_than_the_base() -> None:
    found = timing.summary({"slow": [4.0, 8.0, 6.0, 100.0, 2.0], "fast": [3.0, 2.0, 2.0, 2.0, 1.0]}, base="slow")
    same = {"ratio": 1, "ratio_interval": [1, 1]}
    assert found["slow"] == {"median_s": 6, "quartiles_s": [4, 8], "least_s": 2, "rounds": 5, **same}
    assert found["fast"]["median_s"] == 2
    assert found["fast"]["ratio"] == 3
    low, high = found["fast"]["ratio_interval"]
    assert 1 < low < 3 < high <= 50
    steady = timing.summary({"slow": [2.0, 20.0, 4.0], "fast": [1.0, 10.0, 2.0]}, base="slow")
    assert steady["fast"]["ratio_interval"] == [2, 2]  # what slows both sides in a round leaves the ratio alone


def test_an_exponent_is_the_slope_of_logarithms() -> None:
    exact = scaling.exponent([1, 2, 4, 8], [3.0, 6.0, 12.0, 24.0])
    assert exact == {"exponent": 1, "standard_error": pytest.approx(0, abs=1e-12), "last_step": 1}
    bent = scaling.exponent([1, 2, 4], [1.0, 2.0, 8.0])
    assert bent["exponent"] == pytest.approx(1.5)
    assert bent["last_step"] == pytest.approx(2)
    # residuals of log₂: 1/6, −1/3, 1/6; one degree of freedom; Σx² = 2
    assert bent["standard_error"] == pytest.approx(np.sqrt((1 / 36 + 1 / 9 + 1 / 36) / 2), rel=0.01)


def test_a_simulated_city_is_a_disc_of_the_size_asked_for() -> None:
    cube = cities.simulated(37, days=30, categories=2)  # a full disc of three rings
    assert (cube.n, cube.c, cube.steps) == (37, 2, 720)
    degree = np.bincount(cube.edges[1], minlength=37)
    assert sorted(np.bincount(degree, minlength=7).tolist()[3:]) == [0, 6, 12, 19]  # corners 3, sides 4, within 6
    assert cube.weight.sum() == pytest.approx(0.1 * 37 * 30, rel=0.5)
    assert np.array_equal(cube.hour, cities.simulated(37, days=30, categories=2).hour)


def test_a_worker_that_fails_is_named() -> None:
    with (
        pytest.raises(RuntimeError, match=r"timing\.py: ended with status 0 at 'steps'"),
        workers.Worker(sys.executable, "timing.py") as worker,  # which serves nothing
    ):
        worker.ask("steps", count=1)


def test_a_worker_runs_the_script_of_its_checkout(tmp_path: Path) -> None:
    script = tmp_path / "scripts/bench/ours.py"
    script.parent.mkdir(parents=True)
    script.write_text("import os\ninput()\nprint('[\"' + os.environ['PYTHONPATH'] + '\"]')\n")
    with workers.Worker(sys.executable, "ours.py", checkout=tmp_path) as worker:
        assert worker.ask("facts") == [str(tmp_path)]


def test_step_of_one_checkout_on_both_sides_has_equal_losses(tmp_path: Path) -> None:
    found = small("step", tmp_path, "--rounds", "2", "--updates", "2")
    assert found["updates"] == 6
    assert found["largest_difference_of_losses"] == 0
    assert found["settings_that_differ"] == {}
    assert 0.2 < found["sides"]["this"]["ratio"] < 5


def test_origin_without_peers_says_so(tmp_path: Path) -> None:
    found = small("origin", tmp_path, "--rounds", "2", "--hidden", "16")
    assert found["fastest_peer"] == "not measured"
    assert set(found["sides"]) == {"ours", "ours, 168 hourly steps"}
    assert found["ours"]["model"]["hidden"] == 16
    assert found["ours_over_limit"] > 1  # nothing is faster than its own products


@pytest.mark.skipif(PEERS is None, reason="STFORECAST_PEERS does not name the interpreter of the peers' environment")
def test_origin_and_skill_beside_a_peer(tmp_path: Path) -> None:
    peer, python = "PyG GCNConv and GRUCell", ("--peers", str(PEERS))
    found = small("origin", tmp_path, "--rounds", "1", "--hidden", "16", "--peer", peer, *python)
    assert found["fastest_peer"] == peer
    assert found["sides"]["ours"]["ratio"] > 1
    skill = small("peer_skill", tmp_path, "--peer", peer, "--every", "5", "--hidden", "16", *python)
    assert skill["origins_of_peer"] > 0
    assert set(skill["more_than_gcrn"]) == {"rolling_climatology", peer}


def test_propagation_agrees_with_message_passing(tmp_path: Path) -> None:
    found = small("propagation", tmp_path, "--rounds", "2")
    assert set(found["sides"]) == {"[100, 64]", "[100, 448]"}
    for sides in found["sides"].values():
        assert sides["PyG SimpleConv"]["ratio"] == 1


def test_allocator_of_a_small_city(tmp_path: Path) -> None:
    found = small("allocator", tmp_path, "--rounds", "1", "--updates", "2")
    assert found["sides"]["kept"]["median_s"] > 0
    assert min(found["peak_mb"].values()) > 0


def test_scaling_of_a_small_axis(tmp_path: Path) -> None:
    found = small("scaling", tmp_path, "--axis", "hexagons", "--updates", "2")["axes"]
    assert list(found) == ["hexagons"]
    assert found["hexagons"]["sizes"] == [30, 120]
    assert set(found["hexagons"]["exponents"]) == {"origin", "peak"}
    assert found["hexagons"]["peak_bytes"][1] > found["hexagons"]["peak_bytes"][0]


def test_a_kept_state_forecasts_what_a_replay_does() -> None:
    options = ("--hexagons", "20", "--seeds", "1", "--days", "60", "--hidden", "8", "--rounds", "1")
    done = CliRunner().invoke(import_module("forecast").main, [*options])
    assert done.exit_code == 0, done.output
    (run,) = json.loads(done.stdout)["runs"]
    assert run["largest_difference"] < 5e-6
    assert set(run["seconds"]) == {"replay", "file", "step"}


def test_memory_of_a_small_city(tmp_path: Path) -> None:
    found = small("memory", tmp_path)
    measured = found["measured_peak"]
    assert 0 < measured["cube"] < measured["run"]
    assert found["measured_over_predicted"] == pytest.approx(measured["run"] / found["predicted_of_training"], rel=0.01)


def test_a_run_beside_a_busy_core(tmp_path: Path) -> None:
    found = small("busy", tmp_path, "--rounds", "1")
    for side in ("quiet", "busy"):
        assert found["sides"][side]["median_seconds"] > 1
        assert found["sides"][side]["median_processor_seconds"] > 1
    busy, quiet = (found["sides"][side]["runs"]["seconds"][0] for side in ("busy", "quiet"))
    assert found["busy_over_quiet"]["seconds"] == pytest.approx(busy / quiet, rel=0.01)


@pytest.mark.skipif(PREDSPOT is None, reason="STFORECAST_PREDSPOT does not name the interpreter of its environment")
def test_daily_skill_beside_predspot(tmp_path: Path) -> None:
    options = ("--peers", str(PREDSPOT), "--every", "3", "--train-days", "60")
    found = small("predspot_skill", tmp_path, *options)
    names = [*predspot_skill.OURS, "predspot, kde", "predspot, counts"]
    assert [*found["forecasters"]] == [*found["trained"]] == names
    assert all(one["calibrated"]["average_precision"] > 0.4 for one in found["forecasters"].values())
    assert found["differences"]["rolling_climatology - predspot, kde"]["poisson_deviance"][2] < 0


def test_the_shares_of_a_peer_are_of_the_citys_total(tmp_path: Path) -> None:
    """Where it gives nothing at all they are even, and no cell is impossible."""
    given, total = np.array([[[[3.0], [1.0], [0.0]]], [[[0.0], [0.0], [0.0]]]]), np.full((2, 1, 3, 1), 4.0)
    np.save(tmp_path / "given.npy", given)

    class Told:
        def ask(self, *_: Any, **__: Any) -> None: ...

    lam = predspot_skill.of_peer(Told(), tmp_path / "given.npy", lambda issues: total, 0.03, np.arange(2))
    np.testing.assert_allclose(lam[..., 0], [[[9.01, 3.01, 0.01]], [[4.01, 4.01, 4.01]]], rtol=1e-5)


def test_a_trial_reads_nothing_of_the_test_slice() -> None:
    cube = predspot_skill.daily(cities.simulated(7, days=200))
    split = cube.split(0.6, 0.2, gap_hours=0)
    trial = predspot_skill.before_test(split, 20)
    spans = {which: trial.span(which) for which in ("train", "validation", "test")}
    assert spans == {"train": (0, 100), "validation": (100, 120), "test": (120, 140)}
    assert trial.span("test")[1] <= split.test_start


def test_the_table_holds_what_was_measured_and_says_what_was_not(tmp_path: Path) -> None:
    side = {"median_s": 0.004, "quartiles_s": [0.003, 0.005]}
    sides = {"before": side | {"ratio": 1.0}, "this": side | {"median_s": 0.002, "ratio": 2.0}}
    machine = {"processor": "a processor", "cores": 2, "load": 0.1}
    facts = {"sides": sides, "loss_of_last_half": {"before": 0.99, "this": 0.98}, "machine": machine}
    write_json(tmp_path / "step.json", facts)
    page = tmp_path / "speed.md"
    page.write_text((ROOT / "docs/speed.md").read_text())
    for _ in range(2):  # written over, it stays one table
        assert CliRunner().invoke(speed.main, [str(tmp_path), "--page", str(page)]).exit_code == 0
    rows = [line for line in page.read_text().splitlines() if line.startswith("|")][2:]
    assert len(rows) == len(speed.ROWS)
    said = {row.split(" | ")[0].strip("| "): row.split(" | ")[2] for row in rows}
    assert said.pop("A training step, beside the version before") == (
        "4 ms (3 to 5), now 2 ms (3 to 5): × 2; loss 0.9900, now 0.9800"
    )
    assert set(said.values()) == {"not measured"}
    assert "Measured on: a processor, 2 cores" in page.read_text()
    page.write_text("no marks")
    assert "lacks the marks" in CliRunner().invoke(speed.main, [str(tmp_path), "--page", str(page)]).output


@pytest.mark.parametrize("script", ["origin", "step", "memory"])
def test_a_city_is_asked_for(script: str) -> None:
    done = CliRunner().invoke(import_module(script).main, [])
    assert done.exit_code == 2
    assert "Give a configuration" in done.stderr
