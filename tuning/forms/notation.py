"""How the values of a document are written in the fields of a form, and read from them again.

A list is written `32, 64, 128`, a mapping `p99: 500, mean: 50`, with text in quotes where it could be taken for
something else: the flow notation of YAML without its outer brackets.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from tuning.document.text import parse, resolve
from tuning.errors import DocumentError

_PLAIN = re.compile(r"[A-Za-z0-9_./(][A-Za-z0-9_./()+-]*")


@dataclass(frozen=True)
class Notation:
    """`show` writes a value, "" where there is none; `read` raises ValueError, in words, for what cannot be read."""

    show: Callable[[JsonValue], str]
    read: Callable[[str], JsonValue]


def flow(value: JsonValue) -> str:
    """Any value on one line."""
    if isinstance(value, dict):
        return f"{{{show_mapping(value)}}}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return _word(value) if isinstance(value, str) else json.dumps(value)


def show_list(value: JsonValue) -> str:
    """`1, 8, 32`; a value that is no list stands for itself."""
    if value is None:
        return ""
    return ", ".join(map(flow, value)) if isinstance(value, list) else flow(value)


def read_list(text: str) -> list[JsonValue]:
    """The values of `1, 8, 32`."""
    items = _inside("[", text, "]")
    return items if isinstance(items, list) else [items]


def show_mapping(value: JsonValue) -> str:
    """`p99: 500, mean: 50`; braces where it is empty or no mapping."""
    if value is None:
        return ""
    if not isinstance(value, dict) or not value:
        return "{}" if value == {} else flow(value)
    return ", ".join(f"{_word(key)}: {flow(item)}" for key, item in value.items())


def read_mapping(text: str) -> JsonValue:
    """The mapping that `p99: 500, mean: 50` is."""
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    return _inside("{", inner, "}")


def _word(text: str) -> str:
    """Text as one word, in quotes where it needs them; what a reader of YAML may take for a line break is escaped."""
    if _PLAIN.fullmatch(text) and isinstance(resolve(text), str):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def _inside(opening: str, text: str, closing: str) -> JsonValue:
    try:
        parsed = parse(f"it: {opening}{text}{closing}")
    except DocumentError as error:
        raise ValueError(error.problems[0].message) from error
    if parsed.problems:
        raise ValueError(parsed.problems[0].message)
    if not isinstance(parsed.data, dict) or parsed.data.keys() != {"it"}:
        raise ValueError("this cannot be read; is there a bracket too many?")
    return parsed.data["it"]


def _show_text(value: JsonValue) -> str:
    return "" if value is None else value if isinstance(value, str) else flow(value)


def _show_lines(value: JsonValue) -> str:
    items = value if isinstance(value, list) else [value]
    return "" if value is None else "\n".join(map(_show_text, items))


def _read_lines(text: str) -> list[JsonValue]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _show_variables(value: JsonValue) -> str:
    if not isinstance(value, dict):
        return _show_text(value)
    return "\n".join(f"{name}={_variable(item)}" for name, item in value.items())


def _variable(value: JsonValue) -> str:
    if not isinstance(value, str):
        return flow(value)
    simple = value.isprintable() and value == value.strip() and not value.startswith('"')
    return value if simple else json.dumps(value)


def _read_variables(text: str) -> JsonValue:
    found: dict[str, JsonValue] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = line.partition("=")
        if not sign:
            raise ValueError(f"a line has to be NAME=value, not {line[:80]!r}")
        try:
            found[name.strip()] = str(json.loads(value)) if value.startswith('"') else value
        except json.JSONDecodeError as error:
            raise ValueError(f"the quotes of {name} do not end") from error
    return found


def _show_switch(value: JsonValue) -> str:
    return "on" if value is True else ""


TEXT = Notation(_show_text, str.strip)
PROSE = Notation(_show_text, lambda text: "\n".join(_broken(text)))
SCALAR = Notation(_show_text, lambda text: resolve(text.strip()))
LIST = Notation(show_list, read_list)
MAPPING = Notation(show_mapping, read_mapping)
LINES = Notation(_show_lines, _read_lines)
VARIABLES = Notation(_show_variables, _read_variables)
SWITCH = Notation(_show_switch, lambda text: text != "")


def same(one: str, other: str) -> bool:
    """Whether a browser, which has its own line breaks and none in a single line, could have made one of the other."""
    return _broken(one) == _broken(other) or "".join(_broken(one)) == "".join(_broken(other))


def _broken(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
