"""A briefing as one page: a PDF with text that can be selected, and HTML that prints as one.

The PDF is drawn by matplotlib with fonts inside, and the same briefing gives the same bytes. Blocks are measured before
anything is drawn: the map takes the height that they leave, and words that are too long end in …
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stforecast.delivery.brief import Brief, Table
from stforecast.delivery.brief_map import FONT, GROUND, MM, draw_brief_map, legend_of, shape_of, width_of
from stforecast.delivery.layers import MapLayer
from stforecast.delivery.map import GREY, INK, OUTLINE
from stforecast.delivery.templates import render
from stforecast.errors import ConfigError
from stforecast.files import write_bytes, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT, EDGE, GAP = 210.0, 297.0, 11.0, 5.0
"""Of A4, of its margins and between columns, millimetres."""
ASIDE = 68.0
"""Width of the column beside the map."""
LEADING = 1.4
"""From one line to the next, in heights of letters."""
BIG, USUAL, SMALL = (13.0, 12.0, 11.0, 10.0), 8.2, 6.8
"""Sizes of letters, points; of the places the first that leaves the map its room."""
PAD = 0.3
"""Between columns of a table, millimetres for each point of its letters."""
NARROWEST = 14.0
"""To which columns of words shrink, millimetres."""
MOST_LINES = 5
"""Of a note or a caveat."""
DPI = 220
"""Of the map in the HTML."""
KEPT = 5_000
"""Words whose widths are remembered."""


def write_brief(brief: Brief, layers: Sequence[MapLayer], path: Path) -> None:
    """Write a briefing as PDF to `path`, and as HTML beside it.

    Args:
        brief: what it says.
        layers: around its cells.
        path: that ends in .pdf.

    Raises:
        ConfigError: what makes HTML is not installed.
    """
    if find_spec("jinja2") is None:
        raise ConfigError("jinja2: not installed. Run `pip install 'stforecast[report]'`.")
    write_bytes(path, pdf_of(brief, layers))
    write_text(path.with_suffix(".html"), html_of(brief, layers))


def pdf_of(brief: Brief, layers: Sequence[MapLayer]) -> bytes:
    """The page as PDF."""
    import matplotlib as mpl

    figure, written = page_of(brief, layers), io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": 42, "pdf.use14corefonts": False, "path.simplify": True}):
        facts = {"Title": f"{brief.title}: reported offences expected", "Creator": "stforecast", "CreationDate": None}
        figure.savefig(written, format="pdf", metadata=facts)
    return written.getvalue()


def html_of(brief: Brief, layers: Sequence[MapLayer]) -> str:
    """The page as HTML, which holds its map."""
    from matplotlib.colors import to_hex
    from matplotlib.figure import Figure

    figure, drawn = Figure((4.9, 4.9), dpi=DPI), io.BytesIO()
    draw_brief_map(figure, (0, 0, 1, 1), brief, layers)
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    legend = [(to_hex(patch.get_facecolor()), patch.get_label()) for patch in legend_of(brief)]
    colours: dict[str, Any] = {"ink": INK, "grey": GREY, "outline": OUTLINE, "ground": GROUND}
    picture = base64.b64encode(drawn.getvalue()).decode("ascii")
    return render(Path(__file__).parent / "brief.html", brief=brief, map=picture, legend=legend, **colours)


def page_of(brief: Brief, layers: Sequence[MapLayer]) -> Figure:
    """The page, drawn."""
    sheet, whole = Sheet(), WIDTH - 2 * EDGE
    top = sheet.head(brief) + GAP / 2
    foot = HEIGHT - EDGE - sum(sheet.height_of(text, whole, SMALL) + 0.8 for text in brief.caveats)
    tables = [table for table in (brief.districts, brief.compared, brief.score) if table is not None]
    wide = [table for table in (brief.unusual,) if table is not None]
    wanted = shape_of(brief) * (whole - ASIDE - GAP)
    # letters as large as they may be, and as much beside the map as has room there
    for size, aside in product(BIG, range(len(tables), -1, -1)):
        below, large = columns([*wide, *tables[aside:]], whole), size > BIG[-1]
        height = foot - 1 - top - max(sheet.heights(some, width) for some, width in below)
        height -= sheet.heights([brief.places], whole, size)
        held = sheet.heights([brief.totals, *tables[:aside]], ASIDE) + sheet.legend_height(brief)
        if height >= held and not (large and (height < wanted or wider(brief.places, whole, size))):
            break
    draw_brief_map(sheet.figure, sheet.place(EDGE, top, whole - ASIDE - GAP, height), brief, layers)
    x, y = WIDTH - EDGE - ASIDE, top - 2
    y = sheet.legend(brief, x, sheet.table(brief.totals, x, y, ASIDE))
    for table in tables[:aside]:
        y = sheet.table(table, x, y, ASIDE)
    y, x = sheet.table(brief.places, EDGE, top + height, whole, size), EDGE
    for some, width in below:
        at = y
        for table in some:
            at = sheet.table(table, x, at, width)
        x += width + GAP
    for text in brief.caveats:
        foot = sheet.paragraph(text, EDGE, foot, whole, SMALL, GREY) + 0.8
    return sheet.figure


class Sheet:
    """A page on which x and y are millimetres from its upper left corner; what is drawn says where it ends."""

    def __init__(self) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure((WIDTH / 25.4, HEIGHT / 25.4), facecolor="white")

    def place(self, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        """A box as shares of the figure."""
        return x / WIDTH, 1 - (y + height) / HEIGHT, width / WIDTH, height / HEIGHT

    def write(self, words: str, x: float, y: float, size: float, **style: Any) -> None:
        """Words on a line at y."""
        style = {"color": INK, "ha": "left", "va": "baseline"} | style
        self.figure.text(x / WIDTH, 1 - y / HEIGHT, words, size=size, family=FONT, parse_math=False, **style)

    def rule(self, x: float, y: float, width: float, colour: str, pen: float) -> None:
        """A line across."""
        from matplotlib.lines import Line2D

        ends = [x / WIDTH, (x + width) / WIDTH], [1 - y / HEIGHT] * 2
        self.figure.add_artist(Line2D(*ends, color=colour, linewidth=pen))

    def head(self, brief: Brief) -> float:
        """Title, hours, issue."""
        whole, y = WIDTH - 2 * EDGE, EDGE + 5.5
        title = f"{brief.title}: reported offences expected"
        size = max(11.0, 18 * min(1.0, whole / measured(title, 18, "bold")))
        self.write(short(title, whole, size, "bold"), EDGE, y, size, weight="bold")
        y += 6.8
        self.write(short(brief.when, whole, 12.5, "bold"), EDGE, y, 12.5, weight="bold", color=OUTLINE)
        y += 5
        self.write(short(brief.about, whole, USUAL), EDGE, y, USUAL, color=GREY)
        if brief.warning:
            y += 6
            box = {"facecolor": "#fff1c9", "edgecolor": OUTLINE, "linewidth": 0.8, "pad": 3.5}
            self.write(
                short(brief.warning, whole - 3, BIG[-1], "bold"), EDGE + 1.5, y, BIG[-1], weight="bold", bbox=box
            )
            y += 1.5
        return y

    def legend(self, brief: Brief, x: float, y: float) -> float:
        """What the colours of the map mean."""
        from matplotlib.patches import Rectangle

        y += line(USUAL + 1)
        self.write(f"Expected in each {brief.grid.geometry.word}", x, y, USUAL + 1, weight="bold")
        for patch in legend_of(brief):
            y += line(USUAL)
            box = self.place(x, y - 2.6, 5, 3)
            colour = patch.get_facecolor()
            self.figure.add_artist(Rectangle(box[:2], *box[2:], facecolor=colour, edgecolor="#9a9fa5", linewidth=0.4))
            self.write(str(patch.get_label()), x + 7, y, USUAL)
        return y + 1.5

    def legend_height(self, brief: Brief) -> float:
        return line(USUAL + 1) + len(legend_of(brief)) * line(USUAL) + 1.5

    def table(self, table: Table, x: float, y: float, width: float, size: float = USUAL) -> float:
        """A table with its title and note."""
        y += line(size + 1)
        self.write(short(table.title, width, size + 1, "bold"), x, y, size + 1, weight="bold")
        widths = columns_of(table, width, size) if table.rows else []
        for cells in table.lines:
            y += line(size)
            head = cells is table.columns
            style = {"color": GREY if head else INK}
            at = x
            for index, (cell, room) in enumerate(zip(cells, widths, strict=True)):
                text = short(cell, room, size)
                if index < table.texts:
                    self.write(text, at, y, size, **style)
                else:
                    self.write(text, at + room, y, size, ha="right", **style)
                at += room + PAD * size
            self.rule(x, y + 0.32 * line(size), width, INK if head else "#c4c8cd", 0.8 if head else 0.5)
        y += 1.2
        return self.paragraph(table.note, x, y, width, SMALL, GREY) + 1 if table.note else y + 0.5

    def heights(self, tables: Sequence[Table], width: float, size: float = USUAL) -> float:
        """How much of the page tables take, one below the other."""
        notes = [self.height_of(table.note, width, SMALL) + 1 if table.note else 0.5 for table in tables]
        return sum(line(size + 1) + len(table.lines) * line(size) + 1.2 for table in tables) + sum(notes)

    def paragraph(self, words: str, x: float, y: float, width: float, size: float, colour: str = INK) -> float:
        """Words in lines."""
        for text in wrapped(words, width, size):
            y += line(size)
            self.write(text, x, y, size, color=colour)
        return y

    def height_of(self, words: str, width: float, size: float) -> float:
        """How much of the page a paragraph takes."""
        return line(size) * len(wrapped(words, width, size))


def line(size: float) -> float:
    """From one line to the next, millimetres."""
    return LEADING * size / MM


def columns(tables: Sequence[Table], width: float) -> list[tuple[Sequence[Table], float]]:
    """Tables in one column, or in two, and how wide these are."""
    if len(tables) < 2:
        return [(tables, width)]
    first = -(-len(tables) // 2)
    return [(some, (width - GAP) / 2) for some in (tables[:first], tables[first:])]


def natural(table: Table, size: float) -> list[float]:
    """How wide each column of a table is, as its longest cell."""
    return [max(measured(row[at], size, "normal") for row in table.lines) for at in range(len(table.columns))]


def wider(table: Table, width: float, size: float) -> bool:
    """Whether something in a table must be cut."""
    return sum(natural(table, size)) > width - PAD * size * (len(table.columns) - 1)


def columns_of(table: Table, width: float, size: float) -> list[float]:
    """How wide each column becomes: of words what there is room for, and one of these takes what is left."""
    wide = natural(table, size)
    room, words = width - PAD * size * (len(wide) - 1), wide[: table.texts]
    widest = max(range(table.texts), key=lambda at: words[at])
    for at in sorted(range(table.texts), key=lambda at: -words[at]):
        over = sum(wide) - room
        if over <= 0:
            break
        wide[at] = max(min(NARROWEST, wide[at]), wide[at] - over)
    wide[widest] += max(0.0, room - sum(wide))
    return wide


@lru_cache(KEPT)
def measured(words: str, size: float, weight: str) -> float:
    """How wide words are, millimetres."""
    return width_of(words, size, weight) if words else 0.0


def short(words: str, width: float, size: float, weight: str = "normal") -> str:
    """Words as far as they fit, with … where some are cut."""
    if measured(words, size, weight) <= width + 0.01:
        return words
    while words and measured(f"{words}…", size, weight) > width:
        words = words[:-1].rstrip()
    return f"{words}…"


@lru_cache(KEPT)
def wrapped(words: str, width: float, size: float) -> list[str]:
    """Lines of words that fit a width, at most MOST_LINES."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if measured(longer, size, "normal") <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], f"{lines[MOST_LINES - 1]}…"]
    return [short(text, width, size) for text in lines]
