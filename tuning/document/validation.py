"""Everything that is wrong with plain data as a task document, at once.

Pydantic reports the faults of all fields, but not the rules between them while a field is faulty. So the faulty fields
are replaced, the document is built from the rest, and the rules are asked that read none of the replaced ones.
"""

import copy
import json
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError
from pydantic_core import ErrorDetails

from tuning.document.base import RULES_LATER, FieldPath, Violation, violations
from tuning.document.messages import sentence, visible
from tuning.document.task import TaskDocument

_UNIONS: tuple[FieldPath, ...] = (("deployment",), ("search_space", "parameters", "*"))
"""Where pydantic's locations name the member of a union, which is not in the data."""

_STAND_INS: dict[FieldPath, JsonValue] = {
    ("name",): "stand-in",
    ("engine",): {"name": "simulated"},
    ("model",): {"id": "stand-in"},
    ("search_space", "parameters", "*"): [None],
}
"""What takes the place of a faulty field that cannot be left out."""

_REPAIRS = 10
MAX_FAULTS = 200
"""More are not told: nobody reads them, and they would take long to write."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with the data; `value` is what was found at `path`, without secrets."""

    path: FieldPath
    message: str
    value: JsonValue = None


def validate(data: JsonValue, *, rules: bool = True) -> tuple[TaskDocument | None, list[Fault]]:
    """The document, or None and every fault; `rules` False leaves out those between fields."""
    document, errors, replaced = _fields(data)
    faults = [_fault(error, data) for error in errors[:MAX_FAULTS]]
    if document and rules:
        broken = [each for each in violations(document) if not _reads(each, replaced)]
        faults += [_broken(each, data) for each in broken[:MAX_FAULTS]]
    return (None if faults else document), faults


def _fields(data: JsonValue) -> tuple[TaskDocument | None, list[ErrorDetails], list[FieldPath]]:
    """The document as far as it can be built, the errors of its fields, and the fields that were replaced."""
    attempt: Any = copy.deepcopy(data)
    first: list[ErrorDetails] = []
    replaced: list[FieldPath] = []
    for _ in range(_REPAIRS):
        try:
            return TaskDocument.model_validate_json(json.dumps(attempt), context=RULES_LATER), first, replaced
        except ValidationError as error:
            errors = error.errors(include_url=False)
        first = first or [each for each in errors if not _is_shortened(each, errors)]
        paths = [_path(each, attempt) for each in errors]
        touched = [(each, _replace(attempt, each, path)) for each, path in zip(errors, paths, strict=True)]
        replaced += [path for each, path in touched if each["type"] != "extra_forbidden"]
    return None, first, replaced


def _is_shortened(error: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Whether a list is too short only because its faulty items do not count."""
    loc = error["loc"]
    return error["type"] == "too_short" and any(each["loc"][:-1] == loc for each in errors)


def _replace(data: Any, error: ErrorDetails, path: FieldPath) -> FieldPath:
    """Take the faulty field at `path` out of `data`, or put its stand-in there; the path of what was touched."""
    if error["type"] != "extra_forbidden" and error["loc"][-1:] != ("[key]",):
        for length in range(1, len(path) + 1):
            holder = value_at(data, path[: length - 1])
            if (pattern := _pattern(path[:length])) in _STAND_INS and isinstance(holder, dict):
                holder[path[length - 1]] = copy.deepcopy(_STAND_INS[pattern])
                return path[:length]
    if error["type"] == "missing":
        path = path[:-1]
    while isinstance(value_at(data, path[:-1]), list):
        path = path[:-1]
    if path and isinstance(holder := value_at(data, path[:-1]), dict):
        holder.pop(path[-1], None)
    return path


def _pattern(path: FieldPath) -> FieldPath:
    return (*path[:2], "*") if len(path) == 3 else path


def _reads(violation: Violation, replaced: list[FieldPath]) -> bool:
    """Whether a rule looked at a field that was replaced, at something inside it, or at something around it."""
    return any(
        read[: len(path)] == path[: len(read)] for read in (violation.path, *violation.reads) for path in replaced
    )


def _fault(error: ErrorDetails, data: JsonValue) -> Fault:
    path = _path(error, data)
    return Fault(path, sentence(error, path, value_at(data, path)), _visible(data, path))


def _broken(violation: Violation, data: JsonValue) -> Fault:
    path = _written(violation.path, data)
    return Fault(path, violation.message, _visible(data, path))


def _path(error: ErrorDetails, data: JsonValue) -> FieldPath:
    """Where the error is in the data as it was written."""
    loc = error["loc"]
    for union in _UNIONS:
        if len(loc) > len(union) and all(part in ("*", at) for part, at in zip(union, loc, strict=False)):
            loc = loc[: len(union)] + loc[len(union) + 1 :]
    return (*_written(loc[:-1], data), loc[-1]) if error["type"] == "missing" else _written(loc, data)


def _written(path: FieldPath, data: JsonValue) -> FieldPath:
    """`path` without the fields that the short form of a parameter implies."""
    written: FieldPath = ()
    here: Any = data
    for part in path:
        if _has(here, part):
            written, here = (*written, part), here[part]
    return written


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def value_at(data: JsonValue, path: FieldPath) -> Any:
    """What lies at `path`; None where there is nothing."""
    here: Any = data
    for part in path:
        if not _has(here, part):
            return None
        here = here[part]
    return here


def _visible(data: JsonValue, path: FieldPath) -> JsonValue:
    return visible(value_at(data, path), path)
