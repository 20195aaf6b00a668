"""The graph-convolutional recurrent network as a forecaster: fit, predict, save, open."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.files import atomic_path
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.climatology import by_phase
from stforecast.forecasters.gcrn.inputs import inputs_of
from stforecast.forecasters.gcrn.training import MONITOR, Draw, Module, Task, axes_of, settings_of
from stforecast.forecasters.memory import Recall
from stforecast.forecasters.reader import Reader, Scales
from stforecast.scoring.splits import Split


class GCRN(Forecaster):
    """Graph-convolutional recurrent network over the hexagon graph, with the rolling climatology as offset."""

    name = "gcrn"
    seeded = True
    draw: Draw | None = None

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.module: Module | None = None
        self.device = choose_device(config)

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        """Train on the training slice, choose the epoch on the validation slice; goes on from `folder`/last.ckpt."""
        config = self.config
        pl.seed_everything(config.seed, verbose=False)
        scales = Scales.of(cube, split.train_end)
        reader = Reader(cube, scales, patch_steps(config, cube), "cpu")
        module = Module(settings_of(config, cube, reader, scales), reader.edges)
        last = folder / "last.ckpt" if folder else None
        if last and last.exists():
            _check_resumable(last, module.settings)
        module.task = Task(cube, split, config, self.draw)
        best = self._train(module, folder, last)
        self.module = open_module(best) if best else module
        self.module.to(self.device).eval()
        return self

    def _train(self, module: Module, folder: Path | None, last: Path | None) -> Path | None:
        options = self.config.training
        keepers = [  # `last` comes second, so that it remembers which epoch is the best
            ModelCheckpoint(folder, "best", monitor=f"validation/{MONITOR}", enable_version_counter=False),
            ModelCheckpoint(folder, "last", enable_version_counter=False),
        ]
        shown = sys.stderr.isatty()
        bar: list[Callback] = [TQDMProgressBar()] if shown else []
        with quiet():
            trainer = pl.Trainer(
                accelerator="gpu" if self.device.type == "cuda" else "cpu",
                devices=options.devices,
                strategy=_strategy(self.config),
                use_distributed_sampler=False,
                precision="bf16-mixed" if self.device.type == "cuda" else "32-true",
                max_epochs=options.max_epochs,
                gradient_clip_val=options.clip,
                logger=TensorBoardLogger(folder, name="", version="") if folder else False,
                callbacks=[*keepers, *bar] if folder else bar,
                enable_checkpointing=folder is not None,
                enable_progress_bar=shown,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                log_every_n_steps=1,
            )
            trainer.fit(module, ckpt_path=str(last) if last and last.exists() else None, weights_only=True)
        return folder / "best.ckpt" if folder else None

    @torch.no_grad()
    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        """λ by replay of the record up to each issue: what a carried state gives, at any issue hour."""
        module = self._ready(cube)
        patch = module.settings["patch"]
        scales = Scales.from_plain(module.settings["scales"])
        reader = Reader(cube, scales, patch, self.device, max(0, int(issues.max(initial=0)) - cube.steps))
        out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        for phase, served in by_phase(issues, patch, cube.steps).items():
            walk, last = Walk(module, reader, phase), max(served)
            while walk.next_issue <= last:
                steps, rate = walk.on(min(64, (last - walk.next_issue) // patch + 1))
                for row, s in enumerate(steps):
                    for place in served.get(s, []):
                        later = int(issues[place]) > s
                        found = walk.beyond(int(issues[place])) if later else rate[row]
                        out[place] = found.permute(1, 2, 0).cpu().numpy()
        return out

    def _ready(self, cube: Cube) -> Module:
        if self.module is None:
            raise ArtefactError("gcrn: not fitted. Run `stforecast train` first.")
        for key, own in axes_of(cube).items():
            if self.module.settings[key] != own:
                raise ArtefactError(
                    f"gcrn: the cube's {key} are not those of the trained network. Run `stforecast build` and "
                    "`stforecast train` again, or forecast from the run's own cube."
                )
        return self.module

    def save(self, folder: Path) -> None:
        """The checkpoint that `fit` kept is the saved form; without one, write it."""
        if self.module is None:
            raise ArtefactError("gcrn: nothing to save before it is fitted.")
        if not (folder / "best.ckpt").exists():
            state = {"state_dict": self.module.state_dict(), "hyper_parameters": {"settings": self.module.settings}}
            with atomic_path(folder / "best.ckpt") as temporary:
                torch.save(state, temporary)

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        forecaster = cls(config)
        forecaster.module = open_module(folder / "best.ckpt").to(forecaster.device).eval()
        return forecaster


class Walk:
    """The network on its way through a record: long memory and hidden state, carried from issue to issue."""

    def __init__(self, module: Module, reader: Reader, phase: int) -> None:
        self.network, self.graph, self.reader = module.best, module.graph, reader
        self.memory = reader.memory(phase)
        self.h = self.network.start(self.graph.n, reader.device)

    @property
    def next_issue(self) -> int:
        """The issue step that comes next."""
        return self.memory.next_issue

    def on(self, count: int) -> tuple[list[int], Tensor]:
        """The next `count` issues: their steps and λ [l c k n]."""
        self.last = self.memory.walk(count)
        rate, self.h = self.network(inputs_of(self.reader, self.last), self.h, self.graph)
        return self.last.issues, rate

    def beyond(self, issue: int) -> Tensor:
        """λ [c k n] of the steps from a later `issue` on, from the state as it stands."""
        later = self.memory.moved(self.last, issue)
        return self.network.read(self.h[None], inputs_of(self.reader, later), self.graph)[0]

    def state(self) -> dict[str, Any]:
        """What must be kept to go on later."""
        newest = self.memory.moved(self.last, self.last.issues[-1])
        last = {key: value.clone() if isinstance(value, Tensor) else value for key, value in vars(newest).items()}
        return {"memory": self.memory.state(), "h": self.h.clone(), "last": last}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a kept state."""
        self.memory.restore(state["memory"])
        self.h = state["h"].to(self.reader.device)
        self.last = Recall(**state["last"])


def choose_device(config: Config) -> torch.device:
    """The device that `training.device` asks for.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    wanted = config.training.device
    if wanted == "gpu" and not torch.cuda.is_available():
        raise ConfigError("training.device: gpu is asked for, but PyTorch sees none. Use training.device=auto.")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def _strategy(config: Config) -> DDPStrategy | str:
    """One process, or several that average their gradients; new ones, since a fork would not have a GPU."""
    if config.training.devices == 1:
        return "auto"
    return DDPStrategy(start_method="spawn", find_unused_parameters=not config.model.carry_state)


def patch_steps(config: Config, cube: Cube) -> int:
    """Steps of a patch; no longer than the horizon, so that every step of the record is forecast once."""
    return min(max(1, config.model.patch_hours // cube.step_hours), cube.horizons)


def open_module(path: Path) -> Module:
    """A fitted module from a checkpoint.

    Raises:
        ArtefactError: the file is absent, damaged or not a checkpoint of this network.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        module = Module(saved["hyper_parameters"]["settings"], saved["state_dict"]["edges"])
        module.load_state_dict(saved["state_dict"])
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtefactError(
            f"{path}: not a checkpoint of the network ({reason}). Run `stforecast train --fresh`."
        ) from error
    return module


def _check_resumable(path: Path, settings: dict[str, Any]) -> None:
    """Training can go on from the checkpoint.

    Raises:
        ArtefactError: it is damaged, or of a network with other settings.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)["hyper_parameters"]["settings"]
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtefactError(f"{path}: damaged checkpoint ({reason}). Remove it to train from the beginning.") from error
    other = sorted(key for key in settings if found.get(key) != settings[key])
    if other:
        raise ArtefactError(
            f"{path}: is of a network with other settings ({', '.join(other)}). Remove it to train from the beginning."
        )


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
