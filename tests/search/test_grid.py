"""The grid: in order when the budget is enough, spread evenly when it is not."""

from collections import Counter

import pytest

from tests.search.spaces import make_space
from tuning.search.grid import make_grid


def test_a_budget_that_covers_the_grid_tries_it_in_order() -> None:
    space = make_space({"max-num-seqs": [8, 16], "enable-prefix-caching": [True, False]})
    assert make_grid(space, seed=0, budget=4).ask(10) == [
        {"max-num-seqs": 8, "enable-prefix-caching": True},
        {"max-num-seqs": 8, "enable-prefix-caching": False},
        {"max-num-seqs": 16, "enable-prefix-caching": True},
        {"max-num-seqs": 16, "enable-prefix-caching": False},
    ]


def test_constraints_count_when_the_budget_is_compared_with_the_grid() -> None:
    space = make_space({"a": list(range(10)), "b": list(range(10))}, constraints=["a + b <= 1"])
    assert make_grid(space, seed=5, budget=3).ask(3) == [{"a": 0, "b": 0}, {"a": 0, "b": 1}, {"a": 1, "b": 0}]


def test_a_smaller_budget_takes_every_value_of_every_parameter_equally_often() -> None:
    space = make_space({f"p{number}": list(range(10)) for number in range(9)})
    chosen = make_grid(space, seed=0, budget=20).ask(20)
    for name in space.domains:
        assert set(Counter(parameters[name] for parameters in chosen).values()) == {2}


def test_a_range_longer_than_the_budget_is_sampled_in_every_part() -> None:
    space = make_space({"a": {"min": 1, "max": 1_000_000_000}, "b": [1, 2]})
    chosen = [parameters["a"] for parameters in make_grid(space, seed=0, budget=10).ask(10)]
    assert {value // 100_000_000 for value in chosen if isinstance(value, int)} == set(range(10))


def test_a_logarithmic_range_is_sampled_by_magnitude() -> None:
    space = make_space({"a": {"min": 1, "max": 65_536, "log": True}})
    chosen = [parameters["a"] for parameters in make_grid(space, seed=0, budget=16).ask(16)]
    assert 6 <= sum(1 for value in chosen if isinstance(value, int) and value < 256) <= 9


def test_a_range_without_step_is_refused_by_name() -> None:
    space = make_space({"gpu-memory-utilization": {"type": "float", "min": 0.5, "max": 0.9}})
    with pytest.raises(ValueError, match="gpu-memory-utilization"):
        make_grid(space, seed=0, budget=3)
