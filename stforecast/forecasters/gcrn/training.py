"""Fitting the network: truncated back-propagation along one stream of history.

Every epoch walks the training slice once, with the phase of the patch drawn anew, so that one network serves every
issue hour. The hidden state runs through; every issue is a training origin; no windows are cut. Epochs are compared
by calibrated validation deviance of the averaged weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, IterableDataset

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.forecasters.gcrn.inputs import inputs_of, sizes_of
from stforecast.forecasters.gcrn.losses import FocalLoss
from stforecast.forecasters.gcrn.network import Inputs, Network, Sizes
from stforecast.forecasters.gcrn.propagation import Graph
from stforecast.forecasters.reader import Reader, Scales
from stforecast.forecasters.record import completeness, windows
from stforecast.scoring.calibration import fit_calibration
from stforecast.scoring.metrics import daily_losses
from stforecast.scoring.splits import Split

MONITOR = "poisson_deviance"
"""What epochs are compared by, on the validation slice."""

Draw = Callable[[np.ndarray, np.ndarray], Mapping[str, Any]]
"""From calibrated λ and counts of the validation slice, [m k n c], to named matplotlib figures."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of issues: what the network reads, and what came of it.

    events, counts: flat places in [l c k n] of the cells with events, and how many, [e].
    share: of the events of a step that are reported at the end of the slice, [l c k 1].
    """

    inputs: Inputs
    events: Tensor
    counts: Tensor
    share: Tensor


def stretches(total: int, length: int, generator: np.random.Generator) -> list[int]:
    """Lengths of the stretches that cover `total` issues: always equally many, the first one shortened at random."""
    count = math.ceil(total / length)
    first = int(generator.integers(total - (count - 1) * length, length + 1))
    lengths = [first, *([length] * (count - 2)), total - first - length * (count - 2)] if count > 1 else [total]
    return [n for n in lengths if n]


class Targets:
    """Counts of the steps before `end` as known at it, kept by cell: a dense tensor of a country would fill memory."""

    def __init__(self, cube: Cube, end: int, device: torch.device) -> None:
        seen = (cube.hour < end) & (cube.known_hour < end)
        self.n, self.c, self.horizons = cube.n, cube.c, cube.horizons
        place = (cube.hour[seen].astype(np.int64) * cube.n + cube.hexagon[seen]) * cube.c + cube.category[seen]
        cells, which = np.unique(place, return_inverse=True)
        self.hour, cell = np.divmod(cells, cube.n * cube.c)
        hexagon, category = np.divmod(cell, cube.c)
        # an issue's cells [c k n] from where its step stands at k = 0
        place = (category * cube.horizons + self.hour) * cube.n + hexagon
        self.place = torch.as_tensor(place, device=device)
        counts = np.bincount(which, cube.weight[seen], minlength=len(cells)).astype(np.float32)
        self.counts = torch.as_tensor(counts, device=device)
        self.share = torch.as_tensor(completeness(cube, 0, end, end), device=device)

    def of(self, issues: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Events, counts and share of a `Stretch`."""
        k, n, c = self.horizons, self.n, self.c
        bounds = np.searchsorted(self.hour, np.array(issues)[:, None] + [0, k]).tolist()
        places = [self.place[a:b] + (i * c * k - issues[i]) * n for i, (a, b) in enumerate(bounds)]
        counts = torch.cat([self.counts[a:b] for a, b in bounds])
        return torch.cat(places), counts, windows(self.share, issues, k).mT[..., None]


class Stream(IterableDataset[Stretch]):
    """The training slice as one epoch's stretches, in order of time."""

    def __init__(self, cube: Cube, split: Split, config: Config, reader: Reader) -> None:
        self.cube, self.split, self.config, self.reader = cube, split, config, reader
        self.epoch = 0
        end = split.train_end
        self.targets = Targets(cube, end, reader.device)
        per_day = max(1, 24 // cube.step_hours)
        warm = min(config.training.warm_up_days * per_day, end // 3) // reader.patch
        self.skip = max(1, warm)
        self.total = (end - cube.horizons - reader.patch) // reader.patch - self.skip + 1
        if self.total < 1:
            raise ConfigError(f"split.train: {end} steps leave the network nothing to learn from; give more days.")

    def __len__(self) -> int:
        return math.ceil(self.total / self.config.training.truncation)

    def __iter__(self) -> Iterator[Stretch]:
        generator = np.random.default_rng([self.config.seed, self.epoch])
        phase = int(generator.integers(self.reader.patch)) if self.reader.patch > 1 else 0
        memory = self.reader.memory(phase)
        memory.skip(self.skip)
        for length in stretches(self.total, self.config.training.truncation, generator):
            recall = memory.walk(length)
            yield Stretch(inputs_of(self.reader, recall), *self.targets.of(recall.issues))


class Module(pl.LightningModule):
    """The network with its averaged twin, loss and schedule; hyper-parameters are plain values."""

    def __init__(self, settings: dict[str, Any], edges: Tensor) -> None:
        super().__init__()
        self.save_hyperparameters({"settings": settings})
        model, training = settings["model"], settings["training"]
        self.settings, self.options = settings, training
        self.register_buffer("edges", edges)
        sizes = Sizes(**settings["sizes"])
        keys = ("hidden", "rank", "conv", "dropout", "carry_state")
        self.network = Network(sizes, **{key: model[key] for key in keys})
        self.graph = Graph(model["conv"], edges, len(settings["hexagons"]))
        self.averaged = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(training["averaging"]))
        self.loss = FocalLoss(training["gamma"], training["alpha"])
        self.stream: Stream
        self.check: Validation
        self.h: Tensor

    @property
    def best(self) -> Network:
        """The averaged weights: what forecasts."""
        return self.averaged.module  # type: ignore[return-value]

    def train_dataloader(self) -> DataLoader[Stretch]:
        return DataLoader(self.stream, batch_size=None)

    def val_dataloader(self) -> DataLoader[int]:
        return DataLoader([0], batch_size=None)  # type: ignore[arg-type]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # made on the device

    def on_train_epoch_start(self) -> None:
        self.stream.epoch = self.current_epoch
        self.h = self.network.start(self.graph.n, self.device)

    def on_train_batch_start(self, *_: Any) -> None:
        # Seeding by update makes a resumed run draw what the uninterrupted one would have drawn.
        torch.manual_seed(self.settings["seed"] * 1_000_003 + self.global_step)

    def training_step(self, batch: Stretch, _: int) -> Tensor:
        rate, self.h = self.network(batch.inputs, self.h.detach(), self.graph)
        usual = batch.inputs.log_rate.exp()
        # In units of climatology's own loss, so that losses and cities share one learning rate and clipping norm.
        loss, unit = (self.loss(r * batch.share, batch.events, batch.counts) for r in (rate, usual))
        loss = loss / unit.abs()
        self.log("train/loss", loss, prog_bar=True, batch_size=1)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        self.averaged.update_parameters(self.network)

    def validation_step(self, _: Any, __: int) -> None:
        intensity = self.check.intensity(self.best, self.graph)
        calibration = fit_calibration(intensity, self.check.counts, self.check.share)
        intensity = calibration.apply(intensity) * self.check.share
        for name, daily in daily_losses(intensity, self.check.counts).items():
            self.log(f"validation/{name}", float(daily.mean()), prog_bar=name == MONITOR, batch_size=1)
        for name, a, b in zip(self.check.categories, calibration.intercept, calibration.slope, strict=True):
            self.log(f"calibration/{name}/intercept", float(a), batch_size=1)
            self.log(f"calibration/{name}/slope", float(b), batch_size=1)
        if self.check.draw and self.logger and not self.trainer.sanity_checking:
            for title, figure in self.check.draw(intensity, self.check.counts).items():
                self.logger.experiment.add_figure(title, figure, self.global_step)  # type: ignore[attr-defined]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(
            self.network.parameters(), self.options["learning_rate"], weight_decay=self.options["weight_decay"]
        )
        steps = self.options["max_epochs"] * len(self.stream)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.options["learning_rate"], total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Validation:
    """The validation slice at daily issue times, read once; the state before it is warmed up over `WARM_UP` patches."""

    WARM_UP_DAYS = 90

    def __init__(self, cube: Cube, split: Split, reader: Reader, draw: Draw | None = None) -> None:
        issues = split.issues("validation")
        patch, per_day = reader.patch, max(1, 24 // cube.step_hours)
        memory = reader.memory(int(issues[0]) % patch)
        warm = min(self.WARM_UP_DAYS * per_day // patch, int(issues[0]) // patch)
        memory.skip((int(issues[0]) - memory.next_issue) // patch - warm)
        self.stretches = []
        while memory.next_issue <= issues[-1]:
            recall = memory.walk(min(64, (int(issues[-1]) - memory.next_issue) // patch + 1))
            self.stretches.append((recall.issues, inputs_of(reader, recall)))
        end = split.validation_end
        dense = cube.dense(0, end, known_before=end)
        self.wanted = set(issues.tolist())
        self.counts = windows(dense, issues, cube.horizons).numpy()
        self.share = windows(completeness(cube, 0, end, end), issues, cube.horizons)[:, :, None]
        self.categories, self.draw, self.device = cube.categories, draw, reader.device

    @torch.no_grad()
    def intensity(self, network: Network, graph: Graph) -> np.ndarray:
        """Uncalibrated λ at the validation issues, [m k n c]."""
        network.eval()
        h, parts = network.start(graph.n, self.device), []
        for issues, inputs in self.stretches:
            rate, h = network(inputs, h, graph)
            keep = [i for i, issue in enumerate(issues) if issue in self.wanted]
            parts.append(rate[keep].permute(0, 2, 3, 1).cpu())
        return torch.cat(parts).contiguous().numpy()


def settings_of(config: Config, cube: Cube, reader: Reader, scales: Scales) -> dict[str, Any]:
    """Everything a checkpoint needs to be opened without its configuration, in plain values."""
    return {
        "model": config.model.model_dump(),
        "training": config.training.model_dump(),
        "seed": config.seed,
        "sizes": asdict(sizes_of(reader)),
        "scales": scales.plain(),
        "patch": reader.patch,
        **axes_of(cube),
    }


def axes_of(cube: Cube) -> dict[str, Any]:
    """What a cube must share with the one that a network was trained on."""
    return {
        "hexagons": cube.cells.tolist(),
        "categories": list(cube.categories),
        "step_hours": cube.step_hours,
        "horizons": cube.horizons,
    }
