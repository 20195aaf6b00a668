"""Which weights a run starts from."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from stforecast.config import Config, load
from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.start import StartingNetwork
from stforecast.forecasters.hawkes import Hawkes
from stforecast.forecasters.registry import in_order
from stforecast.forecasters.trees import Trees
from stforecast.forecasters.weights import BOOSTED, CARD, STARTING, Learned, Weights
from stforecast.pipeline.run import Run
from stforecast.scoring.splits import Split

CHOSEN = ("hidden", "rank", "patch_hours", "conv", "carry_state")
"""Keys of `model` in which a network and one that it starts from must agree."""


def starting_weights(config: Config, cube: Cube, split: Split, simulated: bool) -> tuple[Weights | None, str]:
    """The weights that `training.start` leads to, None for random ones; and why, where it is not as asked.

    Args:
        config: of the city.
        cube: its record.
        split: its slices, of which the test slice must not have been seen, for `auto`.
        simulated: whether the record is of a simulated city, which lies nowhere.

    Raises:
        ArtefactError: the weights are absent or damaged.
        ConfigError: they are asked for by name, and do not fit.
    """
    asked, names = config.training.start, {*in_order(config)}
    names -= {*BOOSTED} if config.trees.sampling != "none" else set()  # they learn whether there is an event
    if asked == "scratch" or not {*STARTING} & names:
        return None, ""
    weights = Weights.shipped() if asked in ("auto", "pretrained") else weights_of(Path(asked))
    if weights is None:
        if asked == "pretrained":
            raise ConfigError("training.start: pretrained: this package comes without weights. Use scratch or a path.")
        return None, "this package comes without weights"
    weights = weights.only(names)
    wrong = _misfit(weights, config, cube)
    if asked == "auto":
        wrong = wrong or "; ".join([] if simulated else weights.seen(cube, *split.span("test")))
        return (None, f"{weights.name} {wrong}") if wrong else (weights, "")
    if wrong:
        raise ConfigError(f"training.start: {weights.name} {wrong}. Use training.start=scratch.")
    return weights, ""


def _misfit(weights: Weights, config: Config, cube: Cube) -> str:
    """Why a run cannot start from weights; empty where it can."""
    if not weights.starts:
        return "hold nothing that these forecasters start from"
    if cube.step_unit == "month":
        return "are of hours and days, and steps are months"
    if "gcrn" not in weights.starts:
        return ""
    theirs, mine = weights.network.model, config.model.model_dump()
    if other := [f"model.{key}={theirs[key]}" for key in CHOSEN if theirs[key] != mine[key]]:
        return f"are of a network with {', '.join(other)}"
    read, ahead = weights.network.sizes.patch, cube.horizons * cube.step_hours
    return f"read {read} hours at a time, and a forecast is of {ahead}" if read > ahead else ""


def weights_of(folder: Path) -> Weights:
    """Weights of a folder of them, or of a finished run."""
    if (folder / CARD).is_file():
        return Weights.load(folder)
    if not folder.is_dir():
        raise ConfigError(
            f"training.start: {folder}: there is no such folder. Use auto, pretrained, scratch, or the folder of "
            "weights or of a finished run."
        )
    run = Run(folder)
    if not run.config.is_file() and not run.finished:
        raise ConfigError(
            f"training.start: {folder}: holds neither weights ({CARD}) nor a run ({run.config.name}, run.json). Name "
            "the folder of weights itself, or of one run, such as checkpoints/<city>/<run>."
        )
    facts = run.facts()
    if facts["step"] == "month":
        raise ConfigError(f"training.start: {folder}: is of months, from which no run starts. Use scratch.")
    config = load(run.config)
    network = run.open("gcrn", config)
    assert isinstance(network, GCRN)
    start = StartingNetwork.of(network.fits[0].best, network.settings["model"], network.scales.shared)
    starts: dict[str, dict[str, Any]] = {"gcrn": {"start": start}}
    if start.shared:
        starts |= {"rolling_climatology": {"shared": start.shared}, "hawkes": {"shared": start.shared}}
    if "hawkes" in facts["forecasters"]:
        hawkes = run.open("hawkes", config)
        assert isinstance(hawkes, Hawkes)
        if hawkes.kernels:
            starts["hawkes"] = {"shared": hawkes.scales.shared, "kernels": hawkes.kernels}
    for name in [name for name in BOOSTED if name in facts["forecasters"]]:  # grown anew where these were
        trees = run.open(name, config)
        assert isinstance(trees, Trees)
        if trees.start:
            starts[name] = {"start": trees.start}
    fitted = [run.digest(name, config) for name in STARTING if name in facts["forecasters"]]
    digest = sha256("".join(fitted).encode()).hexdigest()
    return Weights(f"run {run.name}", digest, [Learned.from_dict(one) for one in facts["learned"]], starts)
