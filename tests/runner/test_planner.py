"""What comes next is told by the document and the rows alone."""

from typing import Any

import pytest

from tests.runner.factories import document
from tuning.document.goals import StrategyName
from tuning.document.task import TaskDocument
from tuning.models import Experiment
from tuning.runner.planner import Planned, Planner, Step

SEQUENCES = {"max-num-seqs": [1, 2, 3, 4]}


def _row(planner: Planner, planned: Planned, value: float | None) -> Experiment:
    """A finished experiment, not saved; None is a failure."""
    return Experiment(
        number=planner.last_number + 1,
        parameters=planned.parameters,
        parameters_hash=planned.parameters_hash,
        replicate=planned.replicate,
        is_baseline=planned.is_baseline,
        status=Experiment.Status.FAILED if value is None else Experiment.Status.SUCCESS,
        value=value,
        feasible=None if value is None else True,
    )


def _sequences(planned: Planned) -> Any:
    return planned.parameters.get("max-num-seqs")


def _all(plan: TaskDocument, failing: tuple[Any, ...] = ()) -> list[tuple[Any, int]]:
    """Everything that is planned when a configuration is worth its `max-num-seqs`, and the baseline 2.5."""
    planner = Planner(plan)
    made = []
    while isinstance(planned := planner.next(), Planned):
        sequences = _sequences(planned)
        planner.record(_row(planner, planned, None if sequences in failing else sequences or 2.5))
        made.append((sequences, planned.replicate))
        assert len(made) <= planner.experiments
    assert planner.next() is Step.END
    assert len(made) == planner.experiments
    return made


def test_the_baseline_is_the_first_experiment_and_has_only_fixed_values() -> None:
    """Pitfall B10a."""
    plan = document(SEQUENCES)
    planned = Planner(plan).next()
    assert isinstance(planned, Planned)
    assert (planned.is_baseline, planned.parameters) == (True, plan.search_space.fixed)


def test_without_a_baseline_the_search_begins_at_once() -> None:
    assert _all(document(SEQUENCES, baseline=False)) == [(1, 0), (2, 0), (3, 0), (4, 0)]


def test_replicates_follow_each_other() -> None:
    """Pitfall B10a."""
    plan = document({"max-num-seqs": [1, 2]}, replicates=2)
    assert _all(plan) == [(None, 0), (None, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_finalists_and_the_baseline_are_measured_again_when_the_search_is_over() -> None:
    """Pitfall B10a: the two best ones in rounds with the baseline."""
    made = _all(document(SEQUENCES, replicates=3, finalists=2))
    assert made[:5] == [(None, 0), (1, 0), (2, 0), (3, 0), (4, 0)]
    assert set(made[5:8]) == {(4, 1), (3, 1), (None, 1)}
    assert set(made[8:]) == {(4, 2), (3, 2), (None, 2)}


def test_a_task_of_failures_alone_has_no_finalists() -> None:
    """Pitfall A5: the number of experiments is the real one at the end."""
    made = _all(document({"max-num-seqs": [1, 2]}, replicates=3, finalists=2), failing=(None, 1, 2))
    assert made == [(None, 0), (1, 0), (2, 0)]


def test_a_failure_is_no_finalist() -> None:
    """Pitfall B5a."""
    made = _all(document(SEQUENCES, replicates=2, finalists=1), failing=(4,))
    assert made[5:] == [(3, 1), (None, 1)]


@pytest.mark.parametrize(("budget", "expected"), [(1, [None]), (3, [None, 1, 2]), (5, [None, 1, 2, 3, 4])])
def test_the_budget_counts_configurations_with_the_baseline(budget: int, expected: list[Any]) -> None:
    """Pitfall A5."""
    made = [sequences for sequences, _ in _all(document(SEQUENCES, budget={"experiments": budget}))]
    assert len(made) == len(expected)
    assert made[0] is None
    assert budget < 5 or made == expected


@pytest.mark.parametrize("strategy", [name.value for name in StrategyName])
def test_equal_command_lines_are_planned_once(strategy: str) -> None:
    """Pitfalls B1a, B13b: another spelling, another type, or the default left out are the same server."""
    plan = document(
        {"max-num-seqs": [None, 8, "8"], "max_num_seqs": [8, None]},
        strategy={"name": strategy},
    )
    hashes = _hashes(plan)
    assert len(hashes) == len(set(hashes)) == 2


def _hashes(plan: TaskDocument) -> list[str]:
    planner = Planner(plan)
    hashes = []
    while isinstance(planned := planner.next(), Planned):
        planner.record(_row(planner, planned, 1.0))
        hashes.append(planned.parameters_hash)
    return hashes


def test_what_the_engine_cannot_run_is_not_planned() -> None:
    """Pitfall B14: max-num-batched-tokens below max-num-seqs."""
    plan = document(
        {"max-num-seqs": [64, 512], "max-num-batched-tokens": [256, 2048]}, fixed={"enable-chunked-prefill": True}
    )
    planner = Planner(plan)
    pairs = []
    while isinstance(planned := planner.next(), Planned):
        planner.record(_row(planner, planned, 1.0))
        pairs.append((_sequences(planned), planned.parameters.get("max-num-batched-tokens")))
    assert (512, 256) not in pairs
    assert set(pairs) == {(None, None), (64, 256), (64, 2048), (512, 2048)}


@pytest.mark.parametrize("strategy", ["random", "bayesian"])
def test_a_finite_space_ends_before_a_larger_budget(strategy: str) -> None:
    """Pitfall B13b: twelve combinations and a budget of a hundred are twelve experiments."""
    plan = document(
        {"max-num-seqs": [1, 2, 3, 4], "max-num-batched-tokens": [512, 1024, 2048]},
        strategy={"name": strategy},
        budget={"experiments": 100},
        baseline=False,
    )
    assert len(_hashes(plan)) == 12
