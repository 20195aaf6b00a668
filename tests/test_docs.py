"""What README, pages and the contributing guide say, against the package: commands, keys, files and links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from stforecast.cli import cli
from stforecast.config import Config, Pretraining

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(text: str, *kinds: str) -> Iterator[str]:
    """The fenced blocks of these kinds."""
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if kind in kinds:
            yield block


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command that a page shows, in a block or within a sentence."""
    lines = [line for block in blocks(text, "", "bash") for line in block.splitlines()]
    for line in [*lines, *re.findall(r"`(stforecast [^`…]+)`", text)]:
        words = shlex.split(line, comments=True)
        if words and words[0] in ("stforecast", "make", "python"):
            yield words


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a key holds, None where it holds a value."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


SECTIONS = {name for name, field in Config.model_fields.items() if section_of(field.annotation)}


def unknown(names: list[str], model: type[BaseModel] = Config) -> str | None:
    """The first of nested names that is no key of a configuration; below a value there may be anything."""
    if not names:
        return None
    if names[0] not in model.model_fields:
        return names[0]
    section = section_of(model.model_fields[names[0]].annotation)
    return unknown(names[1:], section) if section else None


def leaves(values: Any, above: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """The nested names of each value."""
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from leaves(value, (*above, str(name)))
    else:
        yield list(above)


@page
def test_every_command_can_be_called_as_it_is_shown(path: Path) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for program, *words in commands(path.read_text(encoding="utf-8")):
        if program == "make":
            assert words[0] in targets, words
        elif program == "python":
            assert words[0] == "-m" or (ROOT / words[0]).is_file(), words
        elif words and not words[0].startswith("-"):
            assert words[0] in cli.commands, words
            if len(words) > 1:  # a verb named in a sentence has no arguments
                cli.commands[words[0]].make_context(words[0], [*words[1:]])


@page
def test_every_key_that_is_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    in_sentences = re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?<!\.json)(?<!\.html)(?<!\.png)(?:[:=][^`]*)?`", text)
    named = [key.split(".") for key in in_sentences if key.partition(".")[0] in SECTIONS]
    named += [word.partition("=")[0].split(".") for line in commands(text) for word in line[3:] if "=" in word]
    for block in blocks(text, "yaml"):
        named += leaves(yaml.safe_load(block))
    assert [".".join(key) for key in named if unknown(key) and unknown(key, Pretraining)] == []


@page
def test_every_file_of_the_project_that_is_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    folders = "configs|deploy|docs|scripts|stforecast|tests"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", text) + re.findall(rf"\b((?:{folders})/[\w/-]+\.\w+)", text)
    written = {"configs/my_city.yaml", "configs/other.yaml", "configs/NAME.yaml"}  # by the reader, or by `init`
    written |= {f"configs/{city}.yaml" for city in re.findall(r"^stforecast init (\w+) ", text, re.MULTILINE)}
    assert [name for name in written if (ROOT / name).exists()] == []  # `init` would refuse to replace it
    assert sorted({name for name in named if not (ROOT / name).exists()} - written) == []


@page
def test_every_link_leads_to_a_file(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
