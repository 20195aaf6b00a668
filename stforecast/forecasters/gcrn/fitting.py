"""One fit of the network by Lightning: devices, checkpoints, TensorBoard, going on after a kill."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy

from stforecast.config import Config
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.base_rate import learned_scales
from stforecast.features.builder import FeatureBuilder
from stforecast.forecasters.gcrn.inputs import patch_steps
from stforecast.forecasters.gcrn.network import network_of
from stforecast.forecasters.gcrn.trained import AVERAGED, Trained, read_checkpoint, trained_of
from stforecast.forecasters.gcrn.training import MONITOR, AtomicCheckpointIO, Module, Task, settings_of
from stforecast.forecasters.streaming import threads_for

LOG_EVERY = 10
"""Updates between two losses that are shown and logged: reading one waits for a GPU."""
ADDRESS = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which machines that fit together find each other; the first has rank 0."""


def fit_network(task: Task, device: torch.device, folder: Path) -> Trained:
    """Train a network.

    Args:
        task: what it is fitted to, with the configuration and its seed.
        device: where.
        folder: of checkpoints and TensorBoard events; an unfinished fit in it goes on.

    Raises:
        ArtefactError: the unfinished fit is damaged, or of a network with other settings.
        ConfigError: the network's step cannot be compiled here, the training slice is too short, or this machine, of
            several, is not told where the first one is.
    """
    if task.config.training.nodes > 1 and not {*ADDRESS} <= os.environ.keys():
        raise ConfigError(
            f"training.nodes: {task.config.training.nodes} machines fit the network, and this one lacks "
            f"{', '.join(name for name in ADDRESS if name not in os.environ)} in its environment. Start each of them "
            "with these, as docs/how-to/several-machines.md shows; or set training.nodes=1."
        )
    pl.seed_everything(task.config.seed, verbose=False)
    module = Module(task.config, builder_of(task), task.start)
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    if last.exists():
        for path in (last, best):  # both: the second is read when hours of training are done
            _check_resumable(path, module.settings)
    module.task = task
    threads = threads_for(task.cube.n * task.cube.c * task.config.training.streams)
    with quiet(), _compiling(), threads:
        _trainer(task.config, device, folder).fit(
            module, ckpt_path=str(last) if last.exists() else None, weights_only=True
        )
    saved = read_checkpoint(best)
    if task.start and _score_of(saved) >= _validated(task, device):
        return as_it_is(task)
    averaged = {
        name.removeprefix(AVERAGED): value for name, value in saved["state_dict"].items() if name.startswith(AVERAGED)
    }
    return trained_of(module.settings, {"edges": module.edges.cpu(), **averaged})


def as_it_is(task: Task) -> Trained:
    """The network that a task starts from, with the scales of the city's training slice.

    By default one that has learned nothing, and so leaves climatology nearly as it is.
    """
    torch.manual_seed(task.config.seed)
    builder = builder_of(task)
    settings = settings_of(task.config, builder, task.start)
    network = task.start.network() if task.start else network_of(settings)
    return trained_of(settings, {"edges": builder.edges.cpu(), **network.state_dict()})


def _validated(task: Task, device: torch.device) -> float:
    """The validation deviance of the network that a task starts from."""
    module = Module(task.config, builder_of(task), task.start)
    module.task = task
    one = task.config.training.model_copy(update={"devices": 1, "nodes": 1})
    config = task.config.model_copy(update={"training": one})
    with quiet(), TemporaryDirectory() as folder:
        (found,) = _trainer(config, device, Path(folder)).validate(module, verbose=False)
    return found[f"validation/{MONITOR}"]


def _score_of(checkpoint: dict[str, Any]) -> float:
    """The validation deviance at which a checkpoint was the best."""
    (kept,) = (one for one in checkpoint["callbacks"].values() if one.get("monitor") == f"validation/{MONITOR}")
    return float(kept["best_model_score"])


def builder_of(task: Task) -> FeatureBuilder:
    """The features of the city, with the scales of its training slice."""
    end = task.split.train_end
    patch, warm_up = patch_steps(task.config, task.cube), task.cube.step.in_days(task.config.training.warm_up_days)
    shared = task.start.shared if task.start else None
    return FeatureBuilder(task.cube, learned_scales(task.cube.as_known(end), end, patch, warm_up, shared), patch)


def _trainer(config: Config, device: torch.device, folder: Path) -> pl.Trainer:
    options, shown = config.training, sys.stderr.isatty()
    best = ModelCheckpoint(folder, "best", monitor=f"validation/{MONITOR}", enable_version_counter=False)
    # `last` comes second, so that it remembers which epoch is the best
    callbacks: list[Callback] = [best, ModelCheckpoint(folder, "last", enable_version_counter=False)]
    if shown:
        callbacks.append(TQDMProgressBar(LOG_EVERY))
    # new processes, since a fork would not have a GPU; they average their gradients
    several = DDPStrategy(start_method="spawn", find_unused_parameters=not config.model.carry_state)
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=options.devices,
        num_nodes=options.nodes,
        strategy=several if options.processes > 1 else "auto",
        use_distributed_sampler=False,
        precision="bf16-mixed" if device.type == "cuda" else "32-true",
        max_epochs=options.max_epochs,
        gradient_clip_val=options.clip,
        logger=TensorBoardLogger(folder, name="", version="", default_hp_metric=False),
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO(), *([LightningEnvironment()] if options.nodes > 1 else [])],
        enable_progress_bar=shown,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=LOG_EVERY,
    )


def _check_resumable(path: Path, settings: dict[str, Any]) -> None:
    found = read_checkpoint(path).get("hyper_parameters", {}).get("settings", {})
    other = sorted(key for key in settings if found.get(key) != settings[key])
    if other:
        raise ArtefactError(
            f"{path}: is of a network with other settings ({', '.join(other)}). Remove it and the files beside it to "
            "train from the beginning."
        )


@contextmanager
def _compiling() -> Iterator[None]:
    """Say what a compiler that fails is for."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = str(error).split("\n", 1)[0][:200]
        raise ConfigError(
            f"training.compile: PyTorch cannot compile the network's step here ({reason}). It needs a C++ compiler "
            "and, on a GPU, Triton. Train with training.compile=false."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's advice about workers, devices and tips off the user's terminal."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            warnings.filterwarnings("ignore", module="torch")
            yield
    finally:
        logger.setLevel(level)
