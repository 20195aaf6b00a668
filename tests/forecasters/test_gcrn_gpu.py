"""On a GPU, simulated: nothing is computed across devices, and no update of the weights waits for the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from simulated_gpu import CPU, GPU, SimulatedGPU
from small_cities import city, forecaster_of, settings, split_of
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.features.builder import FeatureBuilder, State, clone_state
from stforecast.features.scaling import Scales
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.segments import Stream
from stforecast.forecasters.gcrn.start import StartingNetwork
from stforecast.forecasters.gcrn.training import Module, Task, Validation


@pytest.fixture
def gpu() -> Iterator[SimulatedGPU]:
    with SimulatedGPU() as device:
        yield device


def module_of(cube: Cube, config: Config, device: torch.device) -> Module:
    torch.manual_seed(0)
    scales = Scales.of(cube, split_of(cube).train_end)
    builder = FeatureBuilder(cube, scales, 24, device)
    module = Module(config, builder).to(device)
    module.task = Task(cube, split_of(cube), config)
    module.stream = Stream(cube, split_of(cube), config, builder)
    module.check = Validation(cube, split_of(cube), builder, config.training.truncation)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    return module


def epoch(module: Module) -> Iterator[Tensor]:
    """The losses of an epoch, with an update after each."""
    optimizer = module.configure_optimizers()["optimizer"]
    module.on_train_epoch_start()
    for i, batch in enumerate(module.stream):
        yield (loss := module.training_step(batch, i))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.on_train_batch_end()


@pytest.mark.parametrize(("late", "gamma", "streams"), [(False, 0.0, 1), (True, 2.0, 2)])
def test_training_stays_on_the_device_and_does_not_wait_for_it(
    gpu: SimulatedGPU, late: bool, gamma: float, streams: int
) -> None:
    cube, config = city(late=late, weather=True), settings(training={"gamma": gamma, "streams": streams})
    losses, forecasts = {}, {}
    for device in (CPU, GPU):
        module, losses[device] = module_of(cube, config, device), []
        assert module.best.encode.weight.device == device
        for loss in epoch(module):
            losses[device].append(loss.detach())
            if len(losses[device]) == 1:
                gpu.waits.clear()  # the first of an epoch sets up its memory
        assert not gpu.waits
        forecasts[device] = module.check.intensity(module.best, module.graph)
    assert len(losses[GPU]) > 3
    assert torch.equal(torch.stack(losses[CPU]), torch.stack(losses[GPU]).cpu())
    assert (forecasts[CPU] == forecasts[GPU]).all()


def test_forecasts_go_on_from_a_kept_state_on_either_device(gpu: SimulatedGPU) -> None:
    cube, found = city(late=True, weather=True), []
    for before, after in ((CPU, CPU), (GPU, GPU), (GPU, CPU), (CPU, GPU)):
        state: State = {}
        for device in (before, after):
            module = module_of(cube, settings(), device)
            model = forecaster_of(module, module)
            model.device = device
            for fit in model.fits:
                fit.to(device)
            reader = model.reader(cube)
            state = clone_state(state, device) if state else model.init_state(reader, 0)
            issues = range(int(state["next_issue"]), 20 * 24, 24)
            rates = model.step(reader, state, 10, issues)
        found.append(np.stack([[*rates.values()][-1], model.forecast_from_state(reader, state, issues[9] + 54)]))
    assert all((other == found[0]).all() for other in found)


def test_a_network_is_carried_to_a_device(gpu: SimulatedGPU) -> None:
    cube, config = city(), settings()
    start = StartingNetwork.of(module_of(cube, config, CPU).network, config.model.model_dump())
    model = GCRN(config, start=start, adapt="none")
    model.device = GPU
    model.learn(cube, split_of(cube))
    assert model.fits[0].best.encode.weight.device == GPU
    assert model.remark == "the carried network as it is"


def test_the_simulation_refuses_what_a_gpu_would(gpu: SimulatedGPU) -> None:
    there, here = torch.ones(3, device="cuda"), torch.ones(3)
    assert (there.device, here.device, (2 * there).device, there.cpu().device) == (GPU, CPU, GPU, CPU)
    with pytest.raises(RuntimeError, match="not on the GPU"):
        there + here
    with pytest.raises(TypeError, match="NumPy"):
        there.numpy()
    gpu.waits.clear()
    _ = there.sum() + 1, there[1:], there[:, None].expand(3, 3)
    assert not gpu.waits
    float(there[0]), there[there > 0], here.to(GPU), there.cpu(), torch.tensor([1.0], device=GPU)
    assert gpu.waits.total() == 5
