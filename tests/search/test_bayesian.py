"""Model-based search: what the model is told, and what it makes of it."""

import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable

import optuna
import pytest
from optuna.trial import TrialState

from tests.search.spaces import make_space
from tuning.document.base import Parameters
from tuning.search.base import Direction, Outcome
from tuning.search.bayesian import BayesianStrategy
from tuning.search.space import Space
from tuning.search.tpe import Model

SEQS = [8, 16, 32, 64, 128, 256, 512, 1024]


def strategy(space: Space, direction: Direction = "maximize", initial_random: int = 6) -> BayesianStrategy:
    return BayesianStrategy(space, seed=0, direction=direction, initial_random=initial_random)


def number(parameters: Parameters, name: str) -> float:
    value = parameters[name]
    assert isinstance(value, int | float)
    return value


def serving() -> Space:
    return make_space({"seqs": SEQS, "tokens": {"min": 256, "max": 16_384, "log": True}, "cache": [True, False]})


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_failure_is_told_without_a_value_and_is_never_the_best(direction: Direction) -> None:
    """Pitfalls B5a, B5b and B7: no constant stands for a crash; it is last whichever way the objective points."""
    model = Model(make_space({"a": [1, 2, 3]}), direction)
    failed = model.trial({"a": 1}, Outcome({"a": 1}, None))
    slow = model.trial({"a": 2}, Outcome({"a": 2}, 150.0, (math.inf,)))
    good = model.trial({"a": 3}, Outcome({"a": 3}, 80.0, (-0.1,)))
    assert (failed.state, failed.value, failed.constraints) == (TrialState.PRUNED, None, {"excess": math.inf})
    assert failed.constraints["excess"] > slow.constraints["excess"] > good.constraints["excess"] == 0
    study = optuna.create_study(direction=direction)
    study.add_trials([failed, slow, good])
    assert study.best_trial.value == 80.0


def share_of_failures(space: Space, direction: Direction, works: Callable[[Parameters], bool]) -> float:
    """Of the experiments that the model chose, in four searches of forty."""
    failures = 0
    for seed in range(4):
        search = BayesianStrategy(space, seed=seed, direction=direction, initial_random=10)
        for turn in range(40):
            [parameters] = search.ask()
            search.tell(Outcome(parameters, number(parameters, "b") if works(parameters) else None))
            failures += turn >= 10 and not works(parameters)
    return failures / (4 * 30)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("crashing", [8, 1024])
def test_the_search_stays_away_from_what_crashes(direction: Direction, crashing: int) -> None:
    """Pitfall B5a: half of the space crashes, and draws neither a minimiser nor a maximiser to it."""
    space = make_space({"seqs": [crashing, 64], "a": list(range(10)), "b": list(range(10))})
    assert share_of_failures(space, direction, lambda parameters: parameters["seqs"] == 64) < 0.4


def test_where_nearly_everything_crashes_a_crash_does_not_look_good() -> None:
    """Nine tenths of the space crash, so that most of the best tenth of the trials would be crashes."""
    space = make_space({"a": list(range(30)), "b": list(range(30))})
    assert share_of_failures(space, "maximize", lambda parameters: number(parameters, "a") >= 27) < 0.8


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_search_goes_where_the_slo_holds_and_the_objective_is_best(direction: Direction) -> None:
    search = strategy(serving(), direction)
    best = -math.inf
    for _ in range(40):
        [parameters] = search.ask()
        seqs, tokens = number(parameters, "seqs"), number(parameters, "tokens")
        gain = math.log2(seqs) - 0.1 * abs(math.log2(tokens / 4096))
        excess = (seqs - 200) / 200
        search.tell(Outcome(parameters, gain if direction == "maximize" else -gain, (excess,)))
        best = max(best, gain if excess <= 0 else -math.inf)
    assert best > 7 - 0.1


def test_the_model_is_told_the_parameters_that_ran() -> None:
    """Pitfall B13a: also when something else was asked."""
    space = make_space({"tp": [1, 2, 4], "cache": [True, False]})
    trial = Model(space, "maximize").trial({"tp": 4, "cache": False}, Outcome({"tp": 4, "cache": False}, 3.0))
    assert trial.params == {"tp": 2, "cache": 1}


def test_listed_numbers_have_an_order_and_other_values_have_none() -> None:
    space = make_space({"n": [64, 8, 512], "t": ["a", "b", "c"], "c": [None, 1, 2]})
    trial = Model(space, "maximize").trial({"n": 8, "t": "c", "c": 1}, None)
    assert isinstance(trial.distributions["n"], optuna.distributions.IntDistribution)
    assert trial.params == {"n": 0, "t": 2, "c": 1}


def test_the_baseline_is_learned_from_when_the_space_holds_it() -> None:
    """A baseline outside the space changes nothing; one inside it is known to the model."""

    def asked_after(baseline: Parameters) -> list[Parameters]:
        search = strategy(serving(), initial_random=2)
        for parameters in search.ask(2):
            search.tell(Outcome(parameters, 10.0))
        search.tell(Outcome(baseline, 500.0))
        return search.ask(6)

    outside, elsewhere = asked_after({"dtype": "auto"}), asked_after({"dtype": "float16"})
    inside = asked_after({"seqs": 1024, "tokens": 16_000, "cache": True})
    assert outside == elsewhere
    assert outside != inside


def test_open_experiments_keep_a_batch_apart() -> None:
    space = make_space({"u": {"type": "float", "min": 0, "max": 1}, "v": {"type": "float", "min": 0, "max": 1}})
    search = strategy(space)
    for parameters in search.ask(6):
        search.tell(Outcome(parameters, number(parameters, "u")))
    batch = search.ask(6)
    assert len({(round(number(one, "u"), 3), round(number(one, "v"), 3)) for one in batch}) == 6


def test_optuna_says_nothing(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither its log nor its warnings about experimental features reach the user."""
    with caplog.at_level(logging.DEBUG):
        search = strategy(serving(), initial_random=1)
        for _ in range(3):
            search.tell(Outcome(search.ask()[0], 1.0))
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


PLAY = """
from tests.search.test_bayesian import serving, strategy
from tuning.search import Outcome
search = strategy(serving())
for turn in range(12):
    [parameters] = search.ask()
    search.tell(Outcome(parameters, float(turn % 5)))
    print(sorted(parameters.items()))
"""


def test_another_process_chooses_the_same() -> None:
    """Pitfall A3: nothing depends on how this process orders its sets."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PLAY], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_other_strategies_do_not_wait_for_optuna() -> None:
    program = "import sys, tuning.search; sys.exit('optuna' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
