"""One experiment is stopped by hand: its engine is gone, it has failed, and its task goes on."""

import pytest
from pytest_django.fixtures import Settings

from tests.runner.begun import Begun, long
from tests.runner.factories import experiment, processes_of, running, taken, task
from tuning.errors import ConflictError
from tuning.models import Experiment, Slot, Task, Worker
from tuning.runner import lifecycle, slots
from tuning.runner.instance import instance_id
from tuning.runner.plans import Plans
from tuning.runner.reconcile import recover
from tuning.runner.task import advance
from tuning.runner.worker import WorkerProcess

pytestmark = pytest.mark.django_db(transaction=True)

FAILED = Experiment.Status.FAILED


@pytest.fixture(autouse=True)
def _slots() -> None:
    slots.register()


def test_a_worker_ends_what_is_stopped_and_removes_its_engine_first(settings: Settings) -> None:
    """A second press is refused in words; the slot is free, and the task goes on with the next experiment."""
    settings.AUTOTUNER_LEASE_S = 2
    row = long()
    with WorkerProcess(Worker.Kind.WORKER) as worker, Begun(worker, row) as begun:
        lifecycle.stop(row, "ada")
        with pytest.raises(ConflictError, match="being ended already"):
            lifecycle.stop(row, "ada")
        assert begun.result()
        assert processes_of(instance_id()) == []
    row.refresh_from_db()
    assert (row.status, row.reason, row.message) == (FAILED, "cancelled", "Stopped by ada.")
    assert Slot.objects.get().claim == ""
    assert Task.objects.get().status == Task.Status.RUNNING


def test_what_has_ended_cannot_be_stopped() -> None:
    row = experiment(task(), status=FAILED, reason="out_of_memory", message="No room.")
    with pytest.raises(ConflictError, match="Experiment 1 of a task cannot be stopped: it is failed"):
        lifecycle.stop(row, "ada")
    row.refresh_from_db()
    assert (row.reason, row.message) == ("out_of_memory", "No room.")


def test_what_is_stopped_and_loses_its_worker_has_failed_and_is_not_tried_again() -> None:
    row = experiment(running())
    taken(row)
    lifecycle.stop(row, "ada")
    Experiment.objects.update(worker=None)
    (action,) = recover()
    assert str(action) == f"experiment 1 of task {row.task_id} has failed: attempt 1 was stopped"
    row.refresh_from_db()
    assert (row.status, row.reason, row.message) == (FAILED, "cancelled", "Stopped by ada.")


def test_what_was_stopped_is_no_failure_in_a_row_and_can_be_retried() -> None:
    one = running(parameters={"max-num-seqs": [1, 2, 4, 8]}, budget={"max_failures": 2})
    for number in (1, 2, 3):
        experiment(one, number, status=FAILED, attempt=1, reason="cancelled")
    advance(one.pk, Plans())
    assert one.experiments.get(number=4).status == Experiment.Status.PENDING
    Task.objects.update(status=Task.Status.PAUSED)
    assert lifecycle.retry(one, lambda pk: None) == 3
    assert one.experiments.filter(status=Experiment.Status.PENDING, reason="").count() == 4
