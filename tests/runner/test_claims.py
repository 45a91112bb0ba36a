"""Who works on what: one winner, and no write by anybody else; the database refuses what must not be."""

import threading

import pytest
from django.db import IntegrityError, connection

from tests.runner.factories import experiment, task
from tuning.errors import ConflictError
from tuning.models import Experiment
from tuning.runner import claims

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_many_that_claim_an_experiment_at_once_one_wins() -> None:
    """Pitfall A9b: each thread has a connection of its own to the same file."""
    row = experiment(task())
    barrier = threading.Barrier(6)
    won: list[str | None] = []

    def contend() -> None:
        mine = Experiment.objects.get(pk=row.pk)
        barrier.wait(timeout=60)
        won.append(claims.claim(mine))
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
    row = experiment(task())
    claims.claim(row)
    late = Experiment.objects.get(pk=row.pk)
    claims.hand_back(Experiment.objects.filter(pk=row.pk))
    claims.claim(Experiment.objects.get(pk=row.pk))
    before = Experiment.objects.filter(pk=row.pk).values().get()
    with pytest.raises(ConflictError, match="experiment 1 was taken over by another attempt"):
        claims.write(late, status=Experiment.Status.SUCCESS, value=1.0)
    assert Experiment.objects.filter(pk=row.pk).values().get() == before
    assert late.value is None


@pytest.mark.parametrize("status", [Experiment.Status.PENDING, *Experiment.FINISHED, Experiment.Status.CANCELLED])
def test_only_an_active_experiment_is_written(status: str) -> None:
    """Pitfall A6a: an end stays an end."""
    row = experiment(task())
    claims.claim(row)
    Experiment.objects.filter(pk=row.pk).update(status=status)
    with pytest.raises(ConflictError):
        claims.write(row, message="late")


def test_a_claim_forgets_what_an_earlier_attempt_measured() -> None:
    """Pitfall B12: nothing of an earlier attempt is averaged in."""
    row = experiment(task(), command_line="old", ready_s=1.0, total_s=2.0, message="old", missed=["old"])
    claims.claim(row)
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


def test_a_task_can_be_owned_again_after_its_owner_has_gone() -> None:
    """Pitfall A9b."""
    one = task()
    with claims.owning(one), pytest.raises(ConflictError), claims.owning(one):
        pass
    with claims.owning(one):
        pass


def test_numbers_of_deleted_tasks_are_not_given_again() -> None:
    """Pitfalls A16a, A17: deleting takes experiments along; the next task has another number."""
    first = task()
    experiment(first)
    number = first.pk
    first.delete()
    assert not Experiment.objects.exists()
    assert task().pk > number
