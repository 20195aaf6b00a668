"""The page at /docs: the OpenAPI document as plain HTML, without script and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from stforecast.delivery.riskgrid import NOTICE

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code { background: #f1f3f4; padding: .1rem .3rem } h2 { border-top: 1px solid #dadce0; padding-top: 1rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: .2rem .6rem }
tr:nth-child(even) { background: #f8f9fa } .notice { border-left: 4px solid #d55e00; padding-left: .8rem }
"""


def docs_page(document: dict[str, Any]) -> str:
    """Every question of an OpenAPI document: parameters, body and answer."""
    parts = [
        _part(path, method, operation, document)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="docs.css"></head><body>'
        f'<h1>{title}</h1><p class="notice">{escape(NOTICE)}</p><p>{escape(document["info"]["description"])} '
        f'The same for programs: <a href="openapi.json">openapi.json</a>.</p>{"".join(parts)}</body></html>'
    )


def _part(path: str, method: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    rows = [
        (one["name"], one["in"], one["schema"], one.get("required", False)) for one in operation.get("parameters", ())
    ]
    if "requestBody" in operation:
        schema = _resolved(operation["requestBody"]["content"]["application/json"]["schema"], document)
        needed = schema.get("required", ())
        rows += [(name, "body", one, name in needed) for name, one in schema["properties"].items()]
    text = "".join(f"<p>{escape(line)}</p>" for line in operation.get("description", "").split("\n\n"))
    answer = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    fields = _resolved(answer, document).get("properties", {})
    asked = [(name, where, _kind(one), "required" if needed else "", _said(one)) for name, where, one, needed in rows]
    given = [(name, _kind(one), _said(one)) for name, one in fields.items()]
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>{text}"
        + _table(("parameter", "in", "type", "", ""), asked)
        + _table(("answer", "type", ""), given)
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + f"</tr>{lines}</table>"


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return str(schema.get("format") or schema.get("type") or schema.get("$ref", "").rpartition("/")[2] or "any")


def _said(schema: dict[str, Any]) -> str:
    limits = {"minimum": "from", "maximum": "to", "default": "default"}
    found = [f"{word} {schema[key]}" for key, word in limits.items() if schema.get(key) is not None]
    return ", ".join(filter(None, [schema.get("description", ""), *found]))
