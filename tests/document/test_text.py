"""From text to plain data: YAML 1.2 or JSON, with the line of every field, and nothing that could do harm."""

import time
from typing import Any

import pytest

from tests.document.documents import problems, refusal
from tuning.document.text import MAX_BYTES, MAX_DEPTH, Parsed, parse
from tuning.errors import DocumentError


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("12:30:00", "12:30:00"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e5", 100000.0),
        ("1.5E-3", 0.0015),
        (".5", 0.5),
        ("0.90", 0.9),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("0o17", 15),
        ("0x1F", 31),
        ("010", 10),
        ("+7", 7),
        ("-7", -7),
        ("64k", "64k"),
        ("8x7b", "8x7b"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("=", "="),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_an_unquoted_scalar_is_what_yaml_1_2_says(plain: str, value: object) -> None:
    """Pitfall B3: a number only if the whole text is one."""
    read = parse(f"a: {plain}").data
    assert read == {"a": value}
    assert isinstance(read, dict)
    assert type(read["a"]) is type(value)


def test_each_field_and_item_has_its_line_in_yaml() -> None:
    parsed = parse("a:\n  b: 1\n  c:\n  - 2\n\n  - {d: 3,\n     e: [4,\n 5]}\n")
    lines = {path: parsed.line(path) for path in [("a",), ("a", "b"), ("a", "c"), ("a", "c", 0), ("a", "c", 1, "e", 1)]}
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "c"): 3, ("a", "c", 0): 4, ("a", "c", 1, "e", 1): 8}
    assert parsed.line(("a", "c", 0, "not there")) == 4
    assert parsed.line(("not there",)) is None


def test_each_field_and_item_has_its_line_in_json() -> None:
    parsed = parse('{"a": {\n\t"b\\u0041": "x,{]:",\n "c": [\n1,\n {"d": [], "e": {}},\n[[7,\n8]]]},\n"z": 0}')
    paths: list[Any] = [("a",), ("a", "bA"), ("a", "c", 0), ("a", "c", 1, "e"), ("a", "c", 2, 0, 1), ("z",)]
    assert [parsed.line(path) for path in paths] == [1, 2, 4, 5, 7, 8]
    assert parsed.data == {"a": {"bA": "x,{]:", "c": [1, {"d": [], "e": {}}, [[7, 8]]]}, "z": 0}


def test_a_flow_mapping_whose_keys_are_not_quoted_is_yaml() -> None:
    assert parse("{a: 1, b: [x, y],} # a comment").data == {"a": 1, "b": ["x", "y"]}


def test_an_alias_repeats_what_it_names() -> None:
    assert parse("a: &x {b: [1]}\nc: *x\n&k d: [*k]").data == {"a": {"b": [1]}, "c": {"b": [1]}, "d": ["d"]}


def _refused(text: str | bytes) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "is empty"),
        ("# only a comment\n", None, "is empty"),
        ("\ufeff", None, "is empty"),
        ("null", None, "is empty"),
        (b"a: \xff", 1, "not UTF-8"),
        ("a: 1\nb: ö".encode("latin-1"), 2, "not UTF-8"),
        ("a: 1".encode("utf-16"), 1, "not UTF-8"),
        ("a: 1\nb: \ud800", 2, "surrogate"),
        ("a: 1\nb: \0", 2, "NUL"),
        ("a: 1\n\tb: 2", 2, "not tabs"),
        ("a: 1\n---\nb: 2", 2, "several YAML documents"),
        ("a: 1\n...\n---\nb: 2", 3, "several YAML documents"),
        ("a: [1", None, "no YAML"),
        ("a: 'x", 1, "no YAML"),
        ("a: \x07", None, "no YAML"),
        ('{"a": 1,\n "b": }', 2, "no JSON"),
        ('{"a": 1', 1, "no JSON"),
        ("a: *b", 1, r"alias \*b"),
        ("a: &x [*x]", 1, r"alias \*x"),
        ("[" * 100_000, None, "nested more than"),
        ("- " * 100_000, 1, "nested more than"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, None, "nested more than"),
        ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), None, "nested more than"),
        ("a: " + "x" * MAX_BYTES, None, f"at most {MAX_BYTES}"),
        ("[" + "1," * 300_000 + "1]", 1, "at most 200000 values"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_a_sentence(
    text: str | bytes, line: int | None, message: str
) -> None:
    error = _refused(text)
    assert len(error.problems) == 1
    assert error.problems[0].path == ""
    assert message.replace("\\", "") in error.problems[0].message
    assert line in (None, error.problems[0].line)


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 20))
    long = "a: &a " + "x" * 500_000 + "\nb: [" + "*a, " * 1000 + "]"
    deep = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
    began = time.monotonic()
    assert "holds too much" in str(_refused(bomb))
    assert "holds too much" in str(_refused(long))
    assert "nested" in str(_refused(deep))
    assert time.monotonic() - began < 10


def _complaints(text: str) -> Parsed:
    parsed = parse(text)
    assert parsed.problems
    return parsed


@pytest.mark.parametrize(
    ("text", "path", "line", "message"),
    [
        ("a:\n  b: 1\n  c: 2\n  b: 3", "a.b", 4, "twice"),
        ('{"a": {"b": 1,\n"b": 2}}', "a.b", 2, "twice"),
        ('{"a": {"b": 1},\n"a": {"b": 1}}', "a", 2, "twice"),
        ("a: 1\n8: 2", "8", 2, "put it in quotes"),
        ("true: 2", "true", 1, "put it in quotes"),
        ("? [1, 2]\n: 2", "a list or mapping", 1, "put it in quotes"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "c.<<", 3, "merge keys"),
        ("a: !!python/object/apply:os.system [ls]", "a", 1, "tag"),
        ("a: !!binary aGk=", "a", 1, "tag"),
        ("a:\n- .nan", "a[0]", 2, "infinite"),
        ("a: -.inf", "a", 1, "infinite"),
        ("a: 1e999", "a", 1, "infinite"),
        ("a: 9223372036854775808", "a", 1, "whole numbers reach"),
        ("a: " + "9" * 5000, "a", 1, "too large"),
        ("a: 0x" + "f" * 5000, "a", 1, "too large"),
        ('{"a": NaN}', "a", 1, "not a number"),
        ('{"a": [1,\n-Infinity]}', "a[1]", 2, "infinite"),
        ('{"a": 1e999}', "a", 1, "infinite"),
        ('{"a": ' + "9" * 5000 + "}", "a", 1, "too large"),
        ('{"a": "\\ud800"}', "a", 1, "surrogate"),
        ('{"a": {"\\udc00": 1}}', "a", 1, "surrogate"),
        ('a: "\\0"', "a", 1, "NUL"),
        ('{"a": "\\u0000"}', "a", 1, "NUL"),
    ],
)
def test_what_no_field_can_hold_is_told_with_path_and_line(text: str, path: str, line: int, message: str) -> None:
    found = [(problem.path, problem.line) for problem in _complaints(text).problems if message in problem.message]
    assert found == [(path, line)]
    assert problems(text)


def test_faults_of_the_text_and_of_fields_are_told_together_and_each_once() -> None:
    error = refusal("name: x\nname: y\nengine: {name: vllm}\nmodel: {id: 7}\nreplicates: .inf\n")
    assert [(problem.path, problem.line) for problem in error.problems] == [
        ("name", 2),
        ("model.id", 4),
        ("replicates", 5),
    ]
