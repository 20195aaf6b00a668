"""What holds for every page of a report or an analysis."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
from axe import findings_in

from stforecast.delivery.riskgrid import NOTICE


class Reader(HTMLParser):
    """Tags with their attributes, ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def check_page(path: Path) -> Reader:
    """What holds for every page: nothing from outside, no script, no barrier, alt texts, contents, notice, files."""
    text = path.read_text(encoding="utf-8")
    read = Reader(text)
    assert not re.search(r"https?://", text)
    assert not read.all("script")
    assert not read.all("link")
    assert findings_in(path) == []
    images = read.all("img")
    assert images
    for image in images:
        assert len(image["alt"] or "") > 30, image["alt"]
        assert (image["src"] or "").startswith("data:image/png;base64,")
    ids = {attributes["id"] for _, attributes in read.tags if "id" in attributes}
    links = [attributes["href"] for attributes in read.all("a")]
    assert links
    assert {str(link).removeprefix("#") for link in links} == ids
    assert text.count(NOTICE) >= 2
    assert "dispatch" not in text.lower()
    assert len(list(path.parent.glob("*.png"))) == len(images)
    for table in path.parent.glob("*.csv"):
        assert len(pd.read_csv(table))
    return read
