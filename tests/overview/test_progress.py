"""How far tasks are, and how long that takes."""

from typing import Any

import pytest

from tests.runner.factories import experiment, running
from tuning.models import Experiment, Task
from tuning.overview.progress import Counts, counts_of, document_of, planned, rough, time_left_s, total

pytestmark = pytest.mark.django_db

FOUR: dict[str, Any] = {"max-num-seqs": [1, 2, 3, 4]}


def test_experiments_are_counted_by_what_became_of_them() -> None:
    one, other = running(parameters=FOUR), running(parameters=FOUR)
    for number, (status, feasible) in enumerate(
        [("success", True), ("success", False), ("failed", None), ("deploying", None), ("pending", None)], start=1
    ):
        experiment(one, number, status=status, feasible=feasible)
    counts = counts_of([one.pk, other.pk])
    assert counts == {one.pk: Counts(feasible=1, infeasible=1, failed=1, deploying=1, pending=1)}
    assert (counts[one.pk].finished, counts[one.pk].running, counts[one.pk].made) == (3, 1, 5)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({}, 5),
        ({"baseline": False}, 4),
        ({"budget": {"experiments": 3}}, 3),
        ({"replicates": 2}, 10),
        ({"replicates": 3, "finalists": 1}, 9),
    ],
)
def test_a_task_says_of_how_many_experiments_it_is(others: dict[str, Any], expected: int) -> None:
    assert planned(running(parameters=FOUR, **others)) == expected


def test_a_space_without_an_end_is_as_large_as_the_budget() -> None:
    wide = {"gpu-memory-utilization": {"min": 0.5, "max": 0.9}}
    assert planned(running(parameters=wide, strategy={"name": "random"}, budget={"experiments": 7})) == 7


def test_a_task_that_has_ended_is_of_as_many_experiments_as_it_made() -> None:
    one = running(parameters=FOUR)
    assert total(one, Counts(feasible=2)) == 5
    one.status = Task.Status.COMPLETED
    assert total(one, Counts(feasible=2)) == 2


def test_what_is_left_takes_as_long_as_what_finished_did() -> None:
    one = running(parameters=FOUR)
    assert time_left_s(one, Counts(pending=1)) is None
    experiment(one, 1, status=Experiment.Status.SUCCESS, feasible=True, total_s=100.0)
    experiment(one, 2, status=Experiment.Status.FAILED, total_s=140.0)
    assert time_left_s(one, Counts(feasible=1, failed=1, deploying=1)) == 360.0
    assert time_left_s(one, Counts(feasible=4, failed=1)) == 0.0


def test_experiments_that_run_at_the_same_time_take_less() -> None:
    one = running(parameters=FOUR, max_parallel=2)
    experiment(one, 1, status=Experiment.Status.SUCCESS, feasible=True, total_s=60.0)
    assert time_left_s(one, Counts(feasible=1)) == 120.0


def test_an_estimate_does_not_tick() -> None:
    assert [rough(seconds) for seconds in (0, 7, 61, 119, 601, 3601, 7 * 3600 + 1)] == [
        0, 10, 120, 120, 900, 4500, 8 * 3600,
    ]  # fmt: skip


def test_an_edited_document_is_read_again() -> None:
    one = running(parameters=FOUR)
    assert document_of(one).budget.experiments == 50
    one.document = {**one.document, "budget": {**one.document["budget"], "experiments": 2}}
    one.document_digest = "another"
    assert document_of(one).budget.experiments == 2
