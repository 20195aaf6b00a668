"""The page at /docs: the OpenAPI document as plain HTML, without script and without anything from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stforecast.delivery.riskgrid import NOTICE
from stforecast.delivery.templates import render

FOLDER = Path(__file__).parent


def docs_pages(document: dict[str, Any]) -> dict[str, bytes]:
    """The page of an OpenAPI document and its style, by name: every question with its parameters, body and answer."""

    def resolved(schema: dict[str, Any]) -> dict[str, Any]:
        name = schema.get("$ref", "").rpartition("/")[2]
        return document["components"]["schemas"][name] if name else schema

    filters = {"resolved": resolved, "kind": _kind, "about": _about}
    page = render(FOLDER / "docs.html", filters, document=document, notice=NOTICE)
    return {"docs": page.encode(), "docs.css": (FOLDER / "docs.css").read_bytes()}


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return str(schema.get("format") or schema.get("type") or schema.get("$ref", "").rpartition("/")[2] or "any")


def _about(schema: dict[str, Any]) -> str:
    limits = {"minimum": "from", "maximum": "to", "default": "default"}
    found = [f"{word} {schema[key]}" for key, word in limits.items() if schema.get(key) is not None]
    return ", ".join(filter(None, [schema.get("description", ""), *found]))
