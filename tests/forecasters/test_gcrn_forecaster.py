"""The network as a forecaster: it starts at climatology, carries its state, learns, and goes on after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_cities import city, settings, split_of
from torch import nn

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.evaluation.backtest import calibrate, outcomes
from stforecast.features.climatology import COUNT_DAYS, RATE_DAYS
from stforecast.features.reader import Reader, Scales
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.gcrn.forecaster import GCRN, patch_steps
from stforecast.forecasters.gcrn.stream import Stream, stretches
from stforecast.forecasters.gcrn.training import Module, Validation, settings_of
from stforecast.forecasters.gcrn.walk import Walk
from stforecast.scoring.metrics import poisson_deviance


def untrained(cube: Cube, config: Config, awake: bool = False) -> tuple[Module, Reader]:
    """A module as training begins with it; `awake`: its last layers are not zero."""
    torch.manual_seed(3)
    scales = Scales.of(cube, split_of(cube).train_end)
    reader = Reader(cube, scales, patch_steps(config, cube), "cpu")
    module = Module(settings_of(config, cube, reader, scales), torch.as_tensor(cube.edges)).eval()
    if awake:
        for parameter in module.best.parameters():
            nn.init.normal_(parameter, std=0.3)
        nn.init.normal_(module.best.excitation.weight, -0.2, 0.05)  # on the scale of log θ / 15
    return module, reader


@pytest.mark.parametrize("late", [False, True])
def test_starts_at_climatology(late: bool) -> None:
    cube, config = city(days=60, late=late, weather=True), settings()
    issues = np.append(split_of(cube).issues("test"), [cube.steps, cube.steps + 30])
    forecaster = GCRN(config)
    forecaster.module = untrained(cube, config)[0]
    usual = RollingClimatology(config).fit(cube, split_of(cube))
    usual.half_lives = (RATE_DAYS, COUNT_DAYS)  # the network's λ₀ is the slower one
    expected = usual.intensity(cube, issues)
    found = forecaster.intensity(cube, issues)
    # The network adds 0 to log λ₀; recent events add a little to λ, from kernels that start near 0.
    assert (found >= expected * (1 - 1e-5)).all()
    assert 0 < found.sum() / expected.sum() - 1 < 0.03


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("patch_hours", [24, 6])
def test_a_carried_state_equals_a_replay(late: bool, patch_hours: int, tmp_path: Path) -> None:
    cube = city(days=40, late=late, weather=True)
    module, reader = untrained(cube, settings(model={"patch_hours": patch_hours}), awake=True)
    per_day, phase = 24 // patch_hours, 5
    with torch.no_grad():
        whole, parts = Walk([module], reader, phase), Walk([module], reader, phase)
        steps, expected = whole.on(30 * per_day)
        found, seen = [], []
        for length in (1, 7 * per_day, 3, 10 * per_day - 4):
            more, log_rate = parts.on(length)
            seen += more
            found.append(log_rate)
        torch.save(parts.state(), tmp_path / "state.pt")
        beyond = parts.beyond(parts.next_issue + 48)
        parts.on(2)  # what is kept must not move along
        saved = torch.load(tmp_path / "state.pt", weights_only=True)
        resumed = Walk([module], reader, phase)
        resumed.on(3)  # whatever was there before is forgotten
        for _ in range(2):
            resumed.restore(saved)
            torch.testing.assert_close(resumed.beyond(resumed.next_issue + 48), beyond, rtol=1e-5, atol=1e-5)
            more, log_rate = resumed.on(30 * per_day - len(seen))
    assert seen + more == steps
    assert (expected - whole.last.log_rate).abs().mean() > 0.01
    torch.testing.assert_close(torch.cat([*found, log_rate]), expected, rtol=1e-4, atol=1e-4)


def test_mixed_precision_stays_near() -> None:
    """A GPU trains in bfloat16: the same on a CPU gives the loss and the validation slice to its precision."""
    cube, config = city(days=60, late=True, weather=True), settings()
    module, reader = untrained(cube, config, awake=True)
    module.train()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.stream = Stream(cube, split_of(cube), config, reader)
    check, losses, found = Validation(cube, split_of(cube), reader, 7), [], []
    for mixed in (False, True):
        module.on_train_epoch_start()
        batch = next(iter(module.stream))
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            losses.append(module.training_step(batch, 0))
            found.append(check.intensity(module.best.eval(), module.graph))
        losses[-1].backward()
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.02)
    assert np.abs(np.log(found[1] / found[0])).mean() < 0.05
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in module.network.parameters())


@pytest.mark.parametrize(("total", "length"), [(1, 7), (7, 7), (8, 7), (100, 28)])
def test_stretches_cover_the_slice(total: int, length: int) -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        found = stretches(total, length, generator)
        assert sum(found) == total
        assert max(found) <= length
        assert len(found) == -(-total // length)


SMALL: dict[str, Any] = {"training": {"max_epochs": 4}}


class KilledError(Exception):
    """What stands for the end of the process."""


@pytest.fixture(scope="module")
def cube() -> Cube:
    return city(days=70, late=True, weather=True)


@pytest.fixture(scope="module")
def uninterrupted(cube: Cube, tmp_path_factory: pytest.TempPathFactory) -> tuple[GCRN, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return GCRN(settings(**SMALL)).fit(cube, split_of(cube), folder), folder


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def test_checkpoints_hold_plain_values(cube: Cube, uninterrupted: tuple[GCRN, Path]) -> None:
    forecaster, folder = uninterrupted
    saved = torch.load(folder / "best.ckpt", weights_only=True)
    assert saved["hyper_parameters"]["settings"]["categories"] == ["property", "violent"]
    assert list(folder.glob("events.out.tfevents*"))
    issues = split_of(cube).issues("test")[:2]
    opened = GCRN.load(folder, settings(**SMALL))
    np.testing.assert_array_equal(opened.intensity(cube, issues), forecaster.intensity(cube, issues))


def test_the_same_seed_gives_the_same_weights(cube: Cube, uninterrupted: tuple[GCRN, Path], tmp_path: Path) -> None:
    GCRN(settings(**SMALL)).fit(cube, split_of(cube), tmp_path)
    for name in ("best.ckpt", "last.ckpt"):
        assert_equal(weights(tmp_path / name), weights(uninterrupted[1] / name))
    other = GCRN(settings(**SMALL, seed=1)).fit(cube, split_of(cube))
    assert other.module is not None
    name = "best.encode.weight"
    assert not torch.equal(other.module.best.encode.weight, weights(tmp_path / "last.ckpt")[name])


@pytest.mark.parametrize(("epoch", "batch"), [(2, 0), (1, 3), (3, 2)])
def test_goes_on_after_a_kill(
    cube: Cube,
    uninterrupted: tuple[GCRN, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
    batch: int,
) -> None:
    step = Module.training_step

    def dies(self: Module, stretch: Any, index: int) -> Any:
        if (self.current_epoch, index) == (epoch, batch):
            raise KilledError
        return step(self, stretch, index)

    with monkeypatch.context() as patched:
        patched.setattr(Module, "training_step", dies)
        with pytest.raises(KilledError):
            GCRN(settings(**SMALL)).fit(cube, split_of(cube), tmp_path)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == epoch - 1
    torch.rand(7)  # a new process has another state of chance
    resumed = GCRN(settings(**SMALL)).fit(cube, split_of(cube), tmp_path)
    for name in ("best.ckpt", "last.ckpt"):
        assert_equal(weights(tmp_path / name), weights(uninterrupted[1] / name))
    issues = split_of(cube).issues("test")[:1]
    np.testing.assert_array_equal(resumed.intensity(cube, issues), uninterrupted[0].intensity(cube, issues))
    again = GCRN(settings(**SMALL)).fit(cube, split_of(cube), tmp_path)  # nothing is left to do
    np.testing.assert_array_equal(again.intensity(cube, issues), uninterrupted[0].intensity(cube, issues))


def test_damaged_checkpoints(cube: Cube, uninterrupted: tuple[GCRN, Path], tmp_path: Path) -> None:
    whole = (uninterrupted[1] / "last.ckpt").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        for name in ("best.ckpt", "last.ckpt"):
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ArtefactError, match=r"best\.ckpt: .*stforecast train") as caught:
            GCRN.load(tmp_path, settings())
        assert "\n" not in str(caught.value)
        with pytest.raises(ArtefactError, match=r"last\.ckpt: damaged .*Remove it") as caught:
            GCRN(settings(**SMALL)).fit(cube, split_of(cube), tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / "last.ckpt").write_bytes(whole)
    with pytest.raises(ArtefactError, match=r"other settings \(training\)\. Remove it"):
        GCRN(settings(training={"max_epochs": 5})).fit(cube, split_of(cube), tmp_path)


def test_another_city_is_refused(uninterrupted: tuple[GCRN, Path]) -> None:
    with pytest.raises(ArtefactError, match="hexagons are not those"):
        uninterrupted[0].predict(city(days=20, rings=2), np.array([48]))
    with pytest.raises(ArtefactError, match="horizons are not those"):
        uninterrupted[0].predict(city(days=20, horizons=12), np.array([48]))


def test_impossible_settings() -> None:
    with pytest.raises(ConfigError, match="patch_hours"):
        settings(model={"patch_hours": 7})


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"training\.device"):
        GCRN(settings(training={"device": "gpu"}))


@pytest.mark.parametrize("options", [{"conv": "hex"}, {"conv": "cheb"}])
def test_learns_that_events_excite_their_neighbours(options: dict[str, Any]) -> None:
    cube = city(days=200, rate=0.1, excitation=0.17, seed=4, rings=4)
    split = split_of(cube)
    config = settings(
        model={"hidden": 16, "dropout": 0.1, **options},
        training={"max_epochs": 6, "learning_rate": 0.01, "averaging": 0.9},
    )
    scores = []
    for forecaster in (GCRN(config), RollingClimatology(config)):
        fitted = calibrate(forecaster.fit(cube, split), cube, split).forecaster
        intensity = fitted.predict(cube, split.issues("test")).intensity
        scores.append(poisson_deviance(intensity, outcomes(cube, split, "test")))
    assert scores[0] < 0.993 * scores[1]


def test_figures_are_drawn(cube: Cube, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    shapes = []

    def draw(intensity: np.ndarray, counts: np.ndarray) -> dict[str, Figure]:
        shapes.append((intensity.shape, counts.shape))
        return {"a figure": Figure()}

    forecaster = GCRN(settings(training={"max_epochs": 2}))
    forecaster.draw = draw
    forecaster.fit(cube, split_of(cube), tmp_path)
    m = len(split_of(cube).issues("validation"))
    assert shapes == [((m, 24, cube.n, 2), (m, 24, cube.n, 2))] * 2
