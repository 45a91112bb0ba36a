"""One process as a worker: it shows that it lives, outlives what fails, and holds nothing when it is gone."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from pytest_django.fixtures import Settings

from tests.runner.begun import Begun, long
from tests.runner.factories import experiment, living, task
from tuning.models import Experiment, Slot, Task, Worker
from tuning.runner import leases, lifecycle, locks
from tuning.runner.reconcile import is_dead, recover
from tuning.runner.worker import WorkerProcess

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(settings: Settings) -> Iterator[WorkerProcess]:
    settings.AUTOTUNER_LEASE_S = 2
    with WorkerProcess(Worker.Kind.WORKER) as worker:
        yield worker


def _until(reached: Callable[[], Any]) -> None:
    done = threading.Event()
    give_up = threading.Timer(60, done.set)
    give_up.start()
    try:
        while not reached():
            assert not done.is_set()
    finally:
        give_up.cancel()


def test_a_worker_is_alive_exactly_as_long_as_it_lasts() -> None:
    with WorkerProcess(Worker.Kind.WORKER) as worker:
        row = Worker.objects.get()
        assert (row.pk, row.pid, row.kind) == (worker.id, os.getpid(), Worker.Kind.WORKER)
        assert not is_dead(row)
        assert not Experiment.objects.filter(worker=worker.id).exists()
    assert not Worker.objects.exists()
    assert not locks.worker_lock(worker.id).exists()


def test_what_a_worker_holds_is_renewed_until_it_is_handed_back(worker: WorkerProcess) -> None:
    """Pitfalls A10, A13: longer than a lease, though its thread waits; then nothing is held and nothing lost."""
    row = long()
    with Begun(worker, row) as begun:
        first = Experiment.objects.get().lease_until
        assert first is not None
        _until(lambda: Experiment.objects.get().lease_until > first + 2)
        assert Experiment.objects.get().worker_id == worker.id
        assert recover() == []
        worker.stop()
        assert begun.result()
    row.refresh_from_db()
    assert (row.status, row.attempt, row.losses, row.claim) == (Experiment.Status.PENDING, 1, 0, "")
    assert row.spent_s > 2
    assert Slot.objects.get().claim == ""
    assert not Experiment.objects.filter(worker=worker.id).exists()
    assert not worker.run(row.pk)


def test_a_cancelled_task_ends_what_runs_of_it(worker: WorkerProcess) -> None:
    """Pitfall A6a."""
    row = long()
    with Begun(worker, row) as begun:
        lifecycle.cancel(Task.objects.get())
        assert begun.result()
    row.refresh_from_db()
    assert (row.status, row.reason, row.message) == (Experiment.Status.CANCELLED, "cancelled", "Cancelled.")
    assert Task.objects.get().status == Task.Status.CANCELLED
    assert Slot.objects.get().claim == ""


def test_an_attempt_that_was_taken_over_ends_without_a_word(worker: WorkerProcess) -> None:
    """Pitfall A7: the row is another's; the engine of the old attempt goes all the same."""
    row = long()
    with Begun(worker, row) as begun:
        Experiment.objects.update(claim="another", worker=living(), attempt=2)
        before = Experiment.objects.values().get()
        assert begun.result()
    assert Experiment.objects.values().get() == before
    assert not row.measurements.exists()


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection closed")])
def test_the_sign_of_life_comes_back_with_the_database(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Pitfall A19b: whatever the database raises, the next beat tries again."""
    settings.AUTOTUNER_LEASE_S = 1
    refused = threading.Semaphore(0)
    show = WorkerProcess._show_life

    def refuse(worker: WorkerProcess) -> None:
        refused.release()
        raise error

    with WorkerProcess(Worker.Kind.WORKER) as worker:
        monkeypatch.setattr(WorkerProcess, "_show_life", refuse)
        assert refused.acquire(timeout=60)
        assert refused.acquire(timeout=60)
        before = Worker.objects.get().lease_until
        monkeypatch.setattr(WorkerProcess, "_show_life", show)
        worker.wake()
        _until(lambda: Worker.objects.get().lease_until > before)


def test_a_worker_whose_row_was_removed_while_it_slept_is_known_again(worker: WorkerProcess) -> None:
    Worker.objects.all().delete()
    _until(Worker.objects.filter(pk=worker.id).exists)


def test_an_experiment_that_is_not_to_be_had_is_left_quietly(worker: WorkerProcess) -> None:
    """Pitfall A9b."""
    pending = experiment(task())
    assert not worker.run(pending.pk)
    assert not worker.run(pending.pk + 1)
    assert not Experiment.objects.filter(worker=worker.id).exists()
    assert leases.take(pending.pk, worker=worker.id) is None
