"""The graph-convolutional recurrent network as a forecaster: fit, predict, save, open."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.reader import Reader, Scales, axes_of
from stforecast.files import fingerprint
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.gcrn.walk import AVERAGED, Trained, Walk, opened, write
from stforecast.forecasters.walking import Walking
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from pytorch_lightning.strategies import DDPStrategy

    from stforecast.forecasters.gcrn.training import Draw, Module

LOG_EVERY = 10
"""Updates between two losses that are shown and logged: reading one waits for a GPU."""


class GCRN(Walking):
    """Graph-convolutional recurrent network over the hexagon graph, with the rolling climatology as offset."""

    name = "gcrn"
    seeded = True
    draw: Draw | None = None
    others: Sequence[tuple[Cube, Split]] = ()
    """Other cities whose training slices it learns from too."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.module: Trained | None = None
        self.twins: list[Trained] = []
        """Fits of other seeds that walk with it."""
        self.device = choose_device(config)

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        """Train on the training slice, choose the epoch on the validation slice; goes on from `folder`/last.ckpt."""
        import pytorch_lightning as pl

        from stforecast.forecasters.gcrn.training import Module, Task, settings_of

        config = self.config
        pl.seed_everything(config.seed, verbose=False)
        scales = Scales.of(cube.as_known(split.train_end), split.train_end)
        reader = Reader(cube, scales, patch_steps(config, cube), "cpu")
        module = Module(settings_of(config, cube, reader, scales), reader.edges)
        last = folder / "last.ckpt" if folder else None
        if last and last.exists():
            _check_resumable(last, module.settings)
        module.task = Task(cube, split, config, self.draw, self.others)
        best = self._train(module, folder, last)
        fitted = opened(best) if best else Trained(module.settings, reader.edges, module.best, module.graph)
        self.module = fitted.to(self.device)
        return self

    def _train(self, module: Module, folder: Path | None, last: Path | None) -> Path | None:
        import pytorch_lightning as pl
        from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
        from pytorch_lightning.loggers import TensorBoardLogger

        from stforecast.forecasters.gcrn.training import MONITOR, Whole

        options = self.config.training
        keepers = [  # `last` comes second, so that it remembers which epoch is the best
            ModelCheckpoint(folder, "best", monitor=f"validation/{MONITOR}", enable_version_counter=False),
            ModelCheckpoint(folder, "last", enable_version_counter=False),
        ]
        shown = sys.stderr.isatty()
        bar: list[Callback] = [TQDMProgressBar(LOG_EVERY)] if shown else []
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
                plugins=[Whole()],
                enable_checkpointing=folder is not None,
                enable_progress_bar=shown,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                log_every_n_steps=LOG_EVERY,
            )
            with _compiling():
                trainer.fit(module, ckpt_path=str(last) if last and last.exists() else None, weights_only=True)
        return folder / "best.ckpt" if folder else None

    def joined(self, others: Sequence[Forecaster]) -> GCRN:
        """What all fits read is the same, so that one memory and one walk serve them."""
        one = GCRN(self.config)
        modules = [member._fitted for member in (self, *others) if isinstance(member, GCRN)]
        one.module, one.twins = modules[0], modules[1:]
        if any(twin.settings[key] != one.module.settings[key] for twin in one.twins for key in ("scales", "patch")):
            raise ArtefactError("gcrn: its seeds were fitted on different records. Run `stforecast train --fresh`.")
        return one

    def patch(self, cube: Cube) -> int:
        return self._fitted.settings["patch"]

    def learned(self) -> tuple[int, str]:
        modules = [self._fitted, *self.twins]
        digest = sha256()
        for weight in (weight for module in modules for weight in module.best.state_dict().values()):
            digest.update(weight.cpu().contiguous().numpy().data)
        settings = self._fitted.settings
        return settings["scales"]["until"], fingerprint(self.name, settings, len(modules), digest.hexdigest())

    def reader(self, cube: Cube, beyond: int = 0, since: int = 0) -> Reader:
        settings = self._fitted.settings
        for key, own in axes_of(cube).items():
            if settings[key] != own:
                raise ArtefactError(
                    f"gcrn: the cube's {key} are not those of the trained network. Run `stforecast build` and "
                    "`stforecast train` again, or forecast from the run's own cube."
                )
        return Reader(cube, Scales.from_plain(settings["scales"]), settings["patch"], self.device, beyond, since)

    def walk(self, reader: Reader, phase: int, state: dict[str, Any] | None = None) -> Walk:
        return Walk([self._fitted, *self.twins], reader, phase, state)

    @property
    def _fitted(self) -> Trained:
        if self.module is None:
            raise ArtefactError("gcrn: not fitted. Run `stforecast train` first.")
        return self.module

    def save(self, folder: Path) -> None:
        """The checkpoint that `fit` kept is the saved form; without one, write it."""
        module = self._fitted
        if not (folder / "best.ckpt").exists():
            weights = {AVERAGED + name: weight for name, weight in module.best.state_dict().items()}
            state = {"edges": module.edges, **weights}
            write({"state_dict": state, "hyper_parameters": {"settings": module.settings}}, folder / "best.ckpt")

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        forecaster = cls(config)
        forecaster.module = opened(folder / "best.ckpt").to(forecaster.device)
        return forecaster


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
    from pytorch_lightning.strategies import DDPStrategy

    if config.training.devices == 1:
        return "auto"
    return DDPStrategy(start_method="spawn", find_unused_parameters=not config.model.carry_state)


def patch_steps(config: Config, cube: Cube) -> int:
    """Steps of a patch; no longer than the horizon, so that every step of the record is forecast once."""
    return min(max(1, config.model.patch_hours // cube.step_hours), cube.horizons)


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
def _compiling() -> Iterator[None]:
    """Say what a compiler that fails is for.

    Raises:
        ConfigError: the network's step cannot be compiled here.
    """
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
