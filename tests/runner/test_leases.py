"""Who works on what: one winner, and no write by anybody else; the database refuses what must not be."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone
from pytest_django import Settings

from tests.runner.factories import experiment, living, running, taken, task
from tuning.errors import Cancelled, ExperimentError, LeaseLost
from tuning.models import Experiment, Slot, Task
from tuning.runner import clock, leases, slots
from tuning.runner.leases import Lease
from tuning.runner.reconcile import recover

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


def test_eight_threads_that_want_the_only_slot_hold_it_one_after_the_other() -> None:
    """Pitfall A14a."""
    rows = [experiment(running(name=f"task {number}")) for number in range(8)]
    worker = living().pk
    holders: list[int] = []
    most: list[int] = []

    def work(pk: int) -> None:
        while (lease := leases.take(pk, worker=worker)) is None:
            pass
        holders.append(pk)
        most.append(len(holders))
        assert Slot.objects.get().claim == lease.claim
        holders.remove(pk)
        lease.finish(status=Experiment.Status.SUCCESS)
        connection.close()

    threads = [threading.Thread(target=work, args=(row.pk,)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    assert set(Experiment.objects.values_list("status", "attempt")) == {("success", 1)}
    assert Slot.objects.get().claim == ""


@pytest.mark.parametrize("status", sorted(set(Task.Status) - {Task.Status.RUNNING}))
def test_nothing_of_a_task_that_does_not_run_is_taken(status: str) -> None:
    """Pitfall A6a."""
    row = experiment(running())
    Task.objects.update(status=status)
    assert leases.take(row.pk, worker=living().pk) is None
    assert Slot.objects.get().claim == ""


def test_a_task_that_a_foreground_process_has_for_itself_is_left_to_it() -> None:
    """Pitfall A6b."""
    row, owner = experiment(running()), living()
    Task.objects.update(worker=owner)
    assert leases.take(row.pk, worker="another") is None
    assert leases.take(row.pk, worker=owner.pk) is not None


@pytest.mark.parametrize("status", [*Experiment.ACTIVE, *Experiment.FINISHED, Experiment.Status.CANCELLED])
def test_a_message_that_comes_too_late_changes_nothing(status: str) -> None:
    """Pitfall A9b: wake-ups may come twice, late, or for rows that are gone."""
    row = experiment(running(), status=status)
    before = Experiment.objects.values().get()
    assert leases.take(row.pk, worker=living().pk) is None
    assert leases.take(row.pk + 1, worker=living().pk) is None
    assert Experiment.objects.values().get() == before


def test_no_more_experiments_of_a_task_run_at_once_than_it_wants_however_many_are_pending(
    settings: Settings,
) -> None:
    """Experiments that are tried again are all pending at once."""
    settings.AUTOTUNER_SLOTS = 4
    slots.register()
    one = running(max_parallel=2)
    rows = [experiment(one, number) for number in range(1, 5)]
    held = [leases.take(row.pk, worker=living().pk) for row in rows]
    assert [lease is not None for lease in held] == [True, True, False, False]
    assert Slot.objects.filter(claim="").count() == 2
    assert held[0] is not None
    held[0].finish(status=Experiment.Status.SUCCESS)
    assert leases.take(rows[2].pk, worker=living().pk) is not None


def test_what_was_handed_back_is_pending_with_nothing_held_and_nothing_lost() -> None:
    lease = taken(experiment(running()))
    lease.give_back()
    row = Experiment.objects.get()
    assert (row.status, row.attempt, row.losses, row.claim, row.worker, row.lease_until) == (
        Experiment.Status.PENDING,
        1,
        0,
        "",
        None,
        None,
    )
    assert Slot.objects.get().claim == ""
    with pytest.raises(LeaseLost):
        lease.give_back()
    assert taken(row).experiment.attempt == 2


def test_after_a_pause_the_holder_looks_first_whether_it_still_holds(settings: Settings) -> None:
    """Pitfall A7: a process that was stopped for longer than its lease."""
    lease = taken(experiment(running()))
    before = lease.experiment.lease_until
    settings.AUTOTUNER_LEASE_S = 0
    lease.check()
    assert Experiment.objects.get().lease_until < before
    Experiment.objects.update(status=Experiment.Status.PENDING, claim="")
    with pytest.raises(LeaseLost):
        lease.check()


def _hung(monkeypatch: pytest.MonkeyPatch) -> Lease:
    """A lease whose step is past all its limits, after the holder's next sign of life."""
    lease = taken(experiment(running()))
    before = lease.experiment.lease_until
    monkeypatch.setattr(leases, "OVERDUE_S", -1.0)
    lease.step(0)
    leases.renew([lease])
    assert Experiment.objects.get().lease_until == before
    return lease


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = clock.reading()
    monkeypatch.setattr(clock, "reading", lambda: now + seconds)


def test_a_step_that_hangs_beyond_its_limit_fails_its_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfalls A7, A18: it would hang again, so it is not tried again; the thread that hangs writes nothing more."""
    lease = _hung(monkeypatch)
    assert recover() == []
    _later(monkeypatch, 31)
    (action,) = recover()
    assert "experiment 1" in str(action)
    assert "has failed: attempt 1 hangs" in str(action)
    row = Experiment.objects.get()
    assert (row.status, row.reason) == (Experiment.Status.FAILED, "experiment_timeout")
    assert "beyond its limit" in row.message
    assert row.finished_at is not None
    assert row.total_s is not None
    with pytest.raises(LeaseLost):
        lease.finish(status=Experiment.Status.SUCCESS)


def test_a_step_that_comes_back_too_late_ends_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExperimentError, match="beyond its limit") as error:
        _hung(monkeypatch).check()
    assert error.value.reason == "experiment_timeout"


def test_an_experiment_that_ended_well_all_the_same_has_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    _hung(monkeypatch).finish(status=Experiment.Status.SUCCESS, value=1.0)
    assert (Experiment.objects.get().reason, Experiment.objects.get().message) == ("", "")


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1), timedelta(days=4000)])
def test_a_jump_of_the_wall_clock_moves_no_lease(monkeypatch: pytest.MonkeyPatch, jump: timedelta) -> None:
    """Pitfall A20."""
    lease = taken(experiment(running()))
    before = Experiment.objects.get().lease_until
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + jump)
    monkeypatch.setattr("time.time", (now + jump).timestamp)
    assert recover() == []
    leases.renew([lease])
    lease.check()
    assert 0 <= Experiment.objects.get().lease_until - before < 20


@pytest.mark.parametrize(("until", "valid"), [(None, False), (0.0, False), (29.0, True), (31.5, False), (1e9, False)])
def test_a_reading_from_before_the_machine_was_started_again_is_no_lease(until: float | None, valid: bool) -> None:
    """The clock of leases begins anew then: what reaches further than any lease is old."""
    now = clock.reading()
    experiment(running(), status=Experiment.Status.DEPLOYING, lease_until=until if until is None else now + until)
    assert Experiment.objects.filter(clock.is_valid(now)).exists() is valid
    assert Experiment.objects.filter(clock.is_expired(now)).exists() is not valid


class _Clock:
    """A lease clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(clock, "reading", lambda: self.now)


def test_the_time_of_parallel_experiments_counts_once_and_that_of_nobody_never(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Pitfall A8: budgets are of the time in which somebody worked."""
    settings.AUTOTUNER_SLOTS = 2
    slots.register()
    now = _Clock(monkeypatch)
    one = running(max_parallel=2)
    first, second = taken(experiment(one, 1)), taken(experiment(one, 2))

    def worked_s() -> float:
        return Task.objects.get().worked_s

    now.now += 10
    leases.renew([first, second])
    leases.renew([second])
    assert worked_s() == 10
    now.now += 5
    first.finish(status=Experiment.Status.SUCCESS)
    assert worked_s() == 15
    now.now += 2
    second.give_back()
    assert worked_s() == 17
    now.now += 20
    third = taken(experiment(one, 3))
    assert worked_s() == 17
    now.now += 1000
    third.renew()
    leases.count_time([one.pk])
    assert worked_s() == 17
    now.now -= 1
    leases.count_time([one.pk])
    now.now += 1
    leases.count_time([one.pk])
    assert worked_s() == 17


def test_a_used_up_wall_clock_budget_ends_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall A8."""
    now = _Clock(monkeypatch)
    lease = taken(experiment(running(budget={"wall_clock_s": 15})))
    for _ in range(2):
        lease.check()
        now.now += 10
        leases.renew([lease])
    with pytest.raises(Cancelled, match="wall-clock budget"):
        lease.check()


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
