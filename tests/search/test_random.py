"""Random search."""

from collections import Counter

from tests.search.spaces import make_space
from tuning.search.randomized import make_random


def test_every_value_of_a_list_is_drawn_alike() -> None:
    space = make_space({"a": ["x", "y"], "b": {"type": "float", "min": 0, "max": 1}})
    drawn = Counter(str(parameters["a"]) for parameters in make_random(space, seed=0).ask(1000))
    assert 450 < drawn["x"] < 550


def test_a_continuous_range_gives_ever_new_numbers_inside_it() -> None:
    space = make_space({"u": {"type": "float", "min": 0.5, "max": 0.95}})
    drawn = [parameters["u"] for parameters in make_random(space, seed=0).ask(200)]
    assert len(set(map(str, drawn))) == 200
    assert all(isinstance(value, float) and 0.5 <= value <= 0.95 for value in drawn)


def test_a_logarithmic_range_is_drawn_by_magnitude() -> None:
    space = make_space({"t": {"type": "float", "min": 1, "max": 10_000, "log": True}})
    drawn = [parameters["t"] for parameters in make_random(space, seed=0).ask(1000)]
    assert 450 < sum(isinstance(value, float) and value < 100 for value in drawn) < 550


def test_the_last_configurations_of_a_space_are_found() -> None:
    space = make_space({"a": {"min": 1, "max": 2000}})
    assert len(make_random(space, seed=0).ask(5000)) == 2000


def test_a_continuous_space_that_allows_nothing_is_given_up() -> None:
    space = make_space({"u": {"type": "float", "min": 0, "max": 1}}, constraints=["u > 1"])
    assert make_random(space, seed=0).ask() == []
