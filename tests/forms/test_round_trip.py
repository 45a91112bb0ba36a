"""A form shows a document, and nothing is lost on the way into it and out of it."""

import json
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from tests.document.documents import TEXTS, VALID, VALUES, quick
from tests.document.test_legacy_examples import EXAMPLES
from tests.forms.full import FULL, sent
from tuning.document.dumping import as_yaml, dump
from tuning.document.loading import load
from tuning.document.task import TaskDocument
from tuning.errors import DocumentError
from tuning.forms.document import sheet_posted
from tuning.forms.document_fields import DEPLOYMENTS, FIELDS, names_in
from tuning.forms.merging import merged, plain, sheet_of
from tuning.forms.notation import LIST, MAPPING, VARIABLES
from tuning.forms.parameters import MAX_ROWS

DEPLOYED = [
    {"mode": "local", "gpus": [0]},
    {"mode": "docker", "gpus": [0, 1], "host_network": True, "shm_size": "8g", "memory_limit": "64g"},
    {"mode": "ome", "namespace": "tuning", "runtime": "mine"},
]


def leaves(path: tuple[str, ...]) -> set[str]:
    """Every field of the schema at or below `path` that has no fields of its own."""
    try:
        names = names_in(path)
    except StopIteration:
        names = []
    if not names or path[:2] == ("search_space", "parameters"):
        return {".".join(path)}
    return {leaf for name in names for leaf in leaves((*path, name))}


def test_every_field_of_the_schema_is_in_the_form() -> None:
    """Pitfall E8."""
    rows = {"search_space.parameters", "search_space.fixed"}
    assert leaves(()) - rows - {"schema_version"} == {each.name for each in FIELDS}
    assert {name for section in DEPLOYMENTS.values() for name in section.model_fields} == {
        each.path[1] for each in FIELDS if each.path[0] == "deployment"
    }


def test_the_full_document_has_every_field() -> None:
    loaded = load(FULL).document
    data = plain(FULL)
    assert set(data) == set(TaskDocument.model_fields)
    for name in ("search_space", "strategy", "budget", "objective", "slo", "workload", "limits"):
        assert set(data[name]) == set(type(getattr(loaded, name)).model_fields), name


@pytest.mark.parametrize("deployment", DEPLOYED, ids=lambda one: one["mode"])
def test_a_form_that_nobody_touched_leaves_a_document_as_it_was(deployment: dict[str, Any]) -> None:
    """Pitfall E8: text and all, so that comments stay too."""
    text = as_yaml({**plain(FULL), "deployment": deployment}) + "# a comment\n"
    found = merged(sheet_posted(sent(sheet_of(text))))
    assert (found.by_form, found.faults, found.row_faults, found.text) == (False, {}, {}, text)


@pytest.mark.parametrize("deployment", DEPLOYED, ids=lambda one: one["mode"])
def test_a_document_made_of_the_form_alone_is_the_same(deployment: dict[str, Any]) -> None:
    """Pitfall E8: every field and every row is written and read again."""
    text = as_yaml({**plain(FULL), "deployment": deployment})
    posted = {**sent(sheet_of(text)), "yaml": "schema_version: 1\n", "base": "schema_version: 1\n"}
    found = merged(sheet_posted(posted))
    assert (found.faults, found.row_faults) == ({}, {})
    assert load(found.text).document.model_dump_json() == load(text).document.model_dump_json()


@quick(150)
@given(VALID)
def test_any_document_survives_the_form(data: dict[str, Any]) -> None:
    """Pitfall E8: unchanged, with another description, and made of the form alone."""
    try:
        first = load(json.dumps(data)).document
    except DocumentError:
        return
    text = dump(first)
    posted = sent(sheet_of(text))
    assert merged(sheet_posted(posted)).text == text
    changed = merged(sheet_posted({**posted, "description": "another"}))
    assert load(changed.text).document == first.model_copy(update={"description": "another"})
    alone = merged(sheet_posted({**posted, "yaml": "", "base": ""}))
    assert (alone.faults, alone.row_faults) == ({}, {})
    if not first.description.strip() or first.description == posted["description"]:
        assert load(alone.text).document.model_dump_json() == first.model_dump_json()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_document_of_an_earlier_system_fills_the_form(example: Any) -> None:
    text = example.read_text()
    posted = sent(sheet_of(text))
    assert merged(sheet_posted(posted)).text == text.replace("\r\n", "\n")
    changed = merged(sheet_posted({**posted, "name": "renamed"}))
    assert load(changed.text).document == load(text).document.model_copy(update={"name": "renamed"})


@quick(300)
@given(st.lists(VALUES, max_size=4), st.dictionaries(TEXTS, VALUES, max_size=3))
def test_values_are_read_as_they_are_written(values: list[Any], mapping: dict[str, Any]) -> None:
    assert json.dumps(LIST.read(LIST.show(values))) == json.dumps(values)
    assert json.dumps(MAPPING.read(MAPPING.show(mapping))) == json.dumps(mapping)


@quick(100)
@given(st.dictionaries(st.sampled_from(["A", "B_1"]), TEXTS))
def test_environment_variables_are_read_as_they_are_written(variables: dict[str, str]) -> None:
    assert VARIABLES.read(VARIABLES.show(variables)) == variables


@pytest.mark.parametrize("text", ["1, [2", "1]\nother: [2", "a: {b", "&a 1, *b", "!!x 1"])
def test_what_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        LIST.read(text)


def test_only_what_was_changed_is_written() -> None:
    text = "name: t\nengine: {name: vllm}\nmodel: {id: m}\nworkload: {seconds: 60.0}\nslo: {}\n"
    posted = sent(sheet_of(text), budget__experiments="9", baseline="")
    data = pyyaml.safe_load(merged(sheet_posted(posted)).text)
    assert data == {**pyyaml.safe_load(text), "budget": {"experiments": 9}, "baseline": False}
    assert list(data) == ["name", "engine", "model", "budget", "workload", "slo", "baseline"]


def test_an_emptied_field_is_taken_out_with_its_empty_section() -> None:
    posted = sent(sheet_of(FULL), workload__dataset__path="", workload__dataset__prompt_field="")
    posted["workload.dataset.output_tokens"] = ""
    assert "dataset" not in merged(sheet_posted(posted)).data["workload"]


def test_both_sides_may_be_edited_before_the_form_is_sent() -> None:
    """Without JavaScript nothing brings them together in between."""
    posted = sent(sheet_of(FULL), name="by form", yaml=FULL.replace("finalists: 3", "finalists: 1"))
    found = merged(sheet_posted(posted))
    assert (found.data["name"], found.data["finalists"]) == ("by form", 1)


def test_another_deployment_takes_only_its_own_fields_with_it() -> None:
    sheet = sheet_of(as_yaml({**plain(FULL), "deployment": DEPLOYED[1]}))
    posted = sent(sheet, deployment__mode="ome", deployment__namespace="n")
    assert merged(sheet_posted(posted)).data["deployment"] == {"mode": "ome", "namespace": "n"}
    posted = sent(sheet, deployment__mode="local")
    assert merged(sheet_posted(posted)).data["deployment"] == {"mode": "local", "gpus": [0, 1]}


def test_rows_are_changed_renamed_removed_and_added() -> None:
    sheet = sheet_of(
        "name: t\nsearch_space:\n  parameters:\n    a: {values: [1], odd: 2}\n    b: [1.0]\n  fixed: {c: 1}\n"
    )
    posted = sent(sheet) | {"rows-0-values": "1, 2", "rows-1-name": "bb", "rows-2-kind": "values"}
    posted |= {"rows-7-name": "d", "rows-7-kind": "float", "rows-7-min": "1", "rows-7-max": "2", "rows-7-log": "on"}
    space = merged(sheet_posted(posted)).data["search_space"]
    assert space["parameters"] == {
        "a": {"values": [1, 2], "odd": 2},
        "bb": [1.0],
        "c": [1],
        "d": {"type": "float", "min": 1, "max": 2, "log": True},
    }
    assert space["fixed"] == {}
    assert repr(space["parameters"]["bb"]) == "[1.0]"


def test_rows_that_make_no_sense_are_told_and_leave_the_rest() -> None:
    sheet = sheet_of("name: t\nsearch_space: {parameters: {a: [1], b: [2]}}\n")
    posted = sent(sheet) | {"rows-0-values": "1, [", "rows-2-name": "b", "rows-2-values": "3"}
    posted |= {"rows-3-name": "", "rows-3-values": "4", "rows-4-name": "", "rows-5-name": "e", "rows-5-kind": "fixed"}
    found = merged(sheet_posted(posted))
    assert set(found.row_faults) == {0, 2, 3, 5}
    assert found.data["search_space"]["parameters"]["a"] == [1]
    assert found.data["search_space"]["parameters"]["b"] == [2]


def test_rows_that_the_yaml_has_beside_those_of_the_form_stay() -> None:
    sheet = sheet_of("name: t\nsearch_space: {parameters: {a: [1], b: [2], c: [3]}}\n")
    posted = sent(sheet) | {"rows-0-values": "9"}
    posted["yaml"] = "name: t\nsearch_space: {parameters: {a: [1], b: [4], d: [5]}}\n"
    assert merged(sheet_posted(posted)).data["search_space"]["parameters"] == {"a": [9], "b": [4], "d": [5]}


def test_a_document_with_more_parameters_than_a_form_can_hold_keeps_them() -> None:
    many = {f"p{number}": [number] for number in range(MAX_ROWS + 1)}
    sheet = sheet_of(as_yaml({"name": "t", "search_space": {"parameters": many}}))
    assert sheet.rows.rows == {}
    assert merged(sheet_posted(sent(sheet, name="u"))).data["search_space"]["parameters"] == many
