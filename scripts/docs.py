"""What the pages get at build time: the reference of keys, commands and publishers, from the package itself.

A hook of mkdocs (`make docs`). A page holds a line such as `<!-- keys -->` where the reference goes. A page
that would load anything from elsewhere stops the build: the site is read without a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import click
import yaml
from mkdocs.exceptions import PluginError
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from stforecast.cli import cli
from stforecast.config import Config
from stforecast.config.presets import PRESETS
from stforecast.publishers import publisher

LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^\s\"'>]+", re.IGNORECASE)
"""An element of a page that loads something from elsewhere."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its references written in."""
    for name, text in REFERENCES.items():
        if (line := f"<!-- {name} -->") in markdown:
            markdown = markdown.replace(line, "\n".join(text()))
    return markdown


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """The page as it is.

    Raises:
        PluginError: it loads something from elsewhere.
    """
    if found := LOADED.search(output):
        raise PluginError(
            f"{page.file.src_uri}: loads from elsewhere: {found.group()}. Pages are read without a network."
        )
    return output


def keys() -> Iterator[str]:
    """Every key of a configuration as Markdown, a table for each section."""
    places: dict[type[BaseModel], list[str]] = {}
    for place, section in sections("", Config):
        places.setdefault(section, []).append(place)
    for section, names in places.items():
        if section is not Config:
            yield from [
                "",
                f"## {', '.join(f'`{name}`' for name in names)}",
                "",
                " ".join((section.__doc__ or "").split()),
                "",
            ]
        yield from ["| key | default | meaning |", "|---|---|---|"]
        prefix = f"{names[0]}." if len(names) == 1 and names[0] else ""
        for name, field in section.model_fields.items():
            if not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
                yield f"| `{prefix}{name}` | {default_of(field.default)} | {cell(field.description or '')} |"


def sections(place: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A model, the models that its fields may hold, and where they stand."""
    yield place, model
    for name, field in model.model_fields.items():
        for part in models_of(field.annotation):
            inside = {dict: ".<name>", list: "[]"}.get(get_origin(field.annotation), "")
            yield from sections(f"{place}.{name}{inside}".lstrip("."), part)


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field of this type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_of(part)]


def default_of(value: Any) -> str:
    """A default as YAML."""
    if value is PydanticUndefined or value is None:
        return "required" if value is PydanticUndefined else "none"
    plain = value if isinstance(value, bool | int | float | str | list | dict) else str(value)
    return f"`{yaml.safe_dump(plain, default_flow_style=True, width=1000).partition(chr(10))[0]}`"


def cell(text: str) -> str:
    """A text that may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def publishers() -> Iterator[str]:
    """What is known of the publishers whose formats are built in, as a table."""
    yield from ["| preset | city | licence | how exact times are | what the format rests on |", "|---|---|---|---|---|"]
    for name in PRESETS:
        if (known := publisher(name)).has_format:
            exact = cell(known.precision or "")
            yield f"| `{name}` | {known.title} | {cell(known.licence)} | {exact} | {known.verified} |"


def catalogue() -> Iterator[str]:
    """Where the tables of each publisher are, as a table."""
    yield from [
        "| `stforecast init` … | city | tables | covered | format | fetched live | licence |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in PRESETS:
        known = publisher(name)
        pages = " ".join(f"[{number}]({page})" for number, page in enumerate(known.addresses, 1))
        facts = [f"`{name}`", f"{known.title} {pages}", known.kinds, known.covers or "", known.verified]
        yield f"| {' | '.join([*facts, known.tried_live, cell(known.licence)])} |"


def commands() -> Iterator[str]:
    """What each command says of itself, as Markdown."""
    context = click.Context(cli, info_name="stforecast", max_content_width=100)
    yield from fenced("stforecast", cli.get_help(context))
    for name, command in cli.commands.items():
        own = click.Context(command, info_name=name, parent=context, max_content_width=100)
        yield from fenced(f"stforecast {name}", command.get_help(own))


def fenced(title: str, text: str) -> Iterator[str]:
    yield from ["", f"## {title}", "", "```text", text, "```"]


REFERENCES = {"keys": keys, "commands": commands, "publishers": publishers, "catalogue": catalogue}
"""What is written in the place of a line such as `<!-- keys -->`."""
