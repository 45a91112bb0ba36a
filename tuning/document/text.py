"""From the text of a document to plain data, with the line of every field.

YAML is read as YAML 1.2 (core schema) from the parser's events, so that nothing but text, numbers, true, false, null,
lists and mappings can come of it, whatever the tags, and that aliases cannot blow up memory.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml
from pydantic import JsonValue

from tuning.document.base import FieldPath
from tuning.document.report import dotted
from tuning.errors import DocumentError, Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_VALUES = 200_000
MAX_EXPANDED = 2 * MAX_BYTES
MAX_INTEGER = 2**63 - 1

_YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_UNCLEAN = re.compile("[\0\ud800-\udfff]")
_JSON_BEGINS = re.compile(r'\s*(\[|\{\s*(["}]|\Z))')
"""What tells JSON from YAML: `{name: x}` is YAML, and a list is wrong either way."""
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


@dataclass
class Parsed:
    """Plain data, the 1-based line of each field, and what is wrong with the text itself."""

    data: JsonValue = None
    lines: dict[FieldPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: FieldPath) -> int | None:
        """The line of the field at `path`, or of the nearest one around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def problem(self, path: FieldPath, message: str, value: object = None) -> Problem:
        """A problem of the field at `path`, with its line."""
        return Problem(dotted(path), message, value, self.line(path))


def parse(text: str | bytes, source: str = "document") -> Parsed:
    """Read YAML or JSON, whichever the text is; `DocumentError` if there is nothing that could be looked at further."""
    decoded = _decode(text, source)
    try:
        parsed = _parse_json(decoded) if _JSON_BEGINS.match(decoded) else _parse_yaml(decoded)
    except RecursionError:
        _refuse(f"{source} is nested more than {MAX_DEPTH} levels deep")
    if parsed.data is None and not parsed.problems:
        _refuse(f"{source} is empty")
    parsed.data = _cleaned(parsed, parsed.data, ())
    return parsed


def _refuse(message: str, line: int | None = None) -> NoReturn:
    raise DocumentError([Problem("", message, None, line)])


def _decode(text: str | bytes, source: str) -> str:
    """The text, if it is text of bearable size; a byte order mark is dropped."""
    try:
        raw = text.encode() if isinstance(text, str) else text
        decoded = raw.decode("utf-8-sig")
    except UnicodeEncodeError as error:
        _refuse("the text has half of a surrogate pair", error.object.count("\n", 0, error.start) + 1)
    except UnicodeDecodeError as error:
        _refuse(f"{source} is not UTF-8 text", error.object.count(b"\n", 0, error.start) + 1)
    if len(raw) > MAX_BYTES:
        _refuse(f"{source} has {len(raw)} bytes; at most {MAX_BYTES} are read")
    if (nul := decoded.find("\0")) >= 0:
        _refuse("the text has a NUL character", decoded.count("\n", 0, nul) + 1)
    return decoded


def _parse_json(text: str) -> Parsed:
    try:
        parsed = Parsed(json.loads(text, parse_int=_json_integer))
    except json.JSONDecodeError as error:
        _refuse(f"this is no JSON: {error.msg} (column {error.colno})", error.lineno)
    twice: set[FieldPath] = set()
    for path, line in _json_lines(text):
        if path in parsed.lines:
            twice.add(path)
            if path[:-1] not in twice:
                parsed.problems.append(Problem(dotted(path), "the key is given twice", None, line))
        parsed.lines.setdefault(path, line)
        if len(parsed.lines) > MAX_VALUES:
            _refuse(f"at most {MAX_VALUES} values are read", line)
    return parsed


def _json_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 20 else math.inf


def _json_lines(text: str) -> Iterator[tuple[FieldPath, int]]:
    """Path and line of every field and item of valid JSON, in the order of the text."""
    path: list[str | int] = []
    line, position = 1, 0
    begins = False
    for token in _JSON_TOKEN.finditer(text):
        line += text.count("\n", position, token.start())
        position = token.start()
        if begins and token[0] not in "]}":
            path[-1] = path[-1] if isinstance(path[-1], int) else json.loads(token[0])
            yield tuple(path), line
        begins = token[0] in "[{,"
        if token[0] in "[{":
            path.append(0 if token[0] == "[" else "")
        elif token[0] in "]}":
            path.pop()
        elif token[0] == "," and isinstance(path[-1], int):
            path[-1] += 1
        if len(path) > MAX_DEPTH:
            raise RecursionError


def _parse_yaml(text: str) -> Parsed:
    try:
        return _YamlBuilder(yaml.parse(text, Loader=_YAML_LOADER)).build()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        message = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        hint = "; indent with blanks, not tabs" if "\t" in text else ""
        _refuse(f"this is no YAML: {message}{hint}", mark.line + 1 if mark else None)


@dataclass(frozen=True)
class _Anchored:
    value: JsonValue
    weight: int
    height: int


class _YamlBuilder:
    """Builds plain data from the events of one YAML document."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, _Anchored] = {}
        self._weight = 0
        self._parsed = Parsed()

    def build(self) -> Parsed:
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    _refuse("the file holds several YAML documents; one is read", _line(event))
                self._parsed.data, _ = self._node(next(self._events), ())
        return self._parsed

    def _node(self, event: Any, path: FieldPath) -> tuple[JsonValue, int]:
        """The value that begins at `event`, and how many levels of lists and mappings it has."""
        if len(path) > MAX_DEPTH:
            _refuse(f"nested more than {MAX_DEPTH} levels deep", _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        before = self._weight
        value, height = self._new(event, path)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, self._weight - before, height)
        return value, height

    def _new(self, event: Any, path: FieldPath) -> tuple[JsonValue, int]:
        self._weigh(MAX_EXPANDED // MAX_VALUES, event)
        if isinstance(event, yaml.ScalarEvent):
            self._weigh(len(event.value), event)
            return self._scalar(event, path), 0
        self._check_tag(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._mapping(path)

    def _weigh(self, weight: int, event: Any) -> None:
        self._weight += weight
        if self._weight > MAX_EXPANDED:
            _refuse("it holds too much, counting what its aliases repeat", _line(event))

    def _alias(self, event: Any, path: FieldPath) -> tuple[JsonValue, int]:
        line = _line(event)
        if event.anchor not in self._anchors:
            _refuse(f"the alias *{event.anchor} stands before the end of what it names, or names nothing", line)
        target = self._anchors[event.anchor]
        self._weigh(target.weight, event)
        if len(path) + target.height > MAX_DEPTH:
            _refuse(f"nested more than {MAX_DEPTH} levels deep", line)
        return target.value, target.height

    def _sequence(self, path: FieldPath) -> tuple[JsonValue, int]:
        items: list[JsonValue] = []
        tallest = 0
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            here = (*path, len(items))
            self._parsed.lines[here] = _line(event)
            value, height = self._node(event, here)
            items.append(value)
            tallest = max(tallest, height)
        return items, tallest + 1

    def _mapping(self, path: FieldPath) -> tuple[JsonValue, int]:
        fields: dict[str, JsonValue] = {}
        tallest = 0
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, path)
            here = (*path, key)
            if key in fields:
                self._complain(here, "the key is given twice", event)
            self._parsed.lines.setdefault(here, _line(event))
            value, height = self._node(next(self._events), here)
            fields.setdefault(key, value)
            tallest = max(tallest, height)
        return fields, tallest + 1

    def _key(self, event: Any, path: FieldPath) -> str:
        key, _ = self._node(event, (*path, ""))
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<":
            self._complain(
                (*path, "<<"), "merge keys (<<) are not part of YAML 1.2; repeat the fields or use an alias", event
            )
        if isinstance(key, str):
            return key
        shown = event.value if isinstance(event, yaml.ScalarEvent) else "a list or mapping"
        self._complain((*path, str(shown)), "a key has to be text; put it in quotes", event)
        return str(shown)

    def _scalar(self, event: Any, path: FieldPath) -> JsonValue:
        self._check_tag(event, path)
        return resolve(event.value) if event.implicit[0] else str(event.value)

    def _check_tag(self, event: Any, path: FieldPath) -> None:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            self._complain(path, f"the tag {event.tag} is not read; leave it out", event)

    def _complain(self, path: FieldPath, message: str, event: Any) -> None:
        self._parsed.problems.append(Problem(dotted(path), message, None, _line(event)))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def resolve(plain: str) -> JsonValue:
    """What an unquoted YAML scalar is (YAML 1.2.2, section 10.3.2: core schema); too large a number is infinite."""
    if _NULL.fullmatch(plain):
        return None
    if _TRUE.fullmatch(plain) or _FALSE.fullmatch(plain):
        return plain[0] in "tT"
    if _INTEGER.fullmatch(plain):
        return int(plain, 0 if plain[:2] in ("0o", "0x") else 10) if len(plain) <= 20 else math.inf
    if _FLOAT.fullmatch(plain):
        return float(plain)
    if _NOT_FINITE.fullmatch(plain):
        return math.nan if plain[-1] in "nN" else math.inf
    return plain


def _cleaned(parsed: Parsed, value: JsonValue, path: FieldPath) -> JsonValue:
    """`value` with null in place of what no field can hold, each with a problem: endless numbers, half characters."""
    if isinstance(value, dict):
        if not all(_is_clean(key) for key in value):
            parsed.problems.append(parsed.problem(path, "a key has a NUL character or half of a surrogate pair"))
        return {key: _cleaned(parsed, item, (*path, key)) for key, item in value.items() if _is_clean(key)}
    if isinstance(value, list):
        return [_cleaned(parsed, item, (*path, index)) for index, item in enumerate(value)]
    if (complaint := _complaint(value)) is None:
        return value
    parsed.problems.append(parsed.problem(path, complaint))
    return None


def _complaint(value: JsonValue) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "the number is infinite, too large, or not a number"
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return f"whole numbers reach from {-MAX_INTEGER} to {MAX_INTEGER}"
    if isinstance(value, str) and not _is_clean(value):
        return "the text has a NUL character or half of a surrogate pair"
    return None


def _is_clean(text: str) -> bool:
    return _UNCLEAN.search(text) is None
