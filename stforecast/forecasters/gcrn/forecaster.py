"""The graph-convolutional recurrent network as a forecaster: fit, predict, save, open."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError, in_brief
from stforecast.features.builder import FeatureBatch, FeatureBuilder, State
from stforecast.features.covariates import Covariates
from stforecast.features.groups import InputsByGroup, Read
from stforecast.features.scaling import Scales, axes_of
from stforecast.files import atomic_path, fingerprint, read_json, write_json
from stforecast.forecasters.base import AGAIN, Forecaster
from stforecast.forecasters.gcrn.inputs import inputs_of, patch_steps, sizes_of
from stforecast.forecasters.gcrn.network import Inputs, Sizes
from stforecast.forecasters.gcrn.propagation import STEPS
from stforecast.forecasters.gcrn.segments import stream_of
from stforecast.forecasters.gcrn.start import StartingNetwork
from stforecast.forecasters.gcrn.trained import Trained, trained_of
from stforecast.forecasters.streaming import LearnedForecaster, as_array
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from stforecast.forecasters.gcrn.training import Plot

SETTINGS = "settings.json"
"""In the folder of a saved network: what its seeds share and what was chosen, beside a file of weights each."""
RESTING = 56
"""Patches as usual after which the state is taken to be at rest."""


class GCRN(LearnedForecaster):
    """Graph-convolutional recurrent network over the hexagon graph, with the slow climatology as offset.

    Fits of several seeds read the same features; λ is the geometric mean of what they give.

    Args:
        config: of the city; default the package's defaults, one fit.
        parts: none.
        plot: draws figures for TensorBoard, from calibrated λ and counts of the validation slice.
        auxiliary: other cities whose training slices it learns from too.
        start: the network that it goes on from; by default one of random weights.
        settings: values of the configuration's sections `model` and `training`, and seed and seeds, by keyword.
    """

    name = "gcrn"
    seeded = True
    sections = ("model", "training")

    def __init__(
        self,
        config: Config | None = None,
        parts: Mapping[str, Forecaster] | None = None,
        plot: Plot | None = None,
        auxiliary: Sequence[tuple[Cube, Split]] = (),
        start: StartingNetwork | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(config, parts, **settings)
        self.plot, self.auxiliary, self.start, self.fits = plot, auxiliary, start, list[Trained]()
        self.chosen, self.carried = "", False
        self.device = choose_device(self.config)

    def learn(self, cube: Cube, split: Split, folder: Path | None = None) -> None:
        """Train on the training slice, choose the epoch on the validation slice; goes on from `folder`'s last.ckpt.

        A slice that is too short leaves the network as it starts.
        """
        from stforecast.forecasters.gcrn.fitting import as_it_is, fit_network
        from stforecast.forecasters.gcrn.training import Task

        self.fits, carried = [], self.start is not None and self.config.training.adapt == "none"
        as_begun = carried or self.too_short(cube, split)
        with nullcontext(folder) if folder else TemporaryDirectory() as kept:
            for i, seed in enumerate(self.seeds[:1] if carried else self.seeds):
                config = self.config.model_copy(update={"seed": seed})
                task = Task(cube, split, config, self.plot, self.auxiliary, self.start)
                fit = as_it_is(task) if as_begun else fit_network(task, self.device, seed_folder(Path(kept), i))
                self.fits.append(fit.to(self.device))
        self.scales = Scales.from_dict(self.settings["scales"])
        weights = self.start.weights if self.start else {}
        fits = [fit.weights() for fit in self.fits] if weights else []
        same = sum(all(torch.equal(fit[name], weights[name]) for name in weights) for fit in fits)
        self.chosen, self.carried = self._choice(as_begun, same), bool(fits) and same == len(fits)

    def _choice(self, as_begun: bool, same: int) -> str:
        """What the fit chose by itself, in words; same: how many fits are what they started from."""
        if same and self.config.training.adapt == "none":
            return "the carried network as it is"
        stands = "the carried network stands as before" if self.start else "climatology stands as before"
        if as_begun:
            return f"nothing to learn from: {stands}"
        which = f"in {same} of {len(self.fits)} fits " if same < len(self.fits) else ""
        return f"{which}{stands}, since nothing that it learned here held on the validation slice" if same else ""

    @property
    def remark(self) -> str:
        return self.chosen

    @property
    def untrained(self) -> bool:
        return self.carried

    def too_short(self, cube: Cube, split: Split) -> bool:
        """Whether the training slice holds nothing to learn from."""
        return stream_of(cube, split, self.config, patch_steps(self.config, cube))[1] < 1

    def patch(self, cube: Cube) -> int:
        return self.settings["patch"]

    def fingerprint(self) -> tuple[int, str]:
        digest = sha256()
        for weight in (weight for fit in self.fits for weight in fit.best.state_dict().values()):
            digest.update(weight.cpu().contiguous().numpy().data)
        return self.settings["scales"]["until"], fingerprint(
            self.name, self.settings, len(self.fits), digest.hexdigest()
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Those that it was fitted with, in plain values.

        Raises:
            ArtefactError: it is not fitted.
        """
        if not self.fits:
            raise ArtefactError("gcrn: not fitted. Run `stforecast train`, or call fit(cube, split), first.")
        return self.fits[0].settings

    @property
    def sizes(self) -> Sizes:
        """Of its network."""
        return self.fits[0].best.sizes

    def reader(self, cube: Cube, past_end: int = 0, since: int = 0) -> FeatureBuilder:
        for key, own in axes_of(cube).items():
            if self.settings[key] != own:
                raise ArtefactError(
                    f"gcrn: the cube's {key} are not those of the trained network. Run `stforecast build` and "
                    "`stforecast train` again, or forecast from the run's own cube."
                )
        builder = super().reader(cube, past_end, since)
        if self.sizes.unlike(sizes_of(builder)):
            raise ArtefactError(
                "gcrn: what is read of the cube is not what the network was trained on. Run `stforecast train --fresh`."
            )
        return builder

    def init_state(self, reader: FeatureBuilder, phase: int) -> State:
        hidden = [fit.best.start(reader.cube.n * reader.cube.c, reader.device) for fit in self.fits]
        return reader.init_state(phase) | {"hidden": torch.stack(hidden)}

    @torch.inference_mode()
    def step(self, reader: FeatureBuilder, state: State, count: int, wanted: Collection[int]) -> dict[int, np.ndarray]:
        batch = reader.step(state, count)
        inputs = inputs_of(reader, batch, self.sizes)
        carried = zip(self.fits, state["hidden"], strict=True)
        found = [torch.cat([h[None], fit.best.states(inputs, h, fit.graph)]) for fit, h in carried]
        rates = [fit.best.read(states[1:], inputs, fit.graph) for fit, states in zip(self.fits, found, strict=True)]
        state["before"], state["hidden"] = torch.stack(found, 1)[-2:].clone()
        mean = zip(batch.issues, _mean(rates), strict=True)
        return {issue: as_array(rate) for issue, rate in mean if issue in wanted}

    @torch.inference_mode()
    def forecast_features(
        self, reader: FeatureBuilder, state: State, batch: FeatureBatch, covariates: Covariates | None = None
    ) -> np.ndarray:
        inputs, hidden = inputs_of(reader, batch, self.sizes, covariates), zip(self.fits, state["hidden"], strict=True)
        return as_array(_mean([fit.best(inputs, h, fit.graph)[0] for fit, h in hidden])[0])

    @property
    def reach(self) -> int:
        return max(1, STEPS[self.settings["model"]["conv"]])

    def rest(self, reader: FeatureBuilder, inputs: InputsByGroup) -> Tensor:
        given, state = inputs.read(()), self.init_state(reader, 0)["hidden"]
        read = inputs_of(reader, given.patch, self.sizes, given.covariates)
        for _ in range(RESTING):
            state = self._after(read, state)
        return state

    @torch.inference_mode()
    def forecast_read(self, reader: FeatureBuilder, read: Read, before: Tensor, cells: np.ndarray) -> np.ndarray:
        patch, ahead = (inputs_of(reader, batch, self.sizes, read.covariates) for batch in (read.patch, read.ahead))
        carried = zip(self.fits, self._after(patch, before), strict=True)
        return as_array(_mean([fit.best.read(h[None], ahead, fit.graph) for fit, h in carried])[0])[:, cells]

    def _after(self, inputs: Inputs, before: Tensor) -> Tensor:
        """The states after a patch, [s c·n h]."""
        return torch.stack([f.best.states(inputs, h, f.graph)[-1] for f, h in zip(self.fits, before, strict=True)])

    @torch.inference_mode()
    def forecast_from_state(self, reader: FeatureBuilder, state: State, issue: int) -> np.ndarray:
        inputs, hidden = (
            inputs_of(reader, reader.at_issue(state, issue), self.sizes),
            zip(self.fits, state["hidden"], strict=True),
        )
        return as_array(_mean([fit.best.read(h[None], inputs, fit.graph) for fit, h in hidden])[0])

    def save_fit(self, folder: Path) -> None:
        seeds = [fit.settings["seed"] for fit in self.fits]  # another configuration may open it
        write_json(folder / SETTINGS, {**self.settings, "seeds": seeds, "remark": self.chosen, "carried": self.carried})
        for i, fit in enumerate(self.fits):
            with atomic_path(folder / f"seed-{i}.safetensors") as temporary:
                temporary.write_bytes(save(fit.weights()))

    def load_fit(self, folder: Path) -> None:
        path = folder / SETTINGS
        settings = read_json(path, AGAIN)
        try:
            self.fits, self.chosen, self.carried = [], str(settings.pop("remark")), bool(settings.pop("carried"))
            for i, seed in enumerate(settings.pop("seeds")):
                path = folder / f"seed-{i}.safetensors"
                weights = load_file(path)  # mapped: nothing is read before its shapes are known to be right
                self.fits.append(trained_of({**settings, "seed": seed}, weights).to(self.device))
            self.scales = Scales.from_dict(self.settings["scales"])
            if not 1 <= self.settings["patch"] <= self.settings["horizons"]:
                raise ValueError(f"patch {self.settings['patch']}")
        except Exception as error:  # whatever torch and safetensors raise at a damaged file
            raise ArtefactError(
                f"{path}: not the weights of the network ({in_brief(error)}). Run `stforecast train --fresh`."
            ) from error


def seed_folder(folder: Path, i: int) -> Path:
    """Where the fit of the i-th seed keeps its progress."""
    return folder / f"seed-{i}"


def choose_device(config: Config) -> torch.device:
    """The device that `training.device` asks for.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    wanted = config.training.device
    if wanted == "gpu" and not torch.cuda.is_available():
        raise ConfigError("training.device: gpu is asked for, but PyTorch sees none. Use training.device=auto.")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def _mean(rates: Sequence[Tensor]) -> Tensor:
    """The geometric mean of λ."""
    return torch.stack([rate.log() for rate in rates]).mean(0).exp() if len(rates) > 1 else rates[0]
