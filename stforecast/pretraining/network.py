"""Pretraining the network over many cities: truncated back-propagation along episodes, several side by side."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader

from stforecast.errors import StforecastError
from stforecast.features.shared import SharedRhythms
from stforecast.forecasters.gcrn.fitting import quiet
from stforecast.forecasters.gcrn.losses import SMALLEST, FocalLoss
from stforecast.forecasters.gcrn.network import Network, Sizes
from stforecast.forecasters.gcrn.propagation import Graph
from stforecast.forecasters.gcrn.trained import read_checkpoint
from stforecast.forecasters.gcrn.training import GAMMA, AtomicCheckpointIO
from stforecast.pretraining.streams import EpisodeStream, Part

if TYPE_CHECKING:
    from stforecast.pretraining.episodes import Episode

LENGTH = 7
"""Issues of a segment: of truncated back-propagation."""
FEW = 100.0
"""Events of a segment at which it weighs half of one with very many: what few events say is mostly chance."""
AHEAD = 16
"""Updates for which the features are built in advance: an episode that begins takes as long as several."""
EPOCH = 40
"""Episodes between two checkpoints."""
RISE = 0.1
"""Share of the episodes over which the learning rate rises; it falls from there to nothing."""
DECAY, CLIP = 1e-2, 1.0
"""Of the weights, and the norm at which gradients are clipped."""


@dataclass(frozen=True)
class Plan:
    """How a network is pretrained.

    draw: the episode of a number; pure, so that what is read follows from the number alone.
    sizes: what the network reads. model: keyword arguments of `Network`.
    episodes: how many are learned from, `beside` of them side by side.
    learning_rate: its peak. averaging: decay of the averaged weights, per update. seed: of weights and dropout.
    workers: 1 where another process builds the features, 0 where this one does. shared: what cities share in rates and
    rhythms, on which λ₀ rests.
    """

    draw: Callable[[int], Episode]
    sizes: Sizes
    model: dict[str, Any]
    episodes: int
    beside: int = 4
    learning_rate: float = 3e-3
    averaging: float = 0.99
    seed: int = 0
    workers: int = 1
    shared: SharedRhythms | None = None

    def rate(self, number: int) -> float:
        """The learning rate at the episode of a number."""
        progress = number / self.episodes
        if progress < RISE:
            return self.learning_rate * (0.05 + 0.95 * progress / RISE)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - RISE) / (1 - RISE)))


class PretrainingModule(pl.LightningModule):
    """The network with its averaged twin, and what each episode that is read carries."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.network = Network(plan.sizes, **plan.model)
        self.best = deepcopy(self.network).requires_grad_(False)  # the averaged weights
        self.loss = FocalLoss(GAMMA)
        self.carried: dict[int, tuple[Tensor, Graph]] = {}

    def train_dataloader(self) -> DataLoader[list[Part] | StforecastError]:
        """The episodes up to the next checkpoint."""
        first, plan = self.current_epoch * EPOCH, self.plan
        numbers = range(first, min(first + EPOCH, plan.episodes))
        stream = EpisodeStream(plan.draw, plan.sizes, numbers, plan.beside, LENGTH, plan.shared)
        self.carried.clear()
        return DataLoader(
            stream, batch_size=None, num_workers=plan.workers, prefetch_factor=AHEAD if plan.workers else None
        )

    def transfer_batch_to_device(
        self, batch: list[Part] | StforecastError, device: torch.device, dataloader_idx: int
    ) -> list[Part]:
        if isinstance(batch, StforecastError):
            raise batch
        return [part.to(device) for part in batch]

    def training_step(self, batch: list[Part], _: int) -> Tensor | None:
        torch.manual_seed(self.plan.seed * 1_000_003 + self.global_step)
        losses, weights = [], []
        for part in batch:
            after, loss = self._read(part)
            self.carried[part.number] = after, self.carried[part.number][1]
            if loss is not None and part.target is not None:
                seen = float(part.target.counts.sum())
                losses.append(loss)
                weights.append(seen / (seen + FEW))
        if not sum(weights):
            return None
        loss = torch.stack(losses) @ torch.tensor(weights, device=self.device) / sum(weights)
        self.log("pretrain/loss", loss, prog_bar=True, batch_size=1)
        return loss

    def _read(self, part: Part) -> tuple[Tensor, Tensor | None]:
        """The state after a part, and its loss in units of climatology's own; none while the state warms up."""
        if part.first:
            graph = Graph(self.plan.model["conv"], part.edges.cpu(), part.n, part.c).to(self.device)
            self.carried[part.number] = self.network.start(part.n * part.c, self.device), graph
        h, graph = self.carried[part.number]
        if part.target is None:
            with torch.no_grad():
                return self.network.states(part.inputs, h, graph)[-1], None
        rate, after = self.network(part.inputs, h, graph)
        target = part.target
        rates = rate, part.inputs.log_rate.exp()
        loss, unit = (self.loss(r * target.share, target.events, target.counts) for r in rates)
        return after.detach(), loss / unit.abs().clamp(min=SMALLEST)

    def on_train_batch_start(self, batch: list[Part], _: int) -> None:
        rate = self.plan.rate(min(part.number for part in batch))
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = rate
        alive = {part.number for part in batch}
        self.carried = {number: kept for number, kept in self.carried.items() if number in alive}

    def on_train_batch_end(self, *_: Any) -> None:
        averaged, current = (tuple(network.parameters()) for network in (self.best, self.network))
        with torch.no_grad():
            torch._foreach_lerp_(averaged, current, 1 - self.plan.averaging)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.network.parameters(), self.plan.learning_rate, weight_decay=DECAY)


def pretrain_network(plan: Plan, folder: Path, shown: bool = False) -> Network:
    """The network with the averaged weights; an unfinished pretraining in `folder` goes on from its last checkpoint.

    Args:
        plan: how.
        folder: of checkpoints and TensorBoard events.
        shown: whether there is a progress bar.

    Raises:
        ArtefactError: the checkpoint is damaged, or an episode cannot be drawn.
    """
    module, last = PretrainingModule(plan), folder / "last.ckpt"
    if last.exists():
        read_checkpoint(last)  # held against its checksums, at which Lightning does not look
    callbacks: list[Callback] = [ModelCheckpoint(folder, "last", enable_version_counter=False)]
    with quiet():
        trainer = pl.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=math.ceil(plan.episodes / EPOCH),
            reload_dataloaders_every_n_epochs=1,
            gradient_clip_val=CLIP,
            logger=TensorBoardLogger(folder, name="", version="", default_hp_metric=False),
            callbacks=[*callbacks, TQDMProgressBar(10)] if shown else callbacks,
            plugins=[AtomicCheckpointIO()],
            enable_progress_bar=shown,
            enable_model_summary=False,
            log_every_n_steps=10,
        )
        trainer.fit(module, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    return module.best.eval()
