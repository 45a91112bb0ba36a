"""A document goes through the form and comes back as it was, whatever it holds."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from pydantic import JsonValue

from tests.document.documents import VALID, quick
from tests.forms.whole import WHOLE
from tuning.document.base import Section
from tuning.document.dumping import dump
from tuning.document.loading import load
from tuning.document.task import TaskDocument
from tuning.errors import DocumentError
from tuning.forms.document_fields import FIELDS
from tuning.forms.merging import Sheet, merged, plain, sheet_of, texts_of

MINIMAL = "name: t\nengine:\n  name: vllm\nmodel:\n  id: org/m\n"


def _by_browser(sheet: Sheet) -> Sheet:
    """What a browser sends of a page: its own line breaks, and none in a field of a single line."""
    texts = {
        each.name: sheet.texts[each.name].replace("\n", "\r\n")
        if each.kind in ("prose", "lines", "variables")
        else sheet.texts[each.name].replace("\r", "").replace("\n", "")
        for each in FIELDS
    }
    return replace(sheet, texts=texts)


def _document(data: dict[str, Any]) -> TaskDocument | None:
    try:
        return load(json.dumps(data)).document
    except DocumentError:
        return None


def _plain(document: TaskDocument) -> JsonValue:
    return document.model_dump(mode="json")


@quick(200)
@given(VALID)
def test_a_form_that_is_sent_back_untouched_changes_nothing(data: dict[str, Any]) -> None:
    """Pitfall E8: edit and duplicate dropped fields."""
    if document := _document(data):
        text = dump(document)
        result = merged(_by_browser(sheet_of(text)))
        assert (result.text, result.by_form, result.faults, result.row_faults) == (text, False, {}, {})


@quick(200)
@given(VALID)
def test_a_change_of_one_field_leaves_all_others(data: dict[str, Any]) -> None:
    """Pitfall E8, with an edit."""
    if document := _document(data):
        sheet = _by_browser(sheet_of(dump(document)))
        result = merged(replace(sheet, texts={**sheet.texts, "limits.ready_s": "77"}))
        limits = document.limits.model_copy(update={"ready_s": 77.0})
        assert _plain(load(result.text).document) == _plain(document.model_copy(update={"limits": limits}))


@quick(200)
@given(VALID)
def test_what_the_fields_show_of_a_document_makes_it_again_from_an_empty_one(data: dict[str, Any]) -> None:
    """Every value that a field can show is read back as the same value, of the same type."""
    document = _document(data)
    if document is None:
        return
    shown = sheet_of(dump(document))
    result = merged(Sheet(shown.texts, shown.rows, MINIMAL, MINIMAL))
    assert (result.faults, result.row_faults) == ({}, {})
    assert load(result.text).document.model_dump_json() == document.model_dump_json()


@pytest.mark.parametrize("mode", ["local", "docker", "ome"])
def test_a_document_with_every_field_set_survives(mode: str) -> None:
    """Pitfall E8: cluster configurations, extra parameters, ranges, conditions, null among the values."""
    document = load(json.dumps(WHOLE[mode])).document
    shown = sheet_of(dump(document))
    assert merged(_by_browser(shown)).text == dump(document)
    again = merged(Sheet(shown.texts, shown.rows, MINIMAL, MINIMAL))
    assert load(again.text).document.model_dump_json() == document.model_dump_json()


def test_a_document_with_every_field_set_differs_from_the_defaults_in_each_of_them() -> None:
    """Each field of the form, and so each of the schema, shows something else in one of these documents."""
    default = texts_of(plain(MINIMAL))
    for each in FIELDS:
        shown = {texts_of(data)[each.name] for data in WHOLE.values()}
        assert shown != {default[each.name]} or each.name in ("engine.name", "workload.benchmark"), each.name


def test_the_form_has_every_field_of_the_schema() -> None:
    shown = {each.name for each in FIELDS}
    leaves = {path for data in WHOLE.values() for path in _leaves(load(json.dumps(data)).document)}
    assert leaves - shown == {"schema_version", "search_space.parameters", "search_space.fixed"}


def _leaves(section: Section, at: str = "") -> Iterator[str]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _leaves(value, f"{at}{name}.")
        else:
            yield f"{at}{name}"
