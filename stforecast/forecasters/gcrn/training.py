"""Fitting the network: truncated back-propagation along history.

Every epoch reads the training slice once, with the phase of the patch drawn anew, so that one network serves every
issue hour. The hidden state runs through; every issue is a training origin; no windows are cut. Epochs are compared
by calibrated validation deviance of the averaged weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.features.base_rate import learned_scales
from stforecast.features.builder import FeatureBuilder, clone_state
from stforecast.features.scaling import Scales, axes_of
from stforecast.features.targets import known_share, outcomes, scored
from stforecast.forecasters.gcrn.allocator import keep_freed
from stforecast.forecasters.gcrn.inputs import inputs_of, sizes_of
from stforecast.forecasters.gcrn.losses import SMALLEST, FocalLoss
from stforecast.forecasters.gcrn.network import Network, network_of
from stforecast.forecasters.gcrn.propagation import Graph
from stforecast.forecasters.gcrn.segments import InterleavedSampler, Segment, Stream
from stforecast.forecasters.gcrn.start import StartingNetwork
from stforecast.forecasters.gcrn.trained import write_checkpoint
from stforecast.scoring.calibration import fit_calibration
from stforecast.scoring.metrics import daily_losses
from stforecast.scoring.splits import Split

GAMMA = 0.5
"""Of the focal loss where steps are hours and none is asked for; counts of days and months have Poisson likelihood."""
READ_OUT = ("look", "query", "hour", "key", "by_", "excitation")
"""Beginnings of the names of the layers that read the state."""
MONITOR = "poisson_deviance"
"""What epochs are compared by, on the validation slice."""

Plot = Callable[[np.ndarray, np.ndarray], Mapping[str, Any]]
"""From calibrated λ and counts of the validation slice, [m k n c], to named matplotlib figures."""


@dataclass(frozen=True)
class Task:
    """What a network is fitted to: a city's cube, and the training slices of `auxiliary` cities beside it.

    start: the network that it goes on from; by default one of random weights.
    """

    cube: Cube
    split: Split
    config: Config
    plot: Plot | None = None
    auxiliary: Sequence[tuple[Cube, Split]] = ()
    start: StartingNetwork | None = None


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints that are written whole or not at all."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_checkpoint(checkpoint, Path(path))


class Module(pl.LightningModule):
    """The network with an exponentially averaged twin, loss and schedule; hyper-parameters are plain values."""

    edges: Tensor

    def __init__(self, config: Config, builder: FeatureBuilder, start: StartingNetwork | None = None) -> None:
        super().__init__()
        self.settings = settings = settings_of(config, builder, start)
        self.save_hyperparameters({"settings": settings})
        self.options = training = settings["training"]
        self.own_streams = config.training.streams // config.training.processes
        self.register_buffer("edges", builder.edges.cpu())
        self.network = start.network() if start else network_of(settings)
        self.graph = self._graph(self.edges, builder.cube)
        self.graphs, self.mine = [self.graph], range(training["streams"])
        self.best = deepcopy(self.network).requires_grad_(False)  # the averaged weights, which forecast
        self.loss = FocalLoss(training["gamma"], training["alpha"])
        self.task: Task
        self.stream: Stream | InterleavedSampler
        self.check: Validation
        self.h: list[Tensor]

    def _graph(self, edges: Tensor, cube: Cube) -> Graph:
        """That of a city, for all of its streams that this process has."""
        return Graph(self.settings["model"]["conv"], edges, cube.n, cube.c, self.own_streams)

    def setup(self, stage: str) -> None:
        """What is read is made by the process that reads it, on its device."""
        keep_freed()
        self.compile_step()
        assert self.trainer is not None
        task, device = self.task, self.trainer.strategy.root_device
        scales, patch, split = Scales.from_dict(self.settings["scales"]), self.settings["patch"], task.split
        cube, later = (task.cube.as_known(end) for end in (split.train_end, split.validation_end))
        builder = FeatureBuilder(cube, scales, patch, device)
        self.mine = range(self.trainer.global_rank, self.options["streams"], self.trainer.world_size)
        self.stream = Stream(cube, split, task.config, builder, self.mine, sizes=self.network.sizes)
        if task.auxiliary:
            self.stream = InterleavedSampler(
                [self.stream, *(self._auxiliary(i, device) for i in range(len(task.auxiliary)))]
            )
        builder = builder if later is cube else FeatureBuilder(later, scales, patch, device)
        self.check = Validation(later, split, builder, self.options["truncation"], task.plot)

    def compile_step(self) -> None:
        """Have the network's step compiled once it is first taken, if the settings ask for it."""
        if self.options["compile"]:
            self.network.compile(fullgraph=True, dynamic=False, mode="reduce-overhead")

    def _auxiliary(self, place: int, device: torch.device) -> Stream:
        """The training slice of another city, with its own scales and graph, from the same shared rhythms.

        Raises:
            ConfigError: its steps are not those of the first.
        """
        cube, split = self.task.auxiliary[place]
        cube = cube.as_known(split.train_end)
        patch, warm_up = self.settings["patch"], cube.step.in_days(self.options["warm_up_days"])
        shared = Scales.from_dict(self.settings["scales"]).shared
        builder = FeatureBuilder(cube, learned_scales(cube, split.train_end, patch, warm_up, shared), patch, device)
        found = axes_of(cube)
        if wrong := [key for key in ("step_unit", "step_hours", "horizons") if found[key] != self.settings[key]]:
            raise ConfigError(
                f"training.cities: {cube.name} differs from {self.task.cube.name} in {', '.join(wrong)}. Build it "
                "with the same time.step and time.horizons."
            )
        self.graphs.append(self._graph(builder.edges.cpu(), cube).to(device))
        return Stream(cube, split, self.task.config, builder, self.mine, place + 1, self.network.sizes)

    def train_dataloader(self) -> Stream | InterleavedSampler:
        return self.stream

    def val_dataloader(self) -> list[int]:
        return [0]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # made on the device

    def on_train_epoch_start(self) -> None:
        self.stream.epoch = self.current_epoch
        cells = [graph.n * graph.c * len(self.mine) for graph in self.graphs]
        self.h = [self.network.start(count, self.device) for count in cells]

    def training_step(self, batch: Segment, _: int) -> Tensor:
        # By update: a resumed run draws what the uninterrupted one would have drawn, and several processes draw what
        # one would.
        torch.manual_seed(self.settings["seed"] * 1_000_003 + self.global_step)
        x, city, streams = batch.inputs, batch.city, len(batch.targets)
        whole = len(x.log_rate) == streams * self.options["truncation"]
        step = self.network if whole else self.network.forward  # where it is compiled, for one length alone
        rate, h = step(x, self.h[city], self.graphs[city])
        self.h[city] = h.detach().clone()  # CUDA graphs use the memory of what they return again
        losses = []
        for target, *rates in zip(batch.targets, rate.chunk(streams), x.log_rate.exp().chunk(streams), strict=True):
            # In units of climatology's own loss, so that losses and cities share one learning rate and clipping norm.
            loss, unit = (self.loss(r * target.share, target.events, target.counts) for r in rates)
            losses.append(loss / unit.abs().clamp(min=SMALLEST))  # 0 where nothing of it was recorded
        loss = torch.stack(losses).mean()
        self.log("train/loss", loss, prog_bar=True, batch_size=1, sync_dist=True)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        averaged, current = (tuple(network.parameters()) for network in (self.best, self.network))
        with torch.no_grad():
            torch._foreach_lerp_(averaged, current, 1 - self.options["averaging"])

    def validation_step(self, _: Any, __: int) -> None:
        intensity = self.check.intensity(self.best, self.graph)
        calibration = fit_calibration(intensity, self.check.counts, self.check.share, self.check.counted)
        intensity = calibration.apply(intensity) * self.check.share
        for name, daily in daily_losses(intensity, self.check.counts).items():
            self.log(f"validation/{name}", float(daily.mean()), prog_bar=name == MONITOR, batch_size=1)
        for name, a, b in zip(self.check.categories, calibration.intercept, calibration.slope, strict=True):
            self.log(f"calibration/{name}/intercept", float(a), batch_size=1)
            self.log(f"calibration/{name}/slope", float(b), batch_size=1)
        if self.check.plot and self.logger and not self.trainer.sanity_checking:
            for title, figure in self.check.plot(intensity, self.check.counts).items():
                self.logger.experiment.add_figure(title, figure, self.global_step)  # type: ignore[attr-defined]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        rate, learned = self.options["learning_rate"], list(self.network.parameters())
        if self.task.start and self.options["adapt"] == "read_out":
            learned = [one for name, one in self.network.named_parameters() if name.startswith(READ_OUT)]
        optimizer = torch.optim.AdamW(learned, rate, weight_decay=self.options["weight_decay"])
        steps = self.options["max_epochs"] * len(self.stream)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Validation:
    """The validation slice at daily issue times, read anew for every epoch from a state of the features that is kept.

    The state is warmed up over the days before it.
    """

    WARM_UP_DAYS = 90

    def __init__(
        self, cube: Cube, split: Split, builder: FeatureBuilder, length: int, plot: Plot | None = None
    ) -> None:
        self.issues = issues = scored(cube, split, "validation")
        self.builder, self.length, patch = builder, length, builder.patch
        self.start = builder.init_state(int(issues[0]) % patch)
        before = int(issues[0]) // patch
        builder.skip(self.start, before - min(cube.step.in_days(self.WARM_UP_DAYS) // patch, before))
        self.counts, self.share = outcomes(cube, split, "validation"), known_share(cube, split)
        self.categories, self.counted, self.plot = cube.categories, cube.counted, plot

    @torch.no_grad()
    def intensity(self, network: Network, graph: Graph) -> np.ndarray:
        """Uncalibrated λ at the validation issues, [m k n c]."""
        network.eval()
        state, h = clone_state(self.start), network.start(graph.n * self.builder.cube.c, self.builder.device)
        out, place = np.empty(self.counts.shape, np.float32), {issue: i for i, issue in enumerate(self.issues.tolist())}
        while (first := int(state["next_issue"])) <= self.issues[-1]:
            left = (int(self.issues[-1]) - first) // self.builder.patch + 1
            with torch.autocast(h.device.type, enabled=False):  # features stay in single precision
                batch = self.builder.step(state, min(self.length, left))
            rate, h = network(inputs_of(self.builder, batch, network.sizes), h, graph)
            for issue, one in zip(batch.issues, rate.permute(0, 2, 3, 1).cpu().numpy(), strict=True):
                if issue in place:
                    out[place[issue]] = one
        return out


def settings_of(config: Config, builder: FeatureBuilder, start: StartingNetwork | None = None) -> dict[str, Any]:
    """Everything a checkpoint needs to be opened without its configuration, in plain values.

    Raises:
        ConfigError: the network to start from reads other things than this record gives.
    """
    sizes = sizes_of(builder)
    if start and (other := start.sizes.unlike(sizes)):
        found = ", ".join(f"{name} {there} instead of {here}" for name, (there, here) in other.items())
        raise ConfigError(
            f"gcrn: the network that it starts from reads other things than this record gives ({found}). Give the "
            "steps, horizons and model.patch_hours that it was trained with, or no start."
        )
    training = config.training.model_dump(exclude={"nodes"})
    if training["gamma"] is None:
        training["gamma"] = 0.0 if builder.cube.counted else GAMMA
    return {
        "model": start.model if start else config.model.model_dump(),
        "start": start.digest if start else None,
        "training": training,
        "seed": config.seed,
        "sizes": asdict(start.sizes if start else sizes),
        "scales": asdict(builder.scales),
        "patch": builder.patch,
        **axes_of(builder.cube),
    }
