"""The network as a forecaster: it starts at climatology, carries its state, learns, and goes on after a kill."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from small_cities import city, forecaster_of, settings, split_of
from torch import nn

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.builder import FeatureBuilder
from stforecast.features.climatology import SLOW
from stforecast.features.scaling import Scales
from stforecast.features.targets import outcomes
from stforecast.files import read_json, write_json
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.inputs import patch_steps
from stforecast.forecasters.gcrn.segments import Stream, segment_lengths
from stforecast.forecasters.gcrn.training import Module, Validation
from stforecast.scoring.metrics import poisson_deviance


def untrained(cube: Cube, config: Config, awake: bool = False) -> tuple[Module, FeatureBuilder]:
    """A module as training begins with it; `awake`: its last layers are not zero."""
    torch.manual_seed(3)
    scales = Scales.of(cube, split_of(cube).train_end)
    builder = FeatureBuilder(cube, scales, patch_steps(config, cube))
    module = Module(config, builder).eval()
    if awake:
        for parameter in module.best.parameters():
            nn.init.normal_(parameter, std=0.3)
        nn.init.normal_(module.best.excitation.weight, -0.2, 0.05)  # on the scale of log θ / 15
    return module, builder


@pytest.mark.parametrize("late", [False, True])
def test_starts_at_climatology(late: bool) -> None:
    cube, config = city(days=60, late=late, weather=True), settings()
    issues = np.append(split_of(cube).issues("test"), [cube.steps, cube.steps + 30])
    forecaster = forecaster_of(untrained(cube, config)[0])
    usual = RollingClimatology(config, ends=(split_of(cube).train_end,))
    usual.half_lives = {"hour": SLOW}  # the network's λ₀
    expected, found = usual.raw(cube, issues), forecaster.raw(cube, issues)
    # The network adds 0 to log λ₀; recent events add a little to λ, from kernels that start near 0.
    assert (found >= expected * (1 - 1e-5)).all()
    assert 0 < found.sum() / expected.sum() - 1 < 0.03


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("patch_hours", [24, 6])
def test_a_carried_state_equals_a_replay(late: bool, patch_hours: int, tmp_path: Path) -> None:
    cube = city(days=40, late=late, weather=True)
    sections: dict[str, Any] = {"model": {"patch_hours": patch_hours}}
    model = forecaster_of(untrained(cube, settings(**sections), awake=True)[0], **sections)
    per_day, phase, reader = 24 // patch_hours, 5, model.reader(cube)
    every = range(phase, cube.steps, patch_hours)[: 30 * per_day]
    whole, parts = model.init_state(reader, phase), model.init_state(reader, phase)
    expected, found = model.step(reader, whole, len(every), every), {}
    for length in (1, 7 * per_day, 3, 10 * per_day - 4):
        found |= model.step(reader, parts, length, every)
    torch.save(parts, tmp_path / "state.pt")
    later = int(parts["next_issue"]) + 48
    beyond = model.forecast_from_state(reader, parts, later)
    model.step(reader, parts, 2, every)  # what is kept must not move along
    for _ in range(2):
        saved = torch.load(tmp_path / "state.pt", weights_only=True)
        np.testing.assert_allclose(model.forecast_from_state(reader, saved, later), beyond, rtol=1e-5, atol=1e-5)
        rest = model.step(reader, saved, len(every) - len(found), every)
    found |= rest
    assert [*found] == [*expected] == [*every]
    usual = RollingClimatology(settings(), ends=(split_of(cube).train_end,)).raw(cube, np.array([every[-1]]))
    assert np.abs(np.log(expected[every[-1]] / usual[0])).mean() > 0.01
    np.testing.assert_allclose([*found.values()], [*expected.values()], rtol=1e-4, atol=1e-4)


def test_mixed_precision_stays_near() -> None:
    """A GPU trains in bfloat16: the same on a CPU gives the loss and the validation slice to its precision."""
    cube, config = city(days=60, late=True, weather=True), settings()
    module, builder = untrained(cube, config, awake=True)
    module.train()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.stream = Stream(cube, split_of(cube), config, builder)
    check, losses, found = Validation(cube, split_of(cube), builder, 7), [], []
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
def test_segment_lengths_cover_the_slice(total: int, length: int) -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        found = segment_lengths(total, length, generator)
        assert sum(found) == total
        assert max(found) <= length
        assert len(found) == -(-total // length)


SMALL: dict[str, Any] = {"training": {"max_epochs": 4}}


def learned(cube: Cube, folder: Path | None = None, **sections: Any) -> GCRN:
    forecaster = GCRN(settings(**SMALL, **sections))
    forecaster.learn(cube, split_of(cube), folder)
    return forecaster


class KilledError(Exception):
    """What stands for the end of the process."""


@pytest.fixture(scope="module")
def cube() -> Cube:
    return city(days=70, late=True, weather=True)


@pytest.fixture(scope="module")
def uninterrupted(cube: Cube, tmp_path_factory: pytest.TempPathFactory) -> tuple[GCRN, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return learned(cube, folder), folder


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def test_checkpoints_and_weights_hold_plain_values(
    cube: Cube, uninterrupted: tuple[GCRN, Path], tmp_path: Path
) -> None:
    forecaster, folder = uninterrupted
    saved = torch.load(folder / "seed-0" / "best.ckpt", weights_only=True)
    assert saved["hyper_parameters"]["settings"]["categories"] == ["property", "violent"]
    assert list((folder / "seed-0").glob("events.out.tfevents*"))
    issues = split_of(cube).issues("test")[:2]
    forecaster.save_fit(tmp_path)
    opened = GCRN(settings(**SMALL))
    opened.load_fit(tmp_path)
    assert opened.fingerprint() == forecaster.fingerprint()
    np.testing.assert_array_equal(opened.raw(cube, issues), forecaster.raw(cube, issues))


def test_the_same_seed_gives_the_same_weights(cube: Cube, uninterrupted: tuple[GCRN, Path], tmp_path: Path) -> None:
    learned(cube, tmp_path)
    for name in ("best.ckpt", "last.ckpt"):
        assert_equal(weights(tmp_path / "seed-0" / name), weights(uninterrupted[1] / "seed-0" / name))
    other = learned(cube, seed=1)
    name = "best.encode.weight"
    assert not torch.equal(other.fits[0].best.encode.weight, weights(tmp_path / "seed-0" / "last.ckpt")[name])


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

    def dies(self: Module, segment: Any, index: int) -> Any:
        if (self.current_epoch, index) == (epoch, batch):
            raise KilledError
        return step(self, segment, index)

    with monkeypatch.context() as patched:
        patched.setattr(Module, "training_step", dies)
        with pytest.raises(KilledError):
            learned(cube, tmp_path)
    assert torch.load(tmp_path / "seed-0" / "last.ckpt", weights_only=True)["epoch"] == epoch - 1
    torch.rand(7)  # a new process has another state of chance
    resumed = learned(cube, tmp_path)
    for name in ("best.ckpt", "last.ckpt"):
        assert_equal(weights(tmp_path / "seed-0" / name), weights(uninterrupted[1] / "seed-0" / name))
    issues = split_of(cube).issues("test")[:1]
    np.testing.assert_array_equal(resumed.raw(cube, issues), uninterrupted[0].raw(cube, issues))
    again = learned(cube, tmp_path)  # nothing is left to do
    np.testing.assert_array_equal(again.raw(cube, issues), uninterrupted[0].raw(cube, issues))


def refused(say: str, work: Callable[[], Any]) -> None:
    with pytest.raises(ArtefactError, match=say) as caught:
        work()
    assert "\n" not in str(caught.value)


def test_damaged_checkpoints(cube: Cube, uninterrupted: tuple[GCRN, Path], tmp_path: Path) -> None:
    shutil.copytree(uninterrupted[1] / "seed-0", tmp_path / "seed-0")
    for name in ("last.ckpt", "best.ckpt"):
        path = tmp_path / "seed-0" / name
        whole = path.read_bytes()
        flipped = bytearray(whole)
        with zipfile.ZipFile(path) as archive:  # what fills up between its parts is nobody's
            part = max(archive.infolist(), key=lambda part: part.file_size)
        flipped[part.header_offset + part.file_size] ^= 64
        for content in (whole[: len(whole) // 2], b"", b"not a checkpoint", bytes(flipped)):
            path.write_bytes(content)
            refused(rf"{name}: damaged .*Remove it", lambda: learned(cube, tmp_path))
        path.write_bytes(whole)
    other = GCRN(settings(training={"max_epochs": 5}))
    refused(r"other settings \(training\)\. Remove it", lambda: other.learn(cube, split_of(cube), tmp_path))


def test_weights_of_another_network(uninterrupted: tuple[GCRN, Path], tmp_path: Path) -> None:
    """Truncated, foreign, of other shapes or types, or leading out of the graph: nothing is made of their sizes."""
    uninterrupted[0].save_fit(tmp_path)
    path, facts = tmp_path / "seed-0.safetensors", tmp_path / "settings.json"
    whole, values = path.read_bytes(), read_json(facts)
    tensors = safetensors.torch.load(whole)
    first, edges = tensors["encode.weight"], tensors["edges"]
    huge = b'{"edges":{"dtype":"I64","shape":[2,4000000000],"data_offsets":[0,64000000000]}}'
    wrong: list[dict[str, torch.Tensor]] = [
        {name: tensor for name, tensor in tensors.items() if tensor is not first},
        *({**tensors, "encode.weight": other} for other in (first.half(), first[1:].contiguous())),
        *({**tensors, "edges": other} for other in (edges + 1, edges - 1, edges.int(), edges[0].contiguous())),
        {**tensors, "more": torch.zeros(1)},
    ]
    contents = [whole[: len(whole) // 2], b"", b"not weights", len(huge).to_bytes(8, "little") + huge]
    for content in [*contents, *map(safetensors.torch.save, wrong)]:
        path.write_bytes(content)
        refused(r"seed-0\.safetensors: not the weights .*stforecast train", lambda: GCRN(settings()).load_fit(tmp_path))
    path.write_bytes(whole)
    values["model"]["hidden"] = 10**7
    write_json(facts, values)
    refused(r"not the weights .*stforecast train", lambda: GCRN(settings()).load_fit(tmp_path))


def test_another_city_is_refused(uninterrupted: tuple[GCRN, Path]) -> None:
    with pytest.raises(ArtefactError, match="hexagons are not those"):
        uninterrupted[0].raw(city(days=20, rings=2), np.array([48]))
    with pytest.raises(ArtefactError, match="horizons are not those"):
        uninterrupted[0].raw(city(days=20, horizons=12), np.array([48]))


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
        intensity = forecaster.fit(cube, split).forecast(cube, split.issues("test")).intensity
        scores.append(poisson_deviance(intensity, outcomes(cube, split, "test")))
    assert scores[0] < 0.993 * scores[1]


def test_figures_are_drawn(cube: Cube, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    shapes = []

    def plot(intensity: np.ndarray, counts: np.ndarray) -> dict[str, Figure]:
        shapes.append((intensity.shape, counts.shape))
        return {"a figure": Figure()}

    GCRN(settings(training={"max_epochs": 2}), plot=plot).learn(cube, split_of(cube), tmp_path)
    m = len(split_of(cube).issues("validation"))
    assert shapes == [((m, 24, cube.n, 2), (m, 24, cube.n, 2))] * 2


def test_another_number_of_seeds_opens_the_fits_that_there_are(
    cube: Cube, uninterrupted: tuple[GCRN, Path], tmp_path: Path
) -> None:
    fitted = uninterrupted[0]
    fitted.save_fit(tmp_path)
    other = GCRN(settings(seeds=len(fitted.fits) + 2))
    other.load_fit(tmp_path)
    issues = split_of(cube).issues("test")[:1]
    np.testing.assert_array_equal(other.raw(cube, issues), fitted.raw(cube, issues))
    assert other.fingerprint() == fitted.fingerprint()
