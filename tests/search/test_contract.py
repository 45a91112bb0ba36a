"""What every strategy promises; a new one is held to it by its name in the enumeration."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.search.spaces import make_space
from tuning.document.base import Parameters
from tuning.document.goals import Strategy as StrategySection
from tuning.document.goals import StrategyName
from tuning.search import Direction, Outcome, Space, Strategy, make_strategy
from tuning.search.space import canonical_json

pytestmark = pytest.mark.parametrize("name", StrategyName)

MIXED: dict[str, Any] = {
    "max-num-seqs": [16, 64, 128, 256],
    "max-num-batched-tokens": {"min": 64, "max": 4096, "log": True, "step": 64},
    "gpu-memory-utilization": {"min": 0.7, "max": 0.95, "step": 0.05},
    "enable-prefix-caching": [True, False, None],
    "quantization": ["fp8", "8x7b", None],
    "kv-cache-dtype": {"values": ["auto", "fp8"], "when": {"quantization": "fp8"}},
    "hf-overrides": [{"rope": {"factor": 2.0}}, None],
}
CONSTRAINTS = ("max-num-batched-tokens >= max-num-seqs", "max-num-seqs * gpu-memory-utilization < 240")


def mixed() -> Space:
    return make_space(MIXED, fixed={"dtype": "auto"}, constraints=CONSTRAINTS)


def twelve(**how: Any) -> Space:
    return make_space({"a": [1, 2, 3, 4], "b": ["x", "y", None]}, **how)


def make(
    name: StrategyName, space: Space, *, seed: int = 0, budget: int = 30, direction: Direction = "maximize"
) -> Strategy:
    section = StrategySection(name=name, seed=seed, initial_random=4)
    return make_strategy(section, space, direction=direction, budget=budget)


def measure(parameters: Parameters) -> Outcome:
    """A world with a best place, an SLO that some miss, and a corner that crashes."""
    noise = random.Random(canonical_json(parameters))
    if noise.random() < 0.15:
        return Outcome(parameters, None)
    return Outcome(parameters, value=noise.uniform(10, 100), violations=(noise.uniform(-1, 0.5),))


def crash(parameters: Parameters) -> Outcome:
    return Outcome(parameters, None)


def play(strategy: Strategy, experiments: int, world: Callable[[Parameters], Outcome] = measure) -> list[Parameters]:
    """One experiment after the other, until the space is used up or the budget is spent."""
    tried: list[Parameters] = []
    while len(tried) < experiments and (asked := strategy.ask()):
        tried += asked
        for parameters in asked:
            strategy.tell(world(parameters))
    return tried


def test_the_same_seed_tries_the_same(name: StrategyName) -> None:
    """Pitfall B13b."""
    assert play(make(name, mixed()), 15) == play(make(name, mixed()), 15)


def test_another_seed_tries_something_else(name: StrategyName) -> None:
    assert play(make(name, mixed(), seed=1), 15) != play(make(name, mixed(), seed=2), 15)


def test_twelve_combinations_and_a_budget_of_a_hundred_are_twelve_experiments(name: StrategyName) -> None:
    """Pitfall B13b: no configuration twice, and a used-up space ends the search."""
    strategy = make(name, twelve(), budget=100)
    tried = play(strategy, 100)
    assert len(tried) == len(set(map(canonical_json, tried))) == 12
    assert strategy.ask(5) == []


def test_nothing_is_tried_twice_in_a_large_space(name: StrategyName) -> None:
    tried = play(make(name, mixed()), 30)
    assert len(set(map(canonical_json, tried))) == 30


def test_configurations_that_start_the_same_server_count_once(name: StrategyName) -> None:
    """Pitfall B1a: two experiments never have the same command."""
    space = twelve(identity=lambda parameters: parameters["a"])
    assert sorted(str(parameters["a"]) for parameters in play(make(name, space, budget=100), 100)) == [
        "1",
        "2",
        "3",
        "4",
    ]


def test_what_cannot_run_is_never_tried(name: StrategyName) -> None:
    space = twelve(allowed=lambda parameters: parameters["a"] != 2, constraints=["a != 3 or b == 'x'"])
    tried = play(make(name, space, budget=100), 100)
    assert len(tried) == 3 + 2 + 3  # null is not given, so that the comparison does not apply
    assert all(space.accepts(parameters) for parameters in tried)


def test_constraints_and_conditions_hold_in_every_configuration(name: StrategyName) -> None:
    space = mixed()
    for parameters in play(make(name, space), 30):
        assert space.contains(parameters)
        assert parameters["dtype"] == "auto"
        assert ("kv-cache-dtype" in parameters) == (parameters["quantization"] == "fp8")


def test_values_keep_their_types(name: StrategyName) -> None:
    """Pitfall B3: a text stays a text, null stays null."""
    for parameters in play(make(name, mixed()), 20):
        assert type(parameters["max-num-seqs"]) is int
        assert type(parameters["max-num-batched-tokens"]) is int
        assert str(parameters["gpu-memory-utilization"]) in {"0.7", "0.75", "0.8", "0.85", "0.9", "0.95"}
        assert any(parameters["enable-prefix-caching"] is value for value in (True, False, None))
        assert parameters["quantization"] in ("fp8", "8x7b", None)
        assert parameters["hf-overrides"] in ({"rope": {"factor": 2.0}}, None)


@pytest.mark.parametrize("interrupted", range(1, 16))
def test_a_search_that_was_interrupted_goes_on_as_if_it_had_not_been(name: StrategyName, interrupted: int) -> None:
    """Pitfall A3: rebuilt from rows, the baseline among them, it asks what the uninterrupted one asks."""
    baseline: Parameters = {"dtype": "auto"}
    whole = make(name, mixed())
    whole.assume(baseline)
    whole.tell(measure(baseline))
    expected = play(whole, 17)

    resumed = make(name, mixed())
    rows = [baseline, *expected[:interrupted]]
    for parameters in rows:
        resumed.assume(parameters)
    for parameters in rows:
        resumed.tell(measure(parameters))
    assert play(resumed, 17 - interrupted) == expected[interrupted:]


def test_a_search_with_open_experiments_is_rebuilt_too(name: StrategyName) -> None:
    """Pitfall A3: outcomes came out of order, and two experiments had none yet."""

    def rebuilt(rows: list[Parameters], told: list[int]) -> Strategy:
        strategy = make(name, mixed())
        for parameters in rows:
            strategy.assume(parameters)
        for number in told:
            strategy.tell(measure(rows[number]))
        return strategy

    whole = make(name, mixed())
    rows = whole.ask(4)
    for number in (3, 0, 2, 1):
        whole.tell(measure(rows[number]))
    rows += whole.ask(4)
    for number in (6, 4):
        whole.tell(measure(rows[number]))
    assert rebuilt(rows, [3, 0, 2, 1, 6, 4]).ask(3) == whole.ask(3)


def test_the_order_of_outcomes_does_not_matter(name: StrategyName) -> None:
    def after(order: list[int]) -> list[Parameters]:
        strategy = make(name, mixed())
        rows = strategy.ask(8)
        for number in order:
            strategy.tell(measure(rows[number]))
        return strategy.ask(4)

    assert after([0, 1, 2, 3, 4, 5, 6, 7]) == after([5, 2, 7, 0, 1, 6, 4, 3])


def test_outcomes_change_the_next_answer_only_where_it_says_so(name: StrategyName) -> None:
    def asked(world: Callable[[Parameters], Outcome] | None) -> Parameters:
        strategy = make(name, mixed())
        for parameters in before:
            strategy.assume(parameters)
            if world is not None:
                strategy.tell(world(parameters))
        [parameters] = strategy.ask()
        return parameters

    before: list[Parameters] = []
    whole = make(name, mixed())
    while len(before) < 12:
        if not whole.learns:
            assert asked(None) == asked(measure) == asked(crash), len(before)
        before += play(whole, 1)
    assert whole.learns == (asked(None) != asked(measure))


def test_a_batch_has_different_configurations_and_ends_with_the_space(name: StrategyName) -> None:
    strategy = make(name, twelve(), budget=100)
    tried = strategy.ask(5)
    for parameters in tried:
        strategy.tell(measure(parameters))
    tried += strategy.ask(5)
    tried += strategy.ask(5)
    assert len(tried) == len(set(map(canonical_json, tried))) == 12


def test_a_batch_is_what_single_questions_give(name: StrategyName) -> None:
    def started() -> Strategy:
        strategy = make(name, mixed())
        play(strategy, 8)
        return strategy

    single = started()
    assert started().ask(3) == [single.ask()[0] for _ in range(3)]


def test_what_was_tried_for_another_reason_is_not_tried_again(name: StrategyName) -> None:
    strategy = make(name, twelve(), budget=100)
    strategy.assume({"a": 1, "b": "x"})
    strategy.assume({"a": 1})
    strategy.tell(Outcome({"a": 2, "b": "y"}, 5.0))
    tried = play(strategy, 100)
    assert len(tried) == 9
    assert {"a": 1, "b": None} not in tried


def test_an_outcome_outside_the_space_is_only_noted(name: StrategyName) -> None:
    strategy = make(name, twelve(), budget=100)
    strategy.tell(Outcome({"foreign": 1}, 1e9))
    strategy.tell(Outcome({}, None))
    assert len(play(strategy, 100)) == 12


def test_a_search_ends_when_everything_fails(name: StrategyName) -> None:
    assert len(play(make(name, twelve(), budget=100), 100, crash)) == 12
    assert len(play(make(name, mixed()), 30, crash)) == 30


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_search_ends_when_everything_misses_the_slo(name: StrategyName, direction: Direction) -> None:
    def slow(parameters: Parameters) -> Outcome:
        return Outcome(parameters, 1.0, (float("inf"), 0.5))

    assert len(play(make(name, twelve(), direction=direction), 100, slow)) == 12


def test_the_three_that_a_constraint_leaves_of_a_million_are_found(name: StrategyName) -> None:
    parameters = {f"p{number}": list(range(10)) for number in range(6)}
    last = [f"p{number} == {number}" for number in range(5)]
    space = make_space(parameters, constraints=[*last, "p5 >= 7"])
    tried = play(make(name, space, budget=20), 20)
    assert sorted(str(found["p5"]) for found in tried) == ["7", "8", "9"]


def test_a_rare_combination_that_only_the_engine_accepts_is_found(name: StrategyName) -> None:
    parameters = {f"p{number}": list(range(10)) for number in range(4)}
    space = make_space(parameters, allowed=lambda found: sum(map(int, map(str, found.values()))) >= 35)
    assert len(play(make(name, space, budget=50), 50)) == 5


def test_a_space_of_a_thousand_million_costs_nothing(name: StrategyName) -> None:
    """Pitfall A4a: nothing grows with the size of the space."""
    space = make_space({f"p{number}": list(range(10)) for number in range(9)})
    make(name, space)
    began = time.process_time()
    tried = make(name, space, budget=20).ask(20)
    assert len(set(map(canonical_json, tried))) == 20
    assert time.process_time() - began < 1


def test_two_hundred_outcomes_do_not_slow_it_down(name: StrategyName) -> None:
    rng = random.Random(0)
    space = make_space(MIXED)
    strategy = make(name, space, budget=1000)
    for _ in range(200):
        parameters = space.build(lambda _, domain: domain.at(rng.random()))
        strategy.assume(parameters)
        strategy.tell(measure(parameters))
    began = time.process_time()
    assert len(strategy.ask(4)) == 4
    assert time.process_time() - began < 4 * 0.2
