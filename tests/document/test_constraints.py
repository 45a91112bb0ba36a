"""Conditions between parameters: a closed grammar that is never run as code."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.document.documents import VALUES, quick
from tuning.document.constraints import MAX_LENGTH, parse_constraint

NAMES = ["a", "b", "max-num-seqs", "env:A_B", "x.y", "and-more", "true-ish", "_0"]


@pytest.mark.parametrize(
    ("text", "parameters", "holds"),
    [
        ("a >= b", {"a": 2, "b": 2}, True),
        ("a >= b", {"a": 1, "b": 2}, False),
        ("a < b < 5", {"a": 1, "b": 2}, True),
        ("a < b < 5", {"a": 1, "b": 7}, False),
        ("a * b <= 8", {"a": 4, "b": 2}, True),
        ("a % b == 0", {"a": 4, "b": 3}, False),
        ("a - 1 > -b", {"a": 1, "b": 1}, True),
        ("a / b == 0.5", {"a": 1, "b": 2}, True),
        ("(a + b) * 2 == 1e1", {"a": 2, "b": 3}, True),
        ("a == true or b >= 4", {"a": False, "b": 4}, True),
        ("a == true or b >= 4", {"a": False, "b": 3}, False),
        ("not a and b == 'x y'", {"a": False, "b": "x y"}, True),
        ("not a", {"a": True}, False),
        ("not (a == 1 and b == 1)", {"a": 1, "b": 1}, False),
        ('a != "fp8"', {"a": "auto"}, True),
        (r"a == 'C:\new'", {"a": r"C:\new"}, True),
        ("a == 1", {"a": True}, False),
        ("a == 1", {"a": 1.0}, True),
        ("max-num-seqs > 5", {"max-num-seqs": 6}, True),
        ("env:A_B == x.y", {"env:A_B": "1", "x.y": "1"}, True),
        ("and-more == 1 and true-ish == 2", {"and-more": 1, "true-ish": 2}, True),
        ("_0 == 5 and a == 6", {"_0": 5, "a": 6}, True),
        ("a>b", {"a": 2, "b": 1}, True),
    ],
)
def test_a_condition_holds_or_not(text: str, parameters: dict[str, Any], holds: bool) -> None:
    assert parse_constraint(text, NAMES).holds(parameters) is holds


@pytest.mark.parametrize("missing", [{"a": 5}, {"a": 5, "b": None}, {}])
def test_a_condition_on_a_parameter_that_is_not_given_does_not_apply(missing: dict[str, Any]) -> None:
    assert parse_constraint("a > 9 and b > 1", NAMES).holds(missing)


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("a > b", {"a": 1, "b": "x"}),
        ("a / b > 1", {"a": 1, "b": 0}),
        ("a % b == 1", {"a": "%s", "b": "x"}),
        ("a * b != 0", {"a": "x", "b": 10**9}),
        ("a * b != 0", {"a": [1], "b": 10**9}),
        ("a * 2 == 2", {"a": True}),
        ("a or b > 1", {"a": "no", "b": 2}),
        ("not a", {"a": 1}),
        ("a - 1e308 * 10 > 0 and a * 1.0 > 0", {"a": 10**400}),
        ("-a > 1", {"a": "x"}),
        ("a > 1", {"a": {"x": 1}}),
    ],
)
def test_what_cannot_be_compared_or_computed_does_not_meet_the_condition(text: str, parameters: dict[str, Any]) -> None:
    assert parse_constraint(text, NAMES).holds(parameters) is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a comparison"),
        ("a", "not a comparison"),
        ("5", "not a comparison"),
        ("-a", "not a comparison"),
        ("a + b", "not a comparison"),
        ("a >", "not a comparison"),
        ("a > b b", "not a comparison"),
        ("a ** 9 > 1", "not a comparison"),
        ("a // 2 > 1", "not a comparison"),
        ("a() > 1", "not a comparison"),
        ("a(*b) > 1", "not a comparison"),
        ("() == ()", "not a comparison"),
        ("c > 1", "names 'c', which is not a parameter; known are"),
        ("a is b", "names 'is'"),
        ("a > __import__('os')", "names '__import__'"),
        ("b'x' == a", "not a comparison"),
        ("a > 1 # fine", "cannot be read from '# fine'"),
        ("a = 1", "cannot be read from '= 1'"),
        ("a[0] > 1", "cannot be read from '[0] > 1'"),
        ("a, b > 1", "cannot be read from"),
        ("lambda: 1 > a", "names 'lambda'"),
        ("a > 'open", "cannot be read from"),
        ("é > 1", "cannot be read from"),
        ("a > 1\n\n; b", "cannot be read from"),
        ("not " * 200 + "a", "nested more than"),
        ("(" * 400 + "a > 1" + ")" * 400, "not a comparison"),
        ("a > " + "-" * 300 + "1", "nested more than"),
        ("a > " + "1" * MAX_LENGTH, f"at most {MAX_LENGTH} characters"),
    ],
)
def test_what_is_no_condition_is_refused_with_a_sentence(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_constraint(text, NAMES)


def test_the_names_of_a_condition_are_known() -> None:
    assert parse_constraint("a > max-num-seqs and a > 'b'", NAMES).names == {"a", "max-num-seqs"}


_WORDS = st.sampled_from(
    [
        *NAMES,
        "and",
        "or",
        "not",
        "true",
        "false",
        "<",
        "<=",
        "==",
        "!=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "(",
        ")",
        "0",
        "1.5",
        "'t'",
    ]
)
_CONDITIONS = st.lists(_WORDS, max_size=9).map(" ".join) | st.text(max_size=30)


@quick(400)
@given(_CONDITIONS, st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
def test_any_text_is_a_condition_or_a_value_error_and_evaluating_never_raises(text: str, parameters: Any) -> None:
    try:
        constraint = parse_constraint(text, NAMES)
    except ValueError:
        return
    assert constraint.holds(parameters) in (True, False)
