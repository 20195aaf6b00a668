"""What is installed, which device would be used, and what a run will cost in memory before it is spent."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil

import numpy as np
from pydantic import BaseModel

from stforecast.config import Config, Pretraining, fields
from stforecast.config.sections import KINDS
from stforecast.cube import Cube
from stforecast.cube.store import open_cube
from stforecast.errors import DataError, StforecastError
from stforecast.events.ingest import source_files
from stforecast.pipeline.stages import Stages

MB = 1 << 20


def machine() -> list[str]:
    """Versions, device, cores, memory and disk."""
    import torch

    required = [line for line in importlib.metadata.requires("stforecast") or [] if "extra ==" not in line]
    installed = {one.name.lower().replace("_", "-"): one.version for one in importlib.metadata.distributions()}
    names = (re.split("[^\\w-]", line)[0] for line in required)
    versions = ", ".join(f"{name} {installed.get(name, 'missing')}" for name in names)
    lines = [
        f"python     {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"packages   {versions}",
    ]
    if torch.cuda.is_available():
        facts = torch.cuda.get_device_properties(0)
        lines.append(f"device     GPU {facts.name}, {facts.total_memory / MB / 1024:.0f} GB, bfloat16 mixed precision")
    else:
        lines.append(f"device     CPU, {torch.get_num_threads()} threads, float32 (PyTorch sees no GPU)")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MB / 1024
    disk = shutil.disk_usage(".").free / MB / 1024
    return [*lines, f"memory     {memory:.0f} GB, {os.cpu_count()} cores", f"disk       {disk:.0f} GB free here"]


def city(stages: Stages) -> list[str]:
    """Where a city stands, and what its run will cost."""
    place, lines = stages.place, [f"bronze     {_source(stages)}"]
    folders = {"silver": place.silver, "seen": place.seen, "gold": place.gold, "runs": place.runs}
    lines += [f"{name:10s} {path}{'' if any(path.glob('*')) else ' (empty)'}" for name, path in folders.items()]
    try:
        cube = open_cube(place.gold)
    except StforecastError as error:
        return [*lines, f"cube       {error}", "cost       known after `stforecast build`: it depends on the cube"]
    lines.append(
        f"cube       {cube.extent} from {cube.start:%Y-%m-%d}, {int(cube.weight.sum()):,} events, {place.gold}"
    )
    lines.append(f"kinds      {kinds(cube)}")
    try:
        lines.append(f"latest     {place.latest()}")
    except StforecastError as error:
        lines.append(f"latest     {error}")
    from stforecast.forecasters.gcrn.cost import cost

    try:
        sizes = cost(cube, stages.split(cube), stages.config)
    except StforecastError as error:
        return [*lines, f"cost       {error}"]
    return lines + [f"cost       {what}: {size / MB:,.0f} MB" for what, size in sizes.items()]


def kinds(cube: Cube) -> str:
    """The harmonised kinds of each category, in words."""
    shares = np.zeros((cube.c, len(KINDS))) if cube.kinds is None else cube.kinds
    words = [", ".join(kind.replace("_", " ") for kind, one in zip(KINDS, row, strict=True) if one) for row in shares]
    return "; ".join(f"{name}: {one or 'unknown'}" for name, one in zip(cube.categories, words, strict=True))


def keys() -> list[str]:
    """Every configuration key with its default and description, of a city and then of `stforecast pretrain`."""
    return [*_keys(Config), "", "of stforecast pretrain:", "", *_keys(Pretraining)]


def _keys(model: type[BaseModel]) -> list[str]:
    return [f"{key} = {default}\n    {meaning}" for key, default, meaning in fields(model)]


def _source(stages: Stages) -> str:
    """Where the publisher's files are looked for, and how many there are."""
    path, bronze = stages.config.source.path, stages.place.bronze
    where = ", ".join(map(stages.config.input, [path] if isinstance(path, str) else path or [])) or str(bronze)
    try:
        count = len(source_files(stages.config, bronze))
    except DataError:
        return f"{where} (empty)"
    return f"{where} ({count:,} file{'s' if count > 1 else ''})"
