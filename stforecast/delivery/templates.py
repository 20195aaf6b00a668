"""HTML from Jinja templates; whatever is filled in is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def render(template: Path, filters: Mapping[str, Callable[[Any], Any]] | None = None, **values: Any) -> str:
    """The text of a template with `values` filled in; `filters` are functions that it may apply to values."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(template.name).render(values)
