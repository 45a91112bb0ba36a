"""The table of all fields in the users' guide, made from the models: `python -m tuning.document.reference`."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from tuning.document.schema import json_schema

_WORDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false", "null": "null"}
_BOUNDS = {"minimum": ">= {}", "exclusiveMinimum": "> {}", "maximum": "<= {}", "exclusiveMaximum": "< {}"}
_FORMS = ("Choices", "IntRange", "FloatRange")


def tables() -> str:
    """Markdown: one table for the document, one for the forms of a parameter; every field once."""
    schema = json_schema()
    fields = [row for row in _rows(schema, schema, "") if row]
    forms = [row for name in _FORMS for row in _rows(schema, schema["$defs"][name], "")]
    head = "| Field | Allowed | Default | Meaning |\n|---|---|---|---|\n"
    parts = [head + "\n".join(dict.fromkeys(rows)) for rows in (fields, forms)]
    return f"{parts[0]}\n\nA parameter that is no plain list or value has these fields:\n\n{parts[1]}\n"


def _rows(schema: dict[str, Any], section: dict[str, Any], at: str) -> Iterator[str]:
    required = section.get("required", [])
    for name, field in section["properties"].items():
        inner = [each for each in _members(schema, field) if "properties" in each]
        if inner and "patternProperties" not in field:
            for each in inner:
                yield from _rows(schema, each, f"{at}{name}.")
            continue
        default = "needed" if name in required else _code(field["default"]) if "default" in field else ""
        meaning = field.get("description", "")
        yield f"| `{at}{name}` | {_allowed(schema, field)} | {default} | {meaning} |"


def _members(schema: dict[str, Any], field: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas that a field may have, references followed."""
    members = field.get("anyOf") or field.get("oneOf") or [field]
    return [schema["$defs"][each["$ref"].rsplit("/", 1)[1]] if "$ref" in each else each for each in members]


def _allowed(schema: dict[str, Any], field: dict[str, Any]) -> str:
    return " or ".join(
        dict.fromkeys(_one(schema, each) for each in _members(schema, field) if each.get("type") != "null")
    )


def _one(schema: dict[str, Any], part: dict[str, Any]) -> str:
    if "const" in part:
        return _code(part["const"])
    if "enum" in part:
        return ", ".join(_code(value) for value in part["enum"])
    if part.get("type") == "array":
        inner = _allowed(schema, part["items"]) if part.get("items") else "any values"
        return f"list: {inner}"
    if part.get("type") == "object":
        return "name: value"
    bounds = [text.format(f"{part[key]:,.10g}") for key, text in _BOUNDS.items() if key in part]
    return ", ".join([_WORDS.get(str(part.get("type")), "any value"), *bounds])


def _code(value: object) -> str:
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    sys.stdout.write(tables())
