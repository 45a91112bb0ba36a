"""What a task's row says of its best configuration is what all of its rows say, whenever nothing runs."""

import importlib
import random
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.runner.factories import cancel_when, experiment, living, run, running, taken, task
from tuning.models import Experiment, Task
from tuning.runner import best, lifecycle, slots
from tuning.runner.reconcile import MAX_LOSSES, recover
from tuning.runner.results import TaskResults

pytestmark = pytest.mark.django_db(transaction=True)

Status = Experiment.Status
SPACE: dict[str, Any] = {"max-num-seqs": [1, 4, 16]}


def _stored(one: Task) -> tuple[int | None, float | None, float | None]:
    one.refresh_from_db()
    return one.best_id, one.best_value, one.best_ratio


def _true(one: Task) -> tuple[int | None, float | None, float | None]:
    results = TaskResults.of(one)
    if results.best is None:
        return None, None, None
    result = results.result(results.best)
    value = result.value if result else None
    return results.best.pk, value, results.ratio(value)


def _finish(one: Task, number: int, value: float | None, *, key: str = "", feasible: bool = True) -> Experiment:
    """An experiment that was taken by a worker and has ended; None is a failure."""
    replicate = one.experiments.filter(parameters_hash=key).count() if key else 0
    columns = {"parameters_hash": key} if key else {}
    row = experiment(one, number, replicate=replicate, is_baseline=number == 1 or key == "base", **columns)
    if value is None:
        taken(row).finish(status=Status.FAILED, reason="engine_crashed", message="It crashed.")
    else:
        excess = [] if feasible else [0.5]
        taken(row).finish(status=Status.SUCCESS, value=value, feasible=feasible, violations=excess)
    return row


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"baseline": False},
        {"objective": {"name": "minimize_ttft"}},
        {"replicates": 2},
        {"replicates": 2, "finalists": 1},
        {"slo": {"ttft_ms": {"p99": 0.001}}},
    ],
    ids=["maximise", "no baseline", "minimise", "replicates", "finalists", "all infeasible"],
)
def test_a_run_leaves_what_its_results_say(plan: dict[str, Any]) -> None:
    one = task(SPACE, **plan)
    run(one)
    assert _stored(one) == _true(one)
    assert ("slo" in plan) == (one.best_id is None)
    assert (one.best_ratio is None) == ("slo" in plan or plan.get("baseline") is False)


def test_an_experiment_that_ends_while_its_task_is_paused_or_cancelled_counts() -> None:
    slots.register()
    for stop in (lifecycle.pause, lifecycle.cancel):
        one = running(parameters=SPACE, name=stop.__name__)
        lease = taken(experiment(one, is_baseline=True))
        stop(one)
        lease.finish(status=Status.SUCCESS, value=3.0, feasible=True)
        assert _stored(one) == _true(one) == (lease.experiment.pk, 3.0, 1.0)


def test_a_cancelled_run_keeps_the_best_so_far_and_goes_on_with_it() -> None:
    one = task(SPACE)
    run(one, **cancel_when(lambda now: now.experiment.number == 3))
    assert _stored(one) == _true(one)
    assert one.best_id is not None
    run(one)
    assert _stored(one) == _true(one)


def test_a_best_one_that_fails_when_it_is_measured_again_is_best_no_more() -> None:
    """Pitfall B5a."""
    slots.register()
    one = running(parameters=SPACE)
    _finish(one, 1, 2.0, key="base")
    second = _finish(one, 2, 3.0, key="b")
    first = _finish(one, 3, 9.0, key="a")
    assert _stored(one) == (first.pk, 9.0, 4.5)
    _finish(one, 4, None, key="a")
    assert _stored(one) == _true(one) == (second.pk, 3.0, 1.5)


def test_a_retry_takes_outcomes_back_and_a_reset_all_of_them() -> None:
    slots.register()
    one = running(parameters=SPACE)
    _finish(one, 1, 2.0, key="base")
    first = _finish(one, 2, 9.0, key="a")
    _finish(one, 3, None, key="a")
    lifecycle.cancel(one)
    assert _stored(one)[1] == 2.0
    lifecycle.retry(one, wake=lambda pk: None)
    assert _stored(one) == _true(one) == (first.pk, 9.0, 4.5)
    lifecycle.reset(one)
    assert _stored(one) == (None, None, None)


def test_a_lost_replicate_of_the_best_one_ends_its_time() -> None:
    slots.register()
    one = running(parameters=SPACE)
    _finish(one, 1, 2.0, key="a")
    lost = experiment(one, 2, replicate=1, parameters_hash="a", losses=MAX_LOSSES - 1)
    taken(lost)
    Experiment.objects.filter(pk=lost.pk).update(worker=None)
    recover()
    assert _stored(one) == _true(one) == (None, None, None)


@pytest.mark.parametrize("towards", ["maximize_throughput", "minimize_ttft"])
def test_whatever_comes_out_in_whatever_order_the_row_says_what_all_rows_say(towards: str) -> None:
    slots.register()
    draw = random.Random(7)
    one = running(parameters=SPACE, objective={"name": towards})
    _finish(one, 1, 2.0, key="base")
    for number in range(2, 41):
        value = draw.choice([None, 1.0, 2.0, 2.5, 3.0, 4.0])
        _finish(one, number, value, key=draw.choice("abcdefgh"), feasible=draw.random() < 0.7)
        assert _stored(one) == _true(one)


def test_an_outcome_costs_the_same_however_many_there_were() -> None:
    slots.register()
    one = running(parameters=SPACE)

    def cost(number: int) -> tuple[int, int]:
        lease = taken(experiment(one, number))
        with CaptureQueriesContext(connection) as queries:
            lease.finish(status=Status.SUCCESS, value=1.0, feasible=True)
        return len(queries), max(len(query["sql"]) for query in queries)

    _finish(one, 1, 2.0, key="base")
    early = cost(2)
    for number in range(3, 60):
        experiment(one, number, status=Status.SUCCESS, value=1.0, feasible=True)
    assert cost(60)[0] == early[0]
    assert living().pk == "living"


@pytest.mark.parametrize("towards", ["maximize_throughput", "minimize_ttft"])
def test_tasks_from_before_get_their_best_when_the_database_is_migrated(towards: str) -> None:
    """Pitfall F4."""
    slots.register()
    one = running(parameters=SPACE, objective={"name": towards})
    for number, (key, value) in enumerate([("base", 2.0), ("a", 3.0), ("a", 5.0), ("b", 1.0), ("c", None)], start=1):
        _finish(one, number, value, key=key)
    Task.objects.filter(pk=one.pk).update(**best.NONE)
    importlib.import_module("tuning.migrations.0004_stored_best").fill(apps, None)
    assert _stored(one) == _true(one)
    assert one.best_id is not None
