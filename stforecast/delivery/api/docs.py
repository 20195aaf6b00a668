"""The page at /docs: the OpenAPI document as plain HTML, without script and without anything from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stforecast.delivery.riskgrid import NOTICE
from stforecast.delivery.templates import render

FOLDER = Path(__file__).parent


def docs_pages(document: dict[str, Any]) -> dict[str, bytes]:
    """The page of an OpenAPI document and its style, by name: every question with its parameters, body and answer."""
    questions = [
        _question(path, method, operation, document)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    page = render(FOLDER / "docs.html", info=document["info"], notice=NOTICE, questions=questions)
    return {"docs": page.encode(), "docs.css": (FOLDER / "docs.css").read_bytes()}


def _question(path: str, method: str, operation: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (one["name"], one["in"], one["schema"], one.get("required", False)) for one in operation.get("parameters", ())
    ]
    if "requestBody" in operation:
        schema = _resolved(operation["requestBody"]["content"]["application/json"]["schema"], document)
        needed = schema.get("required", ())
        rows += [(name, "body", one, name in needed) for name, one in schema["properties"].items()]
    answer = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    fields = _resolved(answer, document).get("properties", {})
    asked = [(name, where, _kind(one), "required" if needed else "", _about(one)) for name, where, one, needed in rows]
    answered = [(name, _kind(one), _about(one)) for name, one in fields.items()]
    return {
        "path": path,
        "method": method.upper(),
        "lines": operation.get("description", "").split("\n\n"),
        "tables": [(("parameter", "in", "type", "", ""), asked), (("answer", "type", ""), answered)],
    }


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


def _about(schema: dict[str, Any]) -> str:
    limits = {"minimum": "from", "maximum": "to", "default": "default"}
    found = [f"{word} {schema[key]}" for key, word in limits.items() if schema.get(key) is not None]
    return ", ".join(filter(None, [schema.get("description", ""), *found]))
