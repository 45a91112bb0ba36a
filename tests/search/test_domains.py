"""What one parameter can take."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.search.spaces import make_space
from tuning.search.domains import Domain, same_value


def domain(parameter: Any) -> Domain:
    return make_space({"p": parameter}).domains["p"]


def values(parameter: Any) -> list[Any]:
    counted = domain(parameter)
    assert counted.count is not None
    return [counted.value(index) for index in range(counted.count)]


def test_a_float_range_with_step_has_clean_numbers_and_its_ends() -> None:
    assert values({"min": 0.5, "max": 0.95, "step": 0.05}) == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert str(values({"min": 0.1, "max": 0.9, "step": 0.1})[6]) == "0.7"


def test_an_integer_range_has_whole_numbers() -> None:
    found = values({"min": 256, "max": 1024, "step": 256})
    assert found == [256, 512, 768, 1024]
    assert all(type(value) is int for value in found)


def test_listed_values_keep_their_type() -> None:
    """Pitfall B3: 8x7b and 64k stay texts."""
    listed = [None, True, 1, "1", "8x7b", "64k", 0.5, {"rope": [1, 2]}]
    assert [(type(value), value) for value in values(listed)] == [(type(value), value) for value in listed]


def test_a_boolean_is_no_number() -> None:
    assert not same_value(True, 1)
    assert same_value(1, 1.0)
    assert domain([0, 1]).index(True) is None
    assert domain({"min": 0, "max": 5}).index(True) is None


def test_a_range_does_not_hold_what_lies_between_its_steps_or_outside() -> None:
    stepped = domain({"min": 0.5, "max": 0.9, "step": 0.1})
    assert stepped.index(0.7000000000000001) == 2
    assert [stepped.index(value) for value in (0.65, 0.4, 1.0, "0.7", None)] == [None] * 5
    assert domain({"min": 1, "max": 5}).index(2.0) is None


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "float", "min": 0, "max": 1e300, "step": 1e-9},
        {"min": 0, "max": 2**60},
        {"min": 10**400, "max": 10**400},
    ],
)
def test_a_range_beyond_the_numbers_of_a_computer_is_refused(parameter: Any) -> None:
    with pytest.raises(ValueError, match="too"):
        domain(parameter)


def test_a_listed_integer_may_be_of_any_size() -> None:
    assert domain([1, 10**400]).index(10**400) == 1
    assert domain({"min": 1, "max": 5}).index(10**400) is None


@given(st.floats(0, 1, exclude_max=True), st.booleans(), st.sampled_from([None, 0.1, 7.0]))
def test_every_draw_from_a_range_lies_in_it(quantile: float, log: bool, step: float | None) -> None:
    drawn = domain({"type": "float", "min": 0.3, "max": 1000.0, "step": step, "log": log})
    value = drawn.at(quantile)
    assert isinstance(value, float)
    assert 0.3 <= value <= 1000.0
    assert drawn.index(value) is not None


def test_half_of_the_draws_from_a_logarithmic_range_are_below_its_geometric_mean() -> None:
    for parameter in ({"min": 1, "max": 10_000, "log": True}, {"type": "float", "min": 1, "max": 10_000, "log": True}):
        middle = domain(parameter).at(0.5)
        assert isinstance(middle, int | float)
        assert math.isclose(middle, 100, rel_tol=0.02)


def test_a_continuous_draw_has_no_meaningless_digits() -> None:
    assert domain({"type": "float", "min": 0.5, "max": 0.95}).at(1 / 3) == 0.65
    assert domain({"type": "float", "min": 1_000_000.0, "max": 1_000_001.0}).at(1 / 3) == 1_000_000.333333
