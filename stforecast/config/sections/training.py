"""What is fitted, on which part of the record, and how."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field, model_validator

from stforecast.config.sections.section import Fraction, Section


class Split(Section):
    """Time-ordered slices: training, then validation, then test."""

    train: Fraction | dt.date | None = None
    """share of the days (or months), or the first day after the slice; by default 0.75, of less than a year fewer where
    validation needs them"""
    validation: Fraction | dt.date | None = None
    """likewise; by default 0.08, of a record of less than a year 29 days or, if that is less, a third of those before
    the test slice, unless `train` is given; of a few days at least room for one forecast, and as much is left for the
    test slice"""
    gap: int = Field(24, ge=0)
    """hours left out between slices, in whole steps: of monthly ones nothing by default"""

    @model_validator(mode="after")
    def _ordered(self) -> Split:
        train = 0.75 if self.train is None else self.train
        validation = 0.08 if self.validation is None else self.validation
        if isinstance(train, float) and isinstance(validation, float) and train + validation >= 1:
            raise ValueError(
                "split.train and split.validation are shares of the days and leave none for the test slice; "
                "use for example 0.75 and 0.08"
            )
        return self


class Model(Section):
    """The graph-convolutional recurrent network."""

    hidden: int = Field(32, ge=1)
    """width of the carried state"""
    rank: int = Field(64, ge=1)
    """rank of the bilinear read-out over the horizon"""
    patch_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = 24
    """hours that a step of the recurrence reads"""
    conv: Literal["hex", "gcn", "cheb", "diffusion", "none"] = "hex"
    """propagation over the hexagon graph; none leaves the graph out"""
    carry_state: bool = True
    """carry the hidden state from patch to patch; false starts each patch from none, an ablation"""
    dropout: float = Field(0.2, ge=0, lt=1)
    """dropout on inputs and read-out"""


class Training(Section):
    """How the network is fitted."""

    start: str = "auto"
    """what network, trees, Hawkes process and rolling climatology start from: pretrained (the package's weights),
    scratch (nothing), or a folder of weights or of a finished run; auto is pretrained, but scratch where these have
    learned from the test slice or later days, where `model` asks for another network, where a forecast is of less than
    a day, and of months"""
    adapt: Literal["none", "read_out", "all"] = "all"
    """what of a network that was learned elsewhere is learned on here: nothing but the calibration, the layers that
    read the state, or all; trees add rounds to pooled ones, or with none do not; never further than the validation
    slice bears out"""
    max_epochs: int = Field(10, ge=1)
    """passes over the training slice"""
    learning_rate: float = Field(4e-3, gt=0)
    """peak of the one-cycle schedule"""
    weight_decay: float = Field(1e-2, ge=0)
    """AdamW's weight decay"""
    streams: int = Field(1, ge=1)
    """parts of the training slice read side by side; more fill a GPU, and make fewer updates"""
    devices: int = Field(1, ge=1)
    """GPUs, or processes on a CPU, that share the streams evenly"""
    nodes: int = Field(1, ge=1)
    """machines, of so many devices each, that share the streams evenly; each runs the same command, and is told its
    number (NODE_RANK, from 0) and where the first is (MASTER_ADDR, MASTER_PORT)"""
    cities: list[str] = Field([])
    """configurations of other built cities, with the same steps, whose training slices the network learns from too"""
    compile: bool = False
    """torch.compile of the network's step, with CUDA graphs on a GPU; takes a minute to begin"""
    truncation: int = Field(7, ge=1)
    """patches of truncated back-propagation"""
    warm_up_days: int = Field(120, ge=0)
    """first days that are read but not learned from"""
    gamma: float | None = Field(None, ge=0, le=5)
    """exponent of the (proper) focal loss; 0 is Poisson likelihood; default 0.5 where steps are hours, else 0"""
    alpha: float = Field(0.5, gt=0, lt=1)
    """focal weight of steps with an event; 0.5 is neutral"""
    averaging: float = Field(0.98, ge=0, lt=1)
    """decay of the averaged weights, per update"""
    clip: float = Field(1.0, gt=0)
    """gradient norm at which updates are clipped"""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """auto uses a GPU when there is one"""

    @model_validator(mode="after")
    def _shared(self) -> Training:
        if self.streams % self.processes:
            raise ValueError(
                f"training.devices: {self.processes} cannot share {self.streams} streams evenly; set training.streams "
                f"to {self.processes} or a multiple of it"
            )
        return self

    @property
    def processes(self) -> int:
        """Those that share the streams, on all machines."""
        return self.devices * self.nodes


class Trees(Section):
    """How tree ensembles are fitted."""

    sampling: Literal["none", "under", "smote"] = "none"
    """balanced classes of training rows by under-sampling or SMOTE; none fits the intensity"""
