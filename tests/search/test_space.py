"""Which configurations a search space has."""

from itertools import islice
from typing import Any

import pytest

from tests.search.spaces import make_space
from tuning.document.base import Parameters
from tuning.search.space import Space, canonical_json
from tuning.search.walk import Walk, count

SPECULATIVE = {
    "speculative": ["ngram", "eagle", None],
    "ngram-max": {"values": [2, 4], "when": {"speculative": "ngram"}},
    "draft-tokens": {"values": [1, 3, 5], "when": {"speculative": ["ngram", "eagle"]}},
    "draft-tree": {"values": [True, False], "when": {"draft-tokens": [3, 5], "speculative": "eagle"}},
}


def walked(space: Space) -> list[Parameters]:
    return list(Walk(space))


def test_a_parameter_is_absent_unless_its_conditions_are_met() -> None:
    """Chains included: 2 x 3 with ngram, 1 + 2 + 2 with eagle, 1 without."""
    found = walked(make_space(SPECULATIVE))
    assert len(found) == 12
    assert {"speculative": None} in found
    assert {"speculative": "eagle", "draft-tokens": 1} in found
    assert {"speculative": "eagle", "draft-tokens": 3, "draft-tree": False} in found
    assert {"speculative": "ngram", "ngram-max": 2, "draft-tokens": 3} in found


def test_a_child_written_before_its_parent_comes_after_it() -> None:
    child_first = make_space({"b": {"values": [1, 2], "when": {"a": True}}, "a": [True, False]})
    assert walked(child_first) == [{"a": True, "b": 1}, {"a": True, "b": 2}, {"a": False}]


def test_a_fixed_value_can_be_a_condition_and_is_in_every_configuration() -> None:
    space = make_space(
        {"a": {"values": [1], "when": {"x": "on"}}, "b": {"values": [2], "when": {"a": [1, 3], "x": ["on", "auto"]}}},
        fixed={"x": "on"},
    )
    assert walked(space) == [{"x": "on", "a": 1, "b": 2}]


def test_conditions_that_run_in_a_circle_are_refused() -> None:
    circle = {"a": {"values": [1], "when": {"c": 1}}, "b": {"values": [1], "when": {"a": 1}}}
    with pytest.raises(ValueError, match="when"):
        make_space({**circle, "c": {"values": [1], "when": {"b": 1}}})


def test_a_space_may_have_more_parameters_than_python_nests_calls() -> None:
    space = make_space({f"p{number}": [1, 2] for number in range(500)})
    assert len(list(islice(Walk(space), 3))) == 3
    assert count(space, limit=100) is None


def test_nothing_to_vary_is_one_configuration() -> None:
    assert walked(make_space({}, fixed={"dtype": "auto"})) == [{"dtype": "auto"}]


def test_a_constraint_between_fixed_values_can_leave_nothing() -> None:
    assert walked(make_space({"a": [1, 2]}, fixed={"x": 1}, constraints=["x > 1"])) == []


def test_the_upper_bound_is_exact_without_conditions_and_constraints() -> None:
    assert make_space({"a": [1, 2], "b": {"min": 1, "max": 10**9}}).upper_bound == 2 * 10**9
    assert make_space(SPECULATIVE).upper_bound == 36
    assert make_space({"a": {"type": "float", "min": 0, "max": 1}}).upper_bound is None


def test_the_count_is_that_of_different_configurations() -> None:
    """Pitfall A5: 4 values and tp 1, 2, 4 plan 12 experiments; what cannot run is not planned."""
    grid: dict[str, Any] = {"max-num-seqs": [16, 32, 64, 128], "tensor-parallel-size": [1, 2, 4]}
    assert count(make_space(grid)) == 12
    assert count(make_space(grid, constraints=["max-num-seqs >= 64"])) == 6
    assert count(make_space(grid, allowed=lambda parameters: parameters["tensor-parallel-size"] != 4)) == 8
    assert count(make_space(grid, identity=lambda parameters: str(parameters["max-num-seqs"]))) == 4
    assert count(make_space(grid), limit=11) is None
    assert count(make_space({f"p{number}": list(range(10)) for number in range(9)})) is None
    assert count(make_space({"a": {"type": "float", "min": 0, "max": 1}})) is None


@pytest.mark.parametrize(
    ("parameters", "inside"),
    [
        ({"speculative": None}, True),
        ({}, True),
        ({"speculative": "ngram", "ngram-max": 2, "draft-tokens": 5}, True),
        ({"speculative": "ngram", "draft-tokens": 5}, False),
        ({"speculative": "eagle", "draft-tokens": 1, "draft-tree": True}, False),
        ({"speculative": "eagle", "draft-tokens": 1, "draft-tree": None}, True),
        ({"speculative": "medusa"}, False),
        ({"foreign": 1}, False),
    ],
)
def test_a_space_knows_its_configurations(parameters: Parameters, inside: bool) -> None:
    assert make_space(SPECULATIVE).contains(parameters) is inside


def test_a_configuration_that_breaks_a_rule_is_not_contained() -> None:
    space = make_space({"a": [1, 2, 3]}, constraints=["a <= 2"], allowed=lambda parameters: parameters["a"] != 1)
    assert [space.contains({"a": value}) for value in (1, 2, 3)] == [False, True, False]


def test_absent_and_null_start_the_same_server() -> None:
    assert canonical_json({"a": None, "b": 1}) == canonical_json({"b": 1})
    assert canonical_json({"a": True}) != canonical_json({"a": 1})


def test_a_walk_skips_all_that_a_constraint_rules_out_at_once() -> None:
    space = make_space({f"p{number}": list(range(10)) for number in range(6)}, constraints=["p0 == 3", "p1 + p2 == 18"])
    assert len(list(Walk(space, patience=200))) == 1000


def test_a_walk_ends_when_its_patience_does() -> None:
    space = make_space({"a": {"min": 1, "max": 10**9}}, constraints=["a == 999999999"])
    walk = Walk(space, patience=1000)
    assert list(walk) == []
    assert not walk.complete


def test_a_continuous_range_cannot_be_walked() -> None:
    with pytest.raises(ValueError, match="p: a range without"):
        Walk(make_space({"p": {"type": "float", "min": 0, "max": 1}}))
