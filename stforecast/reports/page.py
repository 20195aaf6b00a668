"""Pages for readers: sections of text, figures and tables as one HTML file that needs nothing from outside.

`write_page` makes the whole folder: the page with its figures inlined, each figure beside it as PNG and each table as
CSV. Pages need no script and ask for nothing: a content security policy forbids both.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from stforecast.delivery.figures import call_cells
from stforecast.delivery.map import GREY, INK, OUTLINE
from stforecast.delivery.riskgrid import NOTICE
from stforecast.delivery.templates import render
from stforecast.delivery.words import called
from stforecast.errors import ConfigError
from stforecast.files import atomic_folder
from stforecast.spreadsheets import to_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150
LIBRARIES = ("jinja2", "statsmodels")
"""What `pip install 'stforecast[report]'` brings."""


def p_value(p: float) -> str:
    """A p-value as precise as it is worth reading."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


@dataclass(frozen=True)
class Text:
    """A paragraph; `note` sets it smaller: how a figure was made, and what it does not say."""

    words: str
    note: bool = False
    kind = "text"


@dataclass(frozen=True)
class Picture:
    """A figure with what it shows in words, for those who cannot see it (`alt`), and a line below it."""

    name: str
    figure: Figure
    alt: str
    caption: str = ""
    kind = "picture"


@dataclass(frozen=True)
class Table:
    """Rows with their headings.

    shown: whether it stands on the page; else it is a CSV file only, and a figure on the page says the same.
    """

    name: str
    frame: pd.DataFrame
    caption: str = ""
    shown: bool = True
    kind = "table"

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """Headings, and whether numbers stand below them."""
        return [(str(name), pd.api.types.is_numeric_dtype(column)) for name, column in self.frame.items()]

    @property
    def rows(self) -> Iterator[list[str]]:
        """Cells as text; what is not defined is a dash."""
        for row in self.frame.itertuples(index=False):
            yield [self._cell(str(name), value) for name, value in zip(self.frame.columns, row, strict=True)]

    def _cell(self, name: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        if value is None or pd.isna(value):
            return "–"
        if name == "p":
            return p_value(value)
        if (form := _spelling(self.name, name)) is not None:
            return form.format(value)
        return f"{value:,}" if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else str(value)


Block = Text | Picture | Table


@cache
def wording() -> dict[str, Any]:
    """The words of pages, as `notes.yaml` has them."""
    return yaml.safe_load((Path(__file__).parent / "notes.yaml").read_text(encoding="utf-8"))


@cache
def _spelling(table: str, column: str) -> str | None:
    """How a table spells the numbers of a column; None where nothing is said of it."""
    tables = [columns for pattern, columns in wording()["numbers"].items() if fnmatchcase(table, pattern)]
    return next((form for columns in tables for pattern, form in columns.items() if fnmatchcase(column, pattern)), None)


def words(name: str) -> str:
    """A forecaster or category as a reader sees it."""
    return wording()["names"].get(name, name.replace("_", " "))


def listed(names: list[str]) -> str:
    """Names as an enumeration: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def standing(key: str, /, **values: Any) -> str:
    """A standing paragraph of `notes.yaml`, with its {names} filled in."""
    return wording()[key].format(**values)


def said(key: str, /, **values: Any) -> Text:
    """A standing paragraph as a block."""
    return Text(standing(key, **values))


def note(key: str, /, **values: Any) -> Text:
    """A standing paragraph as a note."""
    return Text(standing(key, **values), note=True)


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it. `key` names it in links."""

    key: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A page: its title, the facts of its head, its sections, and what its hexagons are called."""

    name: str
    title: str
    facts: Mapping[str, str]
    sections: Sequence[Section]
    cell: str = "hexagon"


def check_libraries() -> None:
    """The libraries of reports are there.

    Raises:
        ConfigError: one is not installed.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise ConfigError(f"{', '.join(missing)}: not installed. Run `pip install 'stforecast[report]'`.")


def write_page(page: Page, folder: Path) -> Path:
    """Write the page as `folder`, whole or not at all, in place of an older one; returns the HTML file."""
    with atomic_folder(folder) as temporary:
        images = {}
        for block in (block for section in page.sections for block in section.blocks):
            if isinstance(block, Picture):
                image = png(call_cells(block.figure, page.cell))
                (temporary / f"{block.name}.png").write_bytes(image)
                images[block.name] = base64.b64encode(image).decode("ascii")
            elif isinstance(block, Table):
                (temporary / f"{block.name}.csv").write_text(to_csv(block.frame), encoding="utf-8")
        values = {"page": page, "images": images, "notice": NOTICE, "ink": INK, "grey": GREY, "outline": OUTLINE}
        html = render(
            Path(__file__).parent / "page.html", {"spaced": lambda text: called(spaced(text), page.cell)}, **values
        )
        (temporary / f"{page.name}.html").write_text(html, encoding="utf-8")
    return folder / f"{page.name}.html"


def spaced(text: str) -> str:
    """Per cent signs as a reader expects them, apart from their number and never on another line; true minus signs."""
    return re.sub(r"(?<![\w–-])-(?=\d)", "−", re.sub(r"(?<=\d) ?%", "\u00a0%", text))


def png(figure: Figure) -> bytes:
    """A figure as PNG, reduced to 256 colours: half the size, and no one sees it."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, dpi=DPI, facecolor="white")
    Image.open(drawn).convert("RGB").quantize(256).save(small, format="PNG", optimize=True)
    return small.getvalue()
