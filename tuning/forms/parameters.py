"""The rows of the search space: one for each parameter that varies or is fixed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pydantic import JsonValue

from tuning.document.text import resolve
from tuning.document.validation import value_at
from tuning.forms.notation import flow, read_list, read_mapping, show_list, show_mapping

MAX_ROWS = 100
"""A document with more is edited as YAML: a form of that size is none for people, and Django refuses it."""

KINDS = {"values": "values", "integer": "integer range", "float": "number range", "fixed": "fixed"}
_RANGE = ("min", "max", "step")
_INDEX = re.compile(r"rows-([0-9]{1,4})-name")
_SHOWN = ("values", "type", "min", "max", "step", "log", "when")


@dataclass(frozen=True)
class Row:
    """A parameter as it is written in the form, all as text; `log` is "on" or ""."""

    name: str = ""
    kind: str = "values"
    values: str = ""
    min: str = ""
    max: str = ""
    step: str = ""
    log: str = ""
    when: str = ""

    @property
    def group(self) -> str:
        """Where it stands in the search space of the document."""
        return "fixed" if self.kind == "fixed" else "parameters"

    @property
    def is_empty(self) -> bool:
        """Whether nothing was typed in it."""
        return self == Row(kind=self.kind)


@dataclass
class Rows:
    """The rows of a form by their numbers there, which need not follow each other."""

    rows: dict[int, Row] = field(default_factory=dict)

    def without(self, number: int) -> "Rows":
        """The same with one row less."""
        return Rows({at: row for at, row in self.rows.items() if at != number})

    def with_empty(self) -> "Rows":
        """The same with an empty row at the end."""
        return Rows({**self.rows, max(self.rows, default=-1) + 1: Row()})

    def number_of(self, group: str, path: str) -> int | None:
        """The row that the path below its group, such as `max-num-seqs[2]`, is in; names may hold dots."""
        found = [(at, row.name) for at, row in self.rows.items() if row.group == group and _begins(path, row.name)]
        return max(found, key=lambda one: len(one[1]))[0] if found else None


def _begins(path: str, name: str) -> bool:
    return bool(name) and path.startswith(name) and path[len(name) :][:1] in ("", ".", "[")


def rows_of(data: JsonValue) -> Rows:
    """The rows that a document has; none where it has more than a form can show."""
    varied = value_at(data, ("search_space", "parameters"))
    fixed = value_at(data, ("search_space", "fixed"))
    varied, fixed = varied if isinstance(varied, dict) else {}, fixed if isinstance(fixed, dict) else {}
    rows = [_row(name, value) for name, value in varied.items()]
    rows += [Row(name, "fixed", values=flow(value)) for name, value in fixed.items()]
    return Rows(dict(enumerate(rows)) if len(rows) <= MAX_ROWS else {})


def has_too_many(data: JsonValue) -> bool:
    """Whether a document has more parameters than the form shows."""
    groups = (value_at(data, ("search_space", group)) for group in ("parameters", "fixed"))
    return sum(len(group) for group in groups if isinstance(group, dict)) > MAX_ROWS


def rows_posted(posted: Mapping[str, str]) -> Rows:
    """The rows that a form was sent with."""
    numbers = sorted(int(match[1]) for key in posted if (match := _INDEX.fullmatch(key)))
    names = [each.name for each in fields(Row)]
    return Rows(
        {at: _known(Row(**{name: posted.get(f"rows-{at}-{name}", "").strip() for name in names})) for at in numbers}
    )


def _known(row: Row) -> Row:
    return row if row.kind in KINDS else replace(row, kind="values")


def _row(name: str, value: Any) -> Row:
    if not isinstance(value, dict):
        return Row(name, values=show_list(value) if value is not None else "null")
    when = show_mapping(value.get("when"))
    if "values" in value:
        return Row(name, values=show_list(value["values"]), when=when)
    if not {"type", "log", *_RANGE} & value.keys():
        return Row(name, values=flow(value))
    low, high, step = ("" if value.get(key) is None else flow(value[key]) for key in _RANGE)
    kind = "float" if value.get("type", _told(value)) == "float" else "integer"
    return Row(name, kind, min=low, max=high, step=step, log="on" if value.get("log") is True else "", when=when)


def _told(value: Mapping[str, Any]) -> str:
    """The kind of a range, by its numbers."""
    return "float" if any(isinstance(value.get(key), float) for key in _RANGE) else "integer"


def read_row(row: Row, before: JsonValue) -> JsonValue:
    """The value of a row that was changed; fields of `before` that no row shows stay. ValueError in words."""
    if row.kind == "fixed":
        values = read_list(row.values)
        if len(values) != 1:
            raise ValueError("one value is needed; a list stands in brackets")
        if row.when:
            raise ValueError("a fixed value has no condition")
        return values[0]
    kept = {key: item for key, item in before.items() if key not in _SHOWN} if isinstance(before, dict) else {}
    if row.when:
        kept["when"] = read_mapping(row.when)
    if row.kind == "values":
        values = read_list(row.values)
        return {"values": values, **kept} if kept else values
    return {**_range(row), **kept}


def _range(row: Row) -> dict[str, JsonValue]:
    texts = {"min": row.min, "max": row.max, "step": row.step}
    found: dict[str, JsonValue] = {key: resolve(text) for key, text in texts.items() if text}
    if row.log:
        found["log"] = True
    return found if _told(found) == row.kind and found else {"type": row.kind, **found}


def put_rows(data: dict[str, Any], base: JsonValue, rows: Rows) -> dict[int, str]:
    """Write into `data` what rows changed since `base`; what is wrong with some of them, by their numbers.

    A row that is as `base` has it leaves what `data` has, and so does a row that cannot be read.
    """
    before = {(row.group, row.name): row for row in rows_of(base).rows.values()}
    written = {at: row for at, row in rows.rows.items() if not row.is_empty}
    if has_too_many(base) or has_too_many(data) or list(before.values()) == list(written.values()):
        return {}
    faults: dict[int, str] = {}
    found: dict[str, dict[str, JsonValue]] = {"parameters": {}, "fixed": {}}
    for at, row in written.items():
        try:
            _put(found[row.group], row, before, data)
        except ValueError as error:
            faults[at] = str(error)
    _replace(data, found, before)
    return faults


def _put(found: dict[str, JsonValue], row: Row, before: Mapping[tuple[str, str], Row], data: JsonValue) -> None:
    if not row.name:
        raise ValueError("the name of the parameter is needed")
    if row.name in found:
        raise ValueError(f"{row.name} is given twice")
    present = value_at(data, ("search_space", row.group))
    now = present.get(row.name) if isinstance(present, dict) else None
    if before.get((row.group, row.name)) != row:
        try:
            found[row.name] = read_row(row, now)
        except ValueError:
            found[row.name] = now if now is not None else row.values
            raise
    elif isinstance(present, dict) and row.name in present:
        found[row.name] = now


def _replace(
    data: dict[str, Any], found: Mapping[str, dict[str, JsonValue]], before: Mapping[tuple[str, str], Row]
) -> None:
    """Put the groups in place; what came into `data` by another way than the form stays."""
    space = data.get("search_space")
    space = space if isinstance(space, dict) else {}
    for group, values in found.items():
        present = space.get(group)
        others = present if isinstance(present, dict) else {}
        new = {name: item for name, item in others.items() if name not in values and (group, name) not in before}
        values.update(new)
        if values or group in space:
            space[group] = values
    data["search_space"] = space
