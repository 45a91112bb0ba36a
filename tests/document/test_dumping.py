"""A document that is written and read again is the same one."""

import json
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.document.documents import MINIMAL, VALID, loaded, quick
from tests.document.test_legacy_examples import EXAMPLES
from tuning.document.dumping import dump
from tuning.document.loading import load
from tuning.document.report import Level
from tuning.errors import DocumentError

Format = Literal["yaml", "json"]


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_earlier_document_is_written_as_one_of_ours_that_needs_no_note(example: Any, form: Format) -> None:
    first = load(example.read_bytes()).document
    again = load(dump(first, form))
    assert again.document == first
    assert again.notes == ()


@quick(150)
@given(VALID, st.sampled_from(["yaml", "json"]))
def test_what_is_written_loads_to_an_equal_document_without_notes(data: dict[str, Any], form: Format) -> None:
    """Equal also where Python sees no difference: 1, 1.0 and true."""
    try:
        first = load(json.dumps(data))
    except DocumentError:
        return
    again = load(dump(first.document, form))
    assert again.document.model_dump_json() == first.document.model_dump_json()
    assert dump(again.document, form) == dump(first.document, form)
    assert {note.level for note in again.notes} <= {Level.WARNING}
    assert [note.message for note in again.notes] == [note.message for note in first.notes]


def test_only_what_differs_and_what_a_reader_looks_for_is_written() -> None:
    written = dump(loaded(search_space={"parameters": {"max-num-seqs": [1, 2]}}, limits={"ready_s": 30}).document)
    assert written == (
        "schema_version: 1\n"
        "name: t\n"
        "engine:\n  name: vllm\n"
        "model:\n  id: org/model\n"
        "deployment:\n  mode: local\n"
        "search_space:\n  parameters:\n    max-num-seqs: [1, 2]\n"
        "strategy:\n  name: grid\n"
        "budget:\n  experiments: 50\n"
        "objective:\n  name: maximize_throughput\n"
        "workload:\n  scenarios: ['D(100,100)']\n"
        "limits:\n  ready_s: 30\n"
    )


def test_json_has_the_same_fields_in_the_same_order() -> None:
    first = loaded(search_space={"parameters": {"a": {"values": [1], "when": {"b": 2}}}, "fixed": {"b": 2}}).document
    assert json.dumps(json.loads(dump(first, "json"))) == json.dumps(yaml.safe_load(dump(first)))


@pytest.mark.parametrize(
    "text",
    ["on", "no", "64k", "8x7b", "null", "1e5", "0x1F", "0o17", "1:30", "2024-01-01", "~", "", "true", "5", ".inf"],
)
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    """Pitfall B3, for readers of YAML 1.1 as well."""
    written = dump(load(json.dumps({**MINIMAL, "search_space": {"fixed": {"a": text}}})).document)
    assert load(written).document.search_space.fixed == {"a": text}
    assert yaml.safe_load(written)["search_space"]["fixed"] == {"a": text}


@pytest.mark.parametrize(
    "text", ["two\nlines\n", "  indented\nlines", "a\r\nb", "\u2028", "\x85", "\t", "ends \n", "\ufeff", "😀"]
)
def test_odd_text_comes_back_as_it_was(text: str) -> None:
    first = load(json.dumps({**MINIMAL, "description": text})).document
    assert first.description == text
    assert load(dump(first)).document.description == text


def test_whole_seconds_are_written_without_a_fraction_but_parameters_as_they_are() -> None:
    first = loaded(
        workload={"seconds": 30.0, "sampling": {"temperature": 0.0}},
        search_space={"fixed": {"a": 1.0}, "parameters": {"b": {"min": 1.0, "max": 2.0, "step": 1.0}}},
    ).document
    written = yaml.safe_load(dump(first))
    assert repr(written["workload"]["seconds"]) == "30"
    assert repr(written["workload"]["sampling"]["temperature"]) == "0.0"
    assert repr(written["search_space"]["fixed"]["a"]) == "1.0"
    assert repr(written["search_space"]["parameters"]["b"]) == "{'min': 1.0, 'max': 2.0, 'step': 1.0}"
