"""The stage behind `stforecast pretrain`: from built cities and simulated ones to a folder of weights with its card.

A killed one goes on where it was: a part that is there is not made again, unless the card of a finished folder says
that it is damaged, and the network goes on from its last checkpoint. The same settings and records give the same bytes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stforecast import __version__
from stforecast.config import Pretraining, load
from stforecast.config.city import DEFAULT_CHANNELS
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError, in_brief
from stforecast.features.builder import FeatureBuilder
from stforecast.features.scaling import Scales
from stforecast.features.shared import SharedRhythms
from stforecast.files import read_json, write_json
from stforecast.forecasters.gcrn.inputs import sizes_of
from stforecast.forecasters.gcrn.network import BUILT_BY, Sizes
from stforecast.forecasters.gcrn.start import StartingNetwork
from stforecast.forecasters.trees.pooled import RHYTHMS, TREES
from stforecast.forecasters.weights import CARD, KERNELS, NETWORK, Learned
from stforecast.pipeline.stages import Stages
from stforecast.pretraining.draws import Draws
from stforecast.pretraining.hawkes import pooled_kernels
from stforecast.pretraining.network import Plan, pretrain_network
from stforecast.pretraining.rhythms import shared_rhythms
from stforecast.pretraining.trees import pooled_trees
from stforecast.publishers import publisher
from stforecast.sealed import Sealed, seal, unseal

RECIPE, PROGRESS = "recipe.json", "progress"
"""In the folder: of what settings and records its files are, and what an unfinished fit keeps."""
FIRST_DAYS = 200
"""Of a record, whose scales tell the widths of what the network reads."""


@dataclass(frozen=True)
class Learning:
    """What weights are learned from. cities: stages with their cubes."""

    recipe: Pretraining
    cities: list[tuple[Stages, Cube]]
    folder: Path

    @property
    def cubes(self) -> list[Cube]:
        """The records."""
        return [cube for _, cube in self.cities]

    @property
    def draws(self) -> Draws:
        """The episodes."""
        return Draws(self.cubes, self.recipe.simulated, self.recipe.seed)

    @property
    def shared(self) -> SharedRhythms:
        """Rates and rhythms that cities share, which are learned first."""
        return SharedRhythms.open(self.folder / RHYTHMS)

    def network(self, path: Path) -> None:
        """Pretrain the network."""
        recipe = self.recipe
        built = {key: getattr(recipe.model, key) for key in BUILT_BY}
        sizes = canonical_sizes(self.cubes[0], recipe.model.patch_hours)
        rate, seed = recipe.learning_rate, recipe.seed
        plan = Plan(self.draws, sizes, built, recipe.episodes, learning_rate=rate, seed=seed, shared=self.shared)
        network = pretrain_network(plan, self.folder / PROGRESS, shown=sys.stderr.isatty())
        StartingNetwork.of(network, recipe.model.model_dump(), self.shared).save(path)

    def trees(self, path: Path) -> None:
        """Fit the pooled trees."""
        numbers = tqdm(range(self.recipe.tree_episodes), desc="trees", unit="episode", disable=None)
        pooled_trees(map(self.draws, numbers), self.recipe.seed, self.shared).save(path.parent)

    def rhythms(self, path: Path) -> None:
        """Learn rates and rhythms that cities share."""
        shared_rhythms(self.cubes).save(path)

    def kernels(self, path: Path) -> None:
        """Learn excitation kernels."""
        pooled_kernels((cube, stages.split(cube)) for stages, cube in self.cities).save(path)


PARTS: dict[str, Callable[[Learning, Path], None]] = {
    RHYTHMS: Learning.rhythms,
    KERNELS: Learning.kernels,
    TREES: Learning.trees,
    NETWORK: Learning.network,
}
"""The files of weights, and what makes them, in order."""


def pretrain(recipe: Pretraining, folder: Path, say: Callable[[str], None], without: Sequence[str] = ()) -> Path:
    """Learn weights of the cities of a recipe, but for those that are left out, and write their card; the folder.

    Raises:
        ArtefactError: a city was not built.
        ConfigError: the cities are not as `cities_of` asks, the folder holds other weights, or LightGBM is not
            installed.
    """
    if find_spec("lightgbm") is None:  # said before what takes minutes
        raise ConfigError("pretrain: lightgbm is not installed. Run `pip install 'stforecast[trees]'`.")
    figures, cities = _figures(recipe.figures), cities_of(recipe, say, without)
    made_from = {
        "recipe": recipe.model_dump(mode="json", exclude={"figures", "root"}),
        "records": {stages.config.city: stages.gold_stamp() for stages, _ in cities},
        "package": __version__,
    }
    _claim(folder, made_from)
    _discard_damaged(folder, say)
    learning = Learning(recipe, cities, folder)
    for name, make in PARTS.items():
        if (folder / name).is_file():
            say(f"pretrain: {folder / name} is there")
        else:
            make(learning, folder / name)
            say(f"pretrain: wrote {folder / name}")
    about = {"cities": [card_of(*city) for city in cities], "figures": figures}
    seal(folder / CARD, {"version": recipe.version, **made_from, **about}, [folder / name for name in PARTS])
    shutil.rmtree(folder / PROGRESS, ignore_errors=True)
    size = sum((folder / name).stat().st_size for name in (*PARTS, CARD))
    say(f"pretrain: wrote {folder / CARD}; {size / 1e6:.1f} MB in all")
    return folder


def cities_of(
    recipe: Pretraining, say: Callable[[str], None], without: Sequence[str] = ()
) -> list[tuple[Stages, Cube]]:
    """The cities of a recipe with their records, but for those that are left out.

    Raises:
        ArtefactError: a city was not built.
        ConfigError: two are of one name, one that is left out is none of them, or none is left.
    """
    overrides = [f"root={recipe.root}"] if recipe.root else []
    found = [Stages(load(path, overrides), say) for path in recipe.cities]
    names = [stages.config.city for stages in found]
    if twice := [name for name in names if names.count(name) > 1]:  # the card tells records by them
        raise ConfigError(f"cities: two are called {twice[0]}. Give one another `city`, or leave it out.")
    if unknown := sorted({*without} - {*names}):
        raise ConfigError(f"--without {unknown[0]}: is none of the cities ({', '.join(names)}).")
    left = [stages for stages in found if stages.config.city not in without]
    if not left:
        raise ConfigError("--without: no city is left to learn from.")
    return [(stages, stages.cube()) for stages in left]


def canonical_sizes(cube: Cube, patch_hours: int) -> Sizes:
    """What a network for all cities reads: of weather the usual channels, no covariates of a city's own."""
    patch = max(1, patch_hours // cube.step_hours)
    scales = Scales.of(cube, min(cube.step.in_days(FIRST_DAYS), cube.steps))
    sizes = sizes_of(FeatureBuilder(cube, scales, patch))
    return replace(sizes, weather=[*DEFAULT_CHANNELS], future=[*DEFAULT_CHANNELS], covariates=[])


def card_of(stages: Stages, cube: Cube) -> dict[str, Any]:
    """What the card says of a city."""
    facts: dict[str, Any] = asdict(Learned.of(cube, cube.steps))
    facts |= {"hexagons": cube.n, "categories": [*cube.categories], "events": int(cube.weight.sum())}
    if preset := stages.config.source.preset:
        known = publisher(preset)
        facts |= {"publisher": known.publisher, "licence": known.licence, "attribution": known.attribution}
    return facts


def _claim(folder: Path, made_from: dict[str, Any]) -> None:
    """Note in a folder of what its weights are.

    Raises:
        ConfigError: it holds weights of other settings or records.
    """
    path = folder / RECIPE
    known = read_json(path) if path.is_file() else None
    held = any((folder / name).exists() for name in (RECIPE, CARD, *PARTS))
    if held and known != made_from:  # the card would say what is not so
        raise ConfigError(f"{folder}: holds weights of other settings or records. Remove it, or give another --output.")
    if known is None:
        write_json(path, made_from)


def _discard_damaged(folder: Path, say: Callable[[str], None]) -> None:
    """Remove files that are not what the card of a finished folder says, so that they are made again."""
    if not (folder / CARD).is_file():
        return
    for name in PARTS:
        try:
            unseal(folder / CARD, "", partial(Sealed.file, name=name))
        except ArtefactError:  # a new card would vouch for it
            say(f"pretrain: {folder / name} is not what its card says, and is made again")
            (folder / name).unlink(missing_ok=True)


def _figures(path: Path | None) -> Any:
    """How forecasts of cities that were left out did.

    Raises:
        ConfigError: it is not a JSON file.
    """
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"figures: {path}: expected a JSON file ({in_brief(error)}).") from error
