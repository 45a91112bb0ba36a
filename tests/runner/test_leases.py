"""Who works on what: one winner, and no write by anybody else; the database refuses what must not be."""

import threading

import pytest
from django.db import IntegrityError, connection

from tests.runner.factories import experiment, living, running, taken, task
from tuning.errors import LeaseLost
from tuning.models import Experiment
from tuning.runner import leases, slots

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _one_slot() -> None:
    slots.register()


def test_of_many_that_claim_an_experiment_at_once_one_wins() -> None:
    """Pitfall A9b: each thread has a connection of its own to the same file."""
    row = experiment(running())
    worker = living().pk
    barrier = threading.Barrier(6)
    won: list[str] = []

    def contend() -> None:
        barrier.wait(timeout=60)
        lease = leases.take(row.pk, worker=worker)
        won.append(lease.claim if lease else "")
        connection.close()

    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row.refresh_from_db()
    assert [claim for claim in won if claim] == [row.claim]
    assert len(won) == 6
    assert (row.attempt, row.status) == (1, Experiment.Status.DEPLOYING)


def test_a_write_with_an_old_claim_is_refused_and_changes_nothing() -> None:
    """Pitfall A7: an attempt that was given up and comes back late."""
    row = experiment(running())
    late = taken(row)
    Experiment.objects.filter(pk=row.pk).update(status=Experiment.Status.PENDING)
    slots.release(late.claim)
    taken(row)
    before = Experiment.objects.filter(pk=row.pk).values().get()
    for write in (late.write, late.finish):
        with pytest.raises(LeaseLost, match="experiment 1 was taken over by another attempt"):
            write(status=Experiment.Status.SUCCESS, value=1.0)
    with pytest.raises(LeaseLost):
        late.check()
    assert Experiment.objects.filter(pk=row.pk).values().get() == before
    assert late.experiment.value is None


@pytest.mark.parametrize("status", [Experiment.Status.PENDING, *Experiment.FINISHED, Experiment.Status.CANCELLED])
def test_only_an_active_experiment_is_written(status: str) -> None:
    """Pitfall A6a: an end stays an end."""
    lease = taken(experiment(running()))
    Experiment.objects.filter(pk=lease.experiment.pk).update(status=status)
    with pytest.raises(LeaseLost):
        lease.write(message="late")


def test_a_claim_forgets_what_an_earlier_attempt_measured() -> None:
    """Pitfall B12: nothing of an earlier attempt is averaged in."""
    row = experiment(running(), command_line="old", ready_s=1.0, total_s=2.0, message="old", missed=["old"])
    row = taken(row).experiment
    assert (row.command_line, row.ready_s, row.total_s, row.message, row.missed) == ("", None, None, "", [])


def test_the_database_refuses_a_number_twice() -> None:
    """Pitfall A11."""
    one = task()
    experiment(one, 1)
    with pytest.raises(IntegrityError):
        experiment(one, 1, parameters_hash="another")


def test_the_database_refuses_a_configuration_twice() -> None:
    """Pitfall A11: its replicates are told apart."""
    one = task()
    experiment(one, 1, parameters_hash="same")
    experiment(one, 2, parameters_hash="same", replicate=1)
    with pytest.raises(IntegrityError):
        experiment(one, 3, parameters_hash="same", replicate=1)


@pytest.mark.parametrize("status", [Experiment.Status.FAILED, Experiment.Status.CANCELLED, Experiment.Status.PENDING])
def test_the_database_refuses_a_value_without_success(status: str) -> None:
    """Pitfalls B5a, B7: a failure has no score."""
    with pytest.raises(IntegrityError):
        experiment(task(), status=status, value=1.0)


def test_numbers_of_deleted_tasks_are_not_given_again() -> None:
    """Pitfalls A16a, A17: deleting takes experiments along; the next task has another number."""
    first = task()
    experiment(first)
    number = first.pk
    first.delete()
    assert not Experiment.objects.exists()
    assert task().pk > number
