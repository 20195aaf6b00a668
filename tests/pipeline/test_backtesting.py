"""The backtest stage on a tiny city: no leak across folds, going on after a kill, carried fits, the command line."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from stforecast.cli import main
from stforecast.config import parse
from stforecast.cube import Cube
from stforecast.delivery.figures import backtest_figure
from stforecast.errors import ConfigError
from stforecast.evaluation.predictions import kept_predictions
from stforecast.evaluation.rolling import folds
from stforecast.pipeline import backtesting
from stforecast.pipeline.backtesting import backtest
from stforecast.pipeline.run import Run
from stforecast.pipeline.stages import Stages

N, DAYS = 12, 60
RING = np.array([[i for i in range(N) for _ in range(2)], [(i + d) % N for i in range(N) for d in (-1, 1)]])
NAMES = ["rolling_climatology", "hexagon_mean"]


@dataclass(frozen=True)
class City(Stages):
    """The stages over a cube that is given."""

    given: Cube

    def cube(self) -> Cube:
        return self.given

    def run(self, cube: Cube | None = None) -> Run:
        return Run(self.config.root / "run")

    def backtest(self) -> Path:
        return backtest(self)

    def result(self) -> dict[str, Any]:
        return json.loads((self.backtest() / "backtest.json").read_text())

    def kept(self) -> dict[str, bytes]:
        """Every calibration and forecast that is kept, and where slices ended, by path."""
        folder = self.backtest()
        paths = [
            path
            for kind in ("*/calibration.json", "predictions/*/*/intensity.npy", "*/ends.json")
            for path in folder.glob(f"*/{kind}")
        ]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def city(root: Path, cube: Cube, names: list[str] = NAMES, say: Callable[[str], None] = print, **options: Any) -> City:
    values = {
        "city": "tiny",
        "root": str(root),
        "split": {"train": 0.5, "validation": 0.2, "gap": 24},
        "evaluation": {"forecasters": names},
        "backtest": {"folds": 2, **options},
        "model": {"hidden": 4, "rank": 4},
        "training": {"max_epochs": 1, "warm_up_days": 5, "truncation": 7, "device": "cpu", "start": "scratch"},
    }
    return City(parse(values, "test"), say, cube)


@pytest.fixture(scope="module")
def cube() -> Cube:
    """A third of the events become known one to 100 hours late; days begin at 07:00 UTC."""
    rng = np.random.default_rng(0)
    place = np.linspace(0.2, 3.0, N)[:, None] * np.array([0.2, 0.1])
    hour = 1 + 0.8 * np.cos(2 * np.pi * np.arange(24 * DAYS) / 24)
    counts = rng.poisson(hour[:, None, None] * place)
    made = Cube.from_dense(counts, edge_index=RING, name="tiny", start="2024-01-01 07:00", time_zone="America/Denver")
    return late(made, rng.integers(1, 101, made.hour.size) * (rng.random(made.hour.size) < 1 / 3))


def late(cube: Cube, hours: np.ndarray) -> Cube:
    """The cube with reports that become known `hours` after their events."""
    known = cube.hour + hours
    order = np.lexsort((cube.hour, known))
    names = ("hour", "hexagon", "category", "weight")
    kind = cube.known_hour.dtype
    return replace(cube, known_hour=known[order].astype(kind), **{key: getattr(cube, key)[order] for key in names})


def with_another_future(cube: Cube, step: int) -> Cube:
    """What became known from `step` on: elsewhere, and more of it."""
    later = cube.known_hour >= step
    hexagon = np.where(later, N - 1 - cube.hexagon, cube.hexagon)
    return replace(cube, hexagon=hexagon, weight=np.where(later, 3 * cube.weight, cube.weight))


@pytest.fixture(autouse=True)
def blank(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blank figure: drawing takes longer than all else. The command line draws the real one."""
    if "verb" not in request.node.name:
        monkeypatch.setattr(backtesting, "backtest_figure", lambda result: Figure())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cube: Cube) -> City:
    """A city after a backtest with a network in it, refitted. Not to be changed."""
    found = city(tmp_path_factory.mktemp("whole"), cube, [*NAMES, "gcrn"])
    found.backtest()
    return found


def test_nothing_known_after_a_folds_validation_reaches_its_fits(tmp_path: Path, cube: Cube, whole: City) -> None:
    part = folds(whole.split(cube), 2, None)[0]
    after = city(tmp_path, with_another_future(cube, part.validation_end), [*NAMES, "gcrn"])
    one, other = whole.kept(), after.kept()
    assert one.keys() == other.keys()
    for name in after.config.evaluation.forecasters:
        assert one[f"fold_1/{name}/calibration.json"] == other[f"fold_1/{name}/calibration.json"]
        assert one[f"fold_2/{name}/calibration.json"] != other[f"fold_2/{name}/calibration.json"]
        assert name == "gcrn" or one[f"fold_1/{name}/ends.json"] == other[f"fold_1/{name}/ends.json"]
    nets = [Run(stages.backtest() / "fold_1").open("gcrn", stages.config) for stages in (whole, after)]
    lam, changed = (net.forecast(cube, part.issues("test")).intensity for net in nets)
    np.testing.assert_array_equal(lam, changed)


def test_carried_fits_know_no_more_and_later_calibrations_end_with_their_validation(tmp_path: Path, cube: Cube) -> None:
    before = city(tmp_path / "before", cube, folds=3, refit=False)
    part = folds(before.split(cube), 3, None)[1]
    after = city(tmp_path / "after", with_another_future(cube, part.validation_end), folds=3, refit=False)
    one, other = before.kept(), after.kept()
    for name in NAMES:
        for fold, same in ((1, True), (2, True), (3, False)):
            path = f"fold_{fold}/{name}/calibration.json"
            assert (one[path] == other[path]) is same
            assert one[f"fold_{fold}/{name}/ends.json"] == other[f"fold_1/{name}/ends.json"]


def test_a_forecast_changes_with_what_is_known_before_it_alone(tmp_path: Path, cube: Cube, whole: City) -> None:
    issue = int(folds(whole.split(cube), 2, None)[0].issues("test")[3])
    one, other = whole.kept(), city(tmp_path, with_another_future(cube, issue)).kept()
    first, second = (
        np.load(io.BytesIO(k["fold_1/predictions/rolling_climatology/07/intensity.npy"])) for k in (one, other)
    )
    np.testing.assert_array_equal(first[:4], second[:4])
    assert (first[4:] != second[4:]).any()


def stop_at(monkeypatch: pytest.MonkeyPatch, target: str, count: int) -> list[int]:
    """Ctrl-C at the `count`-th call of a function of the stage; the calls so far."""
    owner = Stages if target == "fit" else backtesting
    real, calls = getattr(owner, target), [0]

    def counted(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == count:
            raise KeyboardInterrupt
        return real(*arguments, **more)

    monkeypatch.setattr(owner, target, counted)
    return calls


@pytest.mark.parametrize(("target", "count"), [("fit", 3), ("predictions", 2)])
def test_a_killed_backtest_goes_on_to_the_same_result(
    tmp_path: Path, cube: Cube, monkeypatch: pytest.MonkeyPatch, whole: City, target: str, count: int
) -> None:
    stopped = city(tmp_path, cube, [*NAMES, "gcrn"])
    with monkeypatch.context() as patch:
        stop_at(patch, target, count)
        with pytest.raises(KeyboardInterrupt):
            stopped.backtest()
    fitted = len([*tmp_path.rglob("calibration.json")])
    fits = stop_at(monkeypatch, "fit", 99)
    assert stopped.result() == whole.result()
    assert fits[0] == 6 - fitted
    assert stopped.kept() == whole.kept()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_a_second_backtest_does_only_what_is_left(tmp_path: Path, cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    city(tmp_path, cube).backtest()
    fits, forecasts = stop_at(monkeypatch, "fit", 99), stop_at(monkeypatch, "compare", 99)
    city(tmp_path, cube, say=said.append).backtest()
    assert (fits[0], forecasts[0]) == (0, 0)
    assert "is up to date" in said[0]
    city(tmp_path, cube, [*NAMES, "last_week"]).backtest()
    assert fits[0] == 2
    again = city(tmp_path, cube, issue_hours=[7, 15]).result()
    assert fits[0] == 2
    assert again["issue_hours"] == [7, 15]
    assert [*again["forecasters"]["hexagon_mean"]["by_issue_hour"]] == ["7", "15"]


def test_damaged_forecasts_and_fits_are_named_and_made_again(
    tmp_path: Path, cube: Cube, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = city(tmp_path, cube)
    folder, before, result = stages.backtest(), stages.kept(), stages.result()
    for name in ("predictions/hexagon_mean/07/intensity.npy", "rolling_climatology/ends.json"):
        path = folder / "fold_2" / name
        path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    (folder / "backtest.json").unlink()
    assert stages.result() == result
    assert stages.kept() == before
    said = capsys.readouterr().out
    assert said.count("making it again") == 2
    assert "intensity.npy: damaged" in said
    assert "ends.json: damaged" in said


def test_any_hour_of_issue_is_what_the_forecaster_says_then(tmp_path: Path, cube: Cube) -> None:
    hours = [0, 6, 23]
    stages = city(tmp_path, cube, issue_hours=hours)
    folder = stages.backtest()
    for i, part in enumerate(folds(stages.split(cube), 2, None)):
        run = Run(folder / f"fold_{i + 1}")
        fitted = run.open("rolling_climatology", stages.config)
        for hour in hours:
            kept = kept_predictions(run.predictions("rolling_climatology", hour))
            first = next(s for s in range(part.test_start, part.steps) if cube.time_of(s).hour == hour)
            issues = np.arange(first, part.steps - 23, 24)
            np.testing.assert_array_equal(kept, fitted.forecast(cube, issues).intensity)


def test_a_carried_fit_is_the_first_folds_with_a_calibration_of_its_own(
    tmp_path: Path, cube: Cube, whole: City
) -> None:
    stages = city(tmp_path, cube, [*NAMES, "gcrn"], refit=False)
    carried, anew = stages.kept(), whole.kept()
    parts = folds(stages.split(cube), 2, None)
    for kept, last in ((carried, parts[0]), (anew, parts[1])):
        assert json.loads(kept["fold_2/hexagon_mean/ends.json"])["ends"] == [last.train_end, last.validation_end]
    assert carried["fold_1/gcrn/calibration.json"] != carried["fold_2/gcrn/calibration.json"]
    one, two = (Run(stages.backtest() / f"fold_{i}").open("gcrn", stages.config) for i in (1, 2))
    first, second = (each.raw(cube, parts[1].issues("test")) for each in (one, two))
    np.testing.assert_array_equal(first, second)
    for name in (*NAMES, "gcrn"):
        path = f"predictions/{name}/07/intensity.npy"
        assert carried[f"fold_1/{path}"] == anew[f"fold_1/{path}"]
        assert carried[f"fold_2/{path}"] != anew[f"fold_2/{path}"]


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["nobody"], {}, "evaluation.forecasters: 'nobody'"),
        (NAMES, {"folds": 4, "test_days": 9}, "4 test slices of 9 days do not fit into the 17 days"),
        (NAMES, {"folds": 17, "issue_hours": [8]}, "backtest.test_days"),
    ],
)
def test_what_cannot_be_is_said_before_the_first_fit(
    tmp_path: Path, cube: Cube, names: list[str], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        city(tmp_path, cube, names, **options).backtest()
    assert not [*tmp_path.rglob("*.json")]


def test_a_library_that_is_not_there_shows_before_the_first_fit(
    tmp_path: Path, cube: Cube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stforecast.forecasters.trees.forecaster.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="not installed"):
        city(tmp_path, cube, [*NAMES, "xgboost"]).backtest()
    assert not [*tmp_path.rglob("*.json")]


def test_the_figure_has_a_panel_each_for_reliability_hit_rate_and_skill(whole: City) -> None:
    result = whole.result()
    left, middle, right = backtest_figure(result).axes
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    for axes, reference_lines in ((left, 1), (middle, 1), (right, 0)):
        assert len(axes.lines) == 3 + reference_lines
    skill = dict(zip(result["forecasters"], (line.get_ydata() for line in right.lines), strict=True))
    np.testing.assert_array_equal(skill["rolling_climatology"], 0)
    losses = [result["forecasters"][name]["by_horizon"]["24"]["poisson_deviance"] for name in NAMES]
    assert skill["hexagon_mean"][23] == pytest.approx(100 * (1 - losses[1] / losses[0]))


def call(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert isinstance(left.value.code, int)
    return left.value.code, out.getvalue(), err.getvalue()


def test_the_verb_writes_every_file_and_prints_the_table(tmp_path: Path) -> None:
    settings = [
        *("quickstart", f"root={tmp_path}", "synthetic.hexagons=20", "synthetic.days=90", "backtest.folds=2"),
        "evaluation.forecasters=[rolling_climatology, hexagon_mean]",
    ]
    assert call("backtest", *settings)[0] == 5
    for verb in ("ingest", "build"):
        assert call(verb, *settings)[0] == 0
    code, out, err = call("backtest", *settings)
    assert code == 0, err
    (folder,) = tmp_path.glob("checkpoints/quickstart/*/backtest/2x7")
    written = {path.name for path in folder.iterdir() if path.is_file()}
    assert written == {"backtest.json", "table.csv", "table.md", "curves.png", "config.yaml"}
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "table.md").read_text() in out
    assert out.splitlines()[-1].startswith("next: ")
    again = call("backtest", *settings)
    assert "is up to date" in again[1]
    code, _, err = call("backtest", *settings, "backtest.issue_hours=[24]")
    assert (code, err.count("\n")) == (3, 1)
