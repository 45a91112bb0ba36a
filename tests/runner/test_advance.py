"""What a task does next is done once, whoever does it, and does not become dearer."""

import threading
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from tests.runner.factories import experiment, running, taken
from tuning.models import Experiment, LogLine, Task
from tuning.runner import slots
from tuning.runner.planner import Planner
from tuning.runner.plans import Plans
from tuning.runner.task import advance

pytestmark = pytest.mark.django_db(transaction=True)

Status = Experiment.Status
SPACE: dict[str, Any] = {"max-num-seqs": {"min": 1, "max": 60}}


@pytest.fixture(autouse=True)
def _one_slot() -> None:
    slots.register()


def _rows(one: Task) -> list[Experiment]:
    return list(one.experiments.order_by("number"))


def test_many_that_advance_a_task_at_once_make_each_experiment_once() -> None:
    """Pitfall A11: each has plans and a database connection of its own, as processes have."""
    one = running(parameters=SPACE, max_parallel=8)
    barrier = threading.Barrier(6)
    raised: list[BaseException] = []

    def work() -> None:
        plans = Plans()
        try:
            for _ in range(4):
                barrier.wait(timeout=60)
                advance(one.pk, plans)
        except BaseException as error:
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    rows = _rows(one)
    assert [row.number for row in rows] == list(range(1, 9))
    assert len({row.parameters_hash for row in rows}) == 8


def test_whoever_advances_goes_on_from_what_others_made() -> None:
    """Pitfalls A2, A3: a kept plan and a fresh one say the same."""
    one = running(parameters=SPACE, max_parallel=2)
    here, there = Plans(), Plans()
    for _ in range(3):
        for plans in (here, there):
            advance(one.pk, plans)
            one.experiments.filter(status=Status.PENDING).update(status=Status.SUCCESS, value=1.0)
    advance(one.pk, here)
    rows = _rows(one)
    assert [row.number for row in rows] == list(range(1, 15))
    with here.of(one) as kept, there.of(one) as other:
        fresh = Planner(one.task_document, rows)
        assert kept.next() == other.next() == fresh.next()
        assert kept.unfinished == other.unfinished == fresh.unfinished == {13, 14}


def test_a_kept_plan_forgets_outcomes_that_were_taken_back() -> None:
    """Pitfall A2: after a retry it equals a fresh one."""
    one = running(parameters=SPACE, strategy={"name": "bayesian", "seed": 3, "initial_random": 2})
    plans = Plans()
    for value in (1.0, 5.0, 3.0, None):
        advance(one.pk, plans)
        outcome = {"status": Status.SUCCESS, "value": value} if value else {"status": Status.FAILED}
        one.experiments.filter(status=Status.PENDING).update(**outcome)
    with plans.of(one) as kept:
        assert kept.unfinished == frozenset()
    one.experiments.filter(status=Status.FAILED).update(status=Status.PENDING)
    Task.objects.update(revision=1)
    one.refresh_from_db()
    with plans.of(one) as kept:
        assert kept.unfinished == {4}
    one.experiments.filter(status=Status.PENDING).update(status=Status.SUCCESS, value=2.0)
    with plans.of(one) as kept:
        assert kept.next() == Planner(one.task_document, _rows(one)).next()


def test_the_gpu_hours_of_all_attempts_count_and_end_the_task() -> None:
    """Pitfall A8."""
    one = running(parameters=SPACE, budget={"gpu_hours": 3.0})
    experiment(one, 1, status=Status.SUCCESS, value=1.0, gpus=2, spent_s=3600)
    experiment(one, 2, status=Status.FAILED, gpus=1, spent_s=3590)
    running_now = taken(experiment(one, 3))
    experiment(one, 4)
    advance(one.pk, Plans())
    assert [row.status for row in _rows(one)] == ["success", "failed", "deploying", "pending"]
    Experiment.objects.filter(number=3).update(spent_s=20)
    for _ in range(2):
        advance(one.pk, Plans())
    assert [row.status for row in _rows(one)] == ["success", "failed", "deploying", "cancelled"]
    running_now.finish(status=Status.SUCCESS, value=1.0)
    advance(one.pk, Plans())
    one.refresh_from_db()
    assert (one.status, one.message) == (Task.Status.COMPLETED, "The budget of 3 GPU-hours is used up.")
    assert one.finished_at is not None


F, S, R, P, C = Status.FAILED, Status.SUCCESS, Status.BENCHMARKING, Status.PENDING, Status.CANCELLED


@pytest.mark.parametrize(
    ("outcomes", "ends"),
    [
        ([F, F, F], True),
        ([S, F, F], False),
        ([F, F, S], False),
        ([F, R, F, F], False),
        ([F, F, F, R], True),
        ([F, F, F, S, R], True),
        ([R, F, F, F, S], True),
        ([F, F, P, F, P], False),
        ([F, F, C, F], True),
    ],
)
def test_failures_in_a_row_are_counted_in_the_order_of_asking(outcomes: list[Status], ends: bool) -> None:
    """Pitfall B7: whichever of several parallel experiments ends first, the same failures end the task."""
    one = running(parameters=SPACE, budget={"max_failures": 3}, max_parallel=3)
    for number, status in enumerate(outcomes, 1):
        experiment(one, number, status=status, attempt=1, value=1.0 if status == S else None)
    advance(one.pk, Plans())
    one.refresh_from_db()
    still_runs = R in outcomes
    assert (one.status == Task.Status.FAILED) is (ends and not still_runs)
    assert (one.experiments.count() == len(outcomes)) is (ends or outcomes.count(R) + outcomes.count(P) == 3)


def test_what_never_ran_for_want_of_slots_is_no_failure_in_a_row() -> None:
    one = running(parameters=SPACE, budget={"max_failures": 2})
    for number in (1, 2, 3):
        experiment(one, number, status=F, attempt=0, reason="invalid_config")
    advance(one.pk, Plans())
    assert _rows(one)[-1].status == P


def test_a_task_that_ends_for_its_failures_ends_whatever_the_last_ones_bring() -> None:
    """What is cancelled for it is not waited for: the end is reached."""
    one = running(parameters=SPACE, budget={"max_failures": 2}, max_parallel=3)
    for number in (1, 2):
        experiment(one, number, status=F, attempt=1)
    last = taken(experiment(one, 3))
    experiment(one, 4)
    plans = Plans()
    advance(one.pk, plans)
    last.finish(status=S, value=1.0)
    advance(one.pk, plans)
    one.refresh_from_db()
    assert [row.status for row in _rows(one)] == [F, F, S, C]
    assert (one.status, one.message) == (Task.Status.FAILED, "2 experiments failed one after another.")


def test_an_end_is_written_and_said_once() -> None:
    """Pitfall A9b: several that see the end at once."""
    one = running()
    plans = [Plans(), Plans()]
    for each in plans * 2:
        advance(one.pk, each)
        one.experiments.filter(status=P).update(status=S, value=1.0)
    assert LogLine.objects.filter(task=one, text__startswith="completed: ").count() == 1


def test_the_cost_of_an_experiment_does_not_grow_with_the_search_space_or_the_history() -> None:
    """Pitfall A4a: neither the grid nor what was measured is written again."""

    def cost(values: int, history: int) -> tuple[int, int]:
        space = {name: {"min": 1, "max": values} for name in ("max-num-seqs", "max-num-batched-tokens")}
        one = running(parameters=space, name=f"{values} {history}", budget={"experiments": 1_000_000})
        plans = Plans()
        for _ in range(history):
            advance(one.pk, plans)
            one.experiments.filter(status=P).update(status=S, value=1.0)
        with CaptureQueriesContext(connection) as queries:
            advance(one.pk, plans)
            taken(one.experiments.get(status=P)).finish(status=S, value=1.0)
        written = [query["sql"] for query in queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
        return len(written), sum(map(len, written))

    cost(3, 1)  # makes the worker, too
    statements, size = cost(4, 1)
    many_statements, many_size = cost(100, 40)
    assert many_statements == statements
    assert many_size < 1.1 * size
