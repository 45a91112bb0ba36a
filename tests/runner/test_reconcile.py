"""What was lost is taken back, what is nobody's is removed, and what lives or is not ours is left alone."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
import pytest
from django.apps import apps

from tests.runner.factories import experiment, living, running, taken
from tuning.deployers.base import Leftover, Owner, Role
from tuning.deployers.local import LocalDeployer
from tuning.errors import DeployError, Reason
from tuning.models import Experiment, LogLine, Slot, Task, Worker
from tuning.runner import clock, leases, locks, slots
from tuning.runner.instance import instance_id
from tuning.runner.leases import Lease
from tuning.runner.reconcile import MAX_LOSSES, is_dead, reconcile, recover

pytestmark = pytest.mark.django_db(transaction=True)

Status = Experiment.Status
HOLD_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""


@pytest.fixture(autouse=True)
def _one_slot() -> None:
    slots.register()


@contextlib.contextmanager
def _process(*arguments: str, marks: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun, bears marks, leads a session, and ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", *(arguments or ["print(flush=True); input()"])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **(marks or {})},
        start_new_session=True,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def _owner(row: Experiment, *, instance: str = "", attempt: int | None = None) -> Owner:
    return Owner(instance or instance_id(), row.task_id, row.pk, row.attempt if attempt is None else attempt)


def _marks(row: Experiment, **others: Any) -> dict[str, str]:
    return _owner(row, **others).environment(Role.ENGINE)


def _local_worker(name: str) -> Worker:
    """A worker on this machine; it is dead unless a process holds its lock."""
    columns = {"node": instance_id(), "host": "here", "pid": 1, "kind": Worker.Kind.WORKER}
    return Worker.objects.create(pk=name, lease_until=clock.lease_end(clock.reading()), **columns)


def _expire(lease: Lease) -> None:
    Experiment.objects.filter(pk=lease.experiment.pk).update(lease_until=clock.reading() - 1)


def _everything() -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables of ours."""
    return {model.__name__: list(model.objects.values()) for model in apps.get_app_config("tuning").get_models()}


def test_an_experiment_that_lost_its_worker_is_pending_again_until_it_lost_three() -> None:
    """Pitfalls A9c, A18: the reason, the sentence, the end and the duration are there."""
    row = experiment(running())
    for losses in range(1, MAX_LOSSES + 1):
        lease = taken(row)
        Experiment.objects.update(spent_s=7.5)
        _expire(lease)
        (took, freed) = reconcile()
        assert took.why == f"attempt {losses} lost its worker"
        assert freed.what.endswith("is free again")
        row.refresh_from_db()
        assert (row.losses, row.attempt, row.worker, row.lease_until) == (losses, losses, None, None)
        assert Slot.objects.get().claim == ""
        with pytest.raises(leases.LeaseLost):
            lease.write(message="late")
        assert row.claim == ""  # by which log lines that come late are told, too
        if losses < MAX_LOSSES:
            assert (row.status, row.reason) == (Status.PENDING, "")
    assert (row.status, row.reason) == (Status.FAILED, Reason.LOST_WORKER)
    assert row.message.startswith("The worker was lost during 3 attempts")
    assert row.finished_at is not None
    assert row.total_s == 7.5
    notes = list(LogLine.objects.order_by("id").values_list("text", flat=True))
    assert notes == [
        "experiment 1 is pending again: attempt 1 lost its worker",
        "experiment 1 is pending again: attempt 2 lost its worker",
        "experiment 1 has failed: attempt 3 lost its worker",
    ]
    assert reconcile() == []


def test_what_somebody_alive_works_on_is_left_alone() -> None:
    """Pitfall A9c: also his engine, his slot and what he has pending."""
    one = running(max_parallel=2)
    row = taken(experiment(one, 1)).experiment
    experiment(one, 2)
    before = _everything()
    with _process(marks=_marks(row)) as engine:
        assert reconcile() == []
        assert engine.poll() is None
    assert _everything() == before


def test_a_dead_process_of_this_machine_is_known_at_once_and_a_stopped_one_is_alive() -> None:
    """Pitfall A10: no wait for a lease when the kernel knows."""
    worker = _local_worker("local")
    path = locks.worker_lock(worker.pk)
    path.parent.mkdir(exist_ok=True)
    lease = leases.take(experiment(running()).pk, worker=worker.pk)
    assert lease is not None
    with _process(HOLD_LOCK, str(path)) as process:
        process.send_signal(signal.SIGSTOP)
        assert not is_dead(worker)
        assert recover() == []
        process.kill()
        process.wait()
        (action,) = recover()
    assert action.what == f"experiment 1 of task {lease.experiment.task_id} is pending again"
    assert not Worker.objects.exists()
    assert not path.exists()


def test_a_worker_of_another_machine_is_dead_when_its_lease_has_run_out() -> None:
    """The lease of what it runs counts as well: that one is renewed more often."""
    lease = taken(experiment(running()))
    assert recover() == []
    Worker.objects.update(lease_until=clock.reading() - 1)
    assert recover() == []
    _expire(lease)
    assert len(recover()) == 1
    lease.experiment.refresh_from_db()
    assert lease.experiment.status == Status.PENDING
    assert not Worker.objects.exists()


def test_a_task_of_a_dead_foreground_process_is_nobodys_again() -> None:
    one = running()
    Task.objects.update(worker=_local_worker("gone"))
    recover()
    one.refresh_from_db()
    assert (one.status, one.worker) == (Task.Status.RUNNING, None)


def test_a_holder_that_shows_life_while_it_is_looked_at_keeps_its_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall A9b: the row is taken back as it was seen, or not at all."""
    lease = taken(experiment(running()))
    _expire(lease)
    find = Experiment.objects.filter
    seen: list[int] = []

    def late(*conditions: Any, **columns: Any) -> Any:
        if "lease_until" in columns and not seen:
            seen.append(1)
            lease.renew()
        return find(*conditions, **columns)

    monkeypatch.setattr(Experiment.objects, "filter", late)
    assert recover() == []
    monkeypatch.undo()
    assert seen == [1]
    lease.write(message="still mine")


def test_what_a_cancelled_task_lost_is_cancelled() -> None:
    """Pitfall A6a: nothing of it begins again; what was handed back in the same moment neither."""
    one = running(max_parallel=2)
    _expire(taken(experiment(one, 1)))
    experiment(one, 2)
    Task.objects.update(status=Task.Status.CANCELLED)
    reconcile()
    for row in one.experiments.all():
        assert (row.status, row.reason) == (Status.CANCELLED, Reason.CANCELLED)
        assert row.finished_at is not None


def test_engines_of_attempts_that_are_over_are_removed_and_no_others() -> None:
    """Pitfalls A10, C11: by our marks only, whatever else looks like them."""
    active = taken(experiment(running())).experiment
    gone = experiment(running(name="another"), status=Status.FAILED, attempt=1)
    with contextlib.ExitStack() as running_now:
        start = running_now.enter_context
        orphans = [
            start(_process(marks=_marks(gone))),
            start(_process(marks=_marks(active, attempt=active.attempt - 1))),
            start(_process(marks=Owner(instance_id(), 999, 999, 1).environment(Role.LOAD))),
        ]
        spared = [
            start(_process(marks=_marks(active))),
            start(_process(marks=_marks(gone, instance="another instance"))),
            start(_process(marks={"AUTOTUNER_INSTANCE": instance_id()})),
            start(_process()),
        ]
        actions = reconcile()
        assert [psutil.pid_exists(each.pid) and each.poll() is None for each in orphans] == [False] * 3
        assert [each.poll() for each in spared] == [None] * 4
    words = sorted(str(action) for action in actions)
    assert len(words) == 3
    for orphan in orphans:
        assert any(f"process {orphan.pid} (python" in text and " is removed: attempt " in text for text in words)


def test_a_slot_is_free_only_when_its_engine_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfalls A7, A14a."""
    lease = taken(experiment(running()))
    _expire(lease)

    def refuse(*_: Any, **__: Any) -> None:
        raise DeployError(Reason.INTERNAL_ERROR, "process 1 does not end")

    with _process(marks=_marks(lease.experiment)) as engine:
        with monkeypatch.context() as broken:
            broken.setattr(LocalDeployer, "remove", refuse)
            actions = reconcile()
        assert [action.failed for action in actions] == [False, True]
        assert str(actions[1]).endswith("could not be removed: process 1 does not end")
        assert Slot.objects.get().claim == lease.claim
        assert engine.poll() is None

        assert [action.what.split(" ")[-1] for action in reconcile()] == ["removed", "again"]
        assert engine.wait(timeout=60) is not None
    assert Slot.objects.get().claim == ""


def test_a_slot_that_is_given_up_while_engines_are_looked_for_is_freed_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pitfall A14a: its engine was in use when it was looked at."""
    lease = taken(experiment(running()))
    started = LocalDeployer.started

    def meanwhile(deployer: LocalDeployer, instance: str) -> list[Leftover]:
        found = started(deployer, instance)
        Experiment.objects.update(status=Status.PENDING, claim="")
        return found

    monkeypatch.setattr(LocalDeployer, "started", meanwhile)
    assert reconcile() == []
    assert Slot.objects.get().claim == lease.claim
    assert len(reconcile()) == 1
    assert Slot.objects.get().claim == ""


def test_a_dry_run_says_what_would_be_done_and_changes_nothing() -> None:
    one = running(max_parallel=3)
    lease = taken(experiment(one, 1))
    _expire(lease)
    gone = experiment(one, 2, status=Status.FAILED, attempt=1)
    cancelled = running(name="cancelled")
    experiment(cancelled)
    Task.objects.filter(pk=cancelled.pk).update(status=Task.Status.CANCELLED)
    worker = _local_worker("dead")
    before = _everything()
    with _process(marks=_marks(gone)) as orphan:
        said = [str(action) for action in reconcile(dry_run=True)]
        assert orphan.poll() is None
    assert _everything() == before
    assert Worker.objects.filter(pk=worker.pk).exists()
    assert said[0] == f"experiment 1 of task {one.pk} is pending again: attempt 1 lost its worker"
    assert said[1] == f"experiment 1 of task {cancelled.pk} is cancelled: its task is"
    assert f"process {orphan.pid} " in said[2]
    assert "is removed: attempt 1 of experiment" in said[2]


def test_a_living_worker_that_was_idle_is_no_reason_to_do_anything() -> None:
    assert not is_dead(living())
    assert reconcile() == []
