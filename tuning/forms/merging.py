"""A document and a form that shows it, brought together after either of them, or both, were edited.

Only what the form changed is written into the document: a field that still says what it said of the document before
leaves it alone. So nothing is lost that the form does not show, or shows in another way than it was written.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from tuning.document.base import FieldPath
from tuning.document.dumping import as_yaml
from tuning.document.legacy import is_legacy, translate
from tuning.document.loading import load
from tuning.document.text import parse
from tuning.document.validation import value_at
from tuning.errors import DocumentError, Problem
from tuning.forms.document_fields import DEPLOYMENTS, FIELDS, MODE, DocumentField, names_in
from tuning.forms.notation import same
from tuning.forms.parameters import Rows, put_rows, rows_of

_KEPT = (("engine",), ("model",))
"""Sections that stay when they are empty, because they are needed."""


@dataclass(frozen=True)
class Sheet:
    """What the page shows: the text of each field, the rows, the document as text, and what it was when they agreed."""

    texts: Mapping[str, str]
    rows: Rows
    yaml: str
    base: str


@dataclass
class Merged:
    """The document after all edits; `faults` are those of fields whose text cannot be read, by name or row number."""

    text: str
    data: dict[str, Any]
    by_form: bool
    faults: dict[str, str] = field(default_factory=dict)
    row_faults: dict[int, str] = field(default_factory=dict)


def sheet_of(text: str) -> Sheet:
    """The form of a document; DocumentError when there is nothing that it could show."""
    data = plain(text)
    return Sheet(texts_of(data), rows_of(data), text, text)


def texts_of(data: JsonValue) -> dict[str, str]:
    """What each field shows of a document."""
    return {each.name: each.text(data) for each in FIELDS}


def plain(text: str) -> dict[str, Any]:
    """The data of a document, one of an earlier system translated; DocumentError when the text cannot be read."""
    if not text.strip():
        return {}
    parsed = parse(text)
    if parsed.problems:
        raise DocumentError(parsed.problems)
    if not isinstance(parsed.data, dict):
        load(text)
        raise DocumentError([Problem("", "a document consists of fields with values")])
    if not is_legacy(parsed.data):
        return parsed.data
    translation = translate(parsed.data)
    if translation.faults:
        load(text)
    return translation.data


def merged(sheet: Sheet) -> Merged:
    """The document of a page; DocumentError when its text cannot be read."""
    before = plain(sheet.yaml)
    data = copy.deepcopy(before)
    base = before if sheet.base == sheet.yaml else plain(sheet.base)
    changed = [each for each in FIELDS if not same(each.text(base), sheet.texts.get(each.name, ""))]
    result = Merged(sheet.yaml, data, by_form=False)
    for each in changed:
        _apply(result, each, sheet.texts.get(each.name, ""))
    result.row_faults = put_rows(data, base, sheet.rows)
    result.by_form = json.dumps(data) != json.dumps(before)
    if result.by_form:
        result.text = as_yaml(data) if data else ""
    return result


def _apply(result: Merged, each: DocumentField, text: str) -> None:
    """Write one field that was changed; one of another deployment than the chosen one waits until it is chosen."""
    mode = value_at(result.data, MODE) or "local"
    if each.path[0] == "deployment" and each.path != MODE and mode not in each.modes:
        return
    try:
        value = each.notation.read(text) if text or each.kind == "switch" else None
    except ValueError as error:
        result.faults[each.name] = str(error)
        return
    _put(result.data, each.path, value)
    if each.path == MODE:
        _leave_other_modes(result.data, text)
    elif each.path[0] == "deployment" and value is not None:
        _put(result.data, MODE, mode)


def _leave_other_modes(data: dict[str, Any], mode: str) -> None:
    known = {name for section in DEPLOYMENTS.values() for name in section.model_fields}
    own = DEPLOYMENTS[mode].model_fields if mode in DEPLOYMENTS else {}
    for name in known - own.keys():
        _put(data, ("deployment", name), None)


def _put(data: dict[str, Any], path: FieldPath, value: JsonValue) -> None:
    """Set what lies at `path`, in the order of the schema; None takes it away, and a section that is empty then."""
    head, rest = str(path[0]), path[1:]
    _put_below(data, head, rest, value, (head,))


def _put_below(data: dict[str, Any], head: str, rest: FieldPath, value: JsonValue, at: FieldPath) -> None:
    if rest:
        inner = data.get(head)
        section: dict[str, Any] = inner if isinstance(inner, dict) else {}
        _put_below(section, str(rest[0]), rest[1:], value, (*at, rest[0]))
        value = section if section or at in _KEPT else None
    if value is None:
        data.pop(head, None)
    elif head in data:
        data[head] = value
    else:
        _insert(data, head, value, at[:-1])


def _insert(data: dict[str, Any], name: str, value: JsonValue, section: FieldPath) -> None:
    """A new field stands before the first one that comes later in the schema."""
    order = names_in(section)
    later = order[order.index(name) + 1 :]
    items = list(data.items())
    at = next((index for index, (key, _) in enumerate(items) if key in later), len(items))
    items.insert(at, (name, value))
    data.clear()
    data.update(items)
