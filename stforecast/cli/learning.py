"""Verbs that learn: from the record of a city, and once from many cities."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stforecast.cli.commands import cli, say, verb
from stforecast.imports import importing

if TYPE_CHECKING:
    from stforecast.pipeline.stages import Stages


@verb
@click.option("--resume/--fresh", default=True, show_default=True, help="Go on with an unfinished run, or start anew.")
@click.option(
    "--from", "start", type=click.Path(file_okay=False), help="Run or folder of weights to go on from: training.start."
)
def train(stages: Stages, resume: bool) -> str:
    """Fit the network and the forecasters it is compared with; calibrate each on the validation slice."""
    if stages.config.training.nodes > 1 and not resume:
        raise click.UsageError("--fresh: not on several machines (training.nodes). Remove the folder of the run.")
    if stages.config.training.nodes > 1 and os.environ.get("NODE_RANK", "0") != "0":
        stages.join()
        return "evaluate"
    stages.train(resume)
    return "evaluate"


@cli.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--without", multiple=True, metavar="NAME", help="Leave out a city; may be given several times.")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("weights"), show_default=True,
    help="Folder to write.",
)  # fmt: skip
def pretrain(recipe: str, overrides: tuple[str, ...], without: tuple[str, ...], output: Path) -> None:
    """Learn weights once from many cities, for `training.start` of others.

    RECIPE is a YAML file, such as configs/pretrain.yaml, that names configurations of built cities. A killed one goes
    on where it was when the same command is run again.
    """
    from stforecast.config import load_pretraining

    loaded = load_pretraining(recipe, overrides)
    with importing():
        from stforecast.pipeline.pretraining import pretrain as learn
    folder = learn(loaded, output, say, without)
    click.echo(f"next: stforecast run CITY training.start={folder}")
