"""Puts right what a process that ended too early left behind: rows, engines and slots.

Leases decide, never a guess: what somebody alive works on is left alone, and so is everything that this installation
did not start.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from tuning.deployers.base import Deployer, Leftover
from tuning.deployers.registry import all_deployers
from tuning.errors import DeployError, Reason
from tuning.models import Experiment, Slot, Task, Worker
from tuning.runner import best, clock, locks, logs, slots
from tuning.runner.instance import instance_id
from tuning.scoring.objectives import direction

MAX_LOSSES = 3
"""How many attempts may lose their worker before the experiment itself counts as the cause."""
GRACE_S = 5.0
"""How long an engine that nobody uses any more may take to end by itself."""


@dataclass(frozen=True)
class Action:
    """What was done, or is to be done, and why; `failed` when it could not be done."""

    what: str
    why: str
    failed: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


def reconcile(*, dry_run: bool = False) -> list[Action]:
    """Take lost experiments back, then remove the engines that are nobody's, then free their slots.

    In this order: a slot is free for others only when its engine is gone. With `dry_run` nothing is changed: the same
    is done to the rows in a transaction that is taken back.
    """
    if not dry_run:
        return _put_right(recover(), dry_run=False)
    with transaction.atomic():
        actions = _put_right(_recover_rows(dead(list(Worker.objects.all()))), dry_run=True)
        transaction.set_rollback(True)
    return actions


def _put_right(actions: list[Action], *, dry_run: bool) -> list[Action]:
    abandoned = slots.abandoned()  # before it is looked what runs: whatever is on them is found then
    actions += _remove_leftovers(dry_run=dry_run)
    if not any(action.failed for action in actions):
        actions += _free_slots(abandoned)
    return actions


def recover() -> list[Action]:
    """Take back the experiments and tasks of workers that are gone; looks at rows and lock files only."""
    gone = dead(list(Worker.objects.all()))
    actions = _recover_rows(gone)
    for pk in gone:
        locks.worker_lock(pk).unlink(missing_ok=True)
    return actions


def _recover_rows(workers: list[str]) -> list[Action]:
    actions = [_take_back(experiment) for experiment in _lost(workers)]
    actions += _end_pending_of_cancelled()
    Worker.objects.filter(pk__in=workers).delete()
    return [action for action in actions if action]


def is_dead(worker: Worker) -> bool:
    """Whether the process is gone; see `dead`."""
    return bool(dead([worker]))


def dead(workers: Collection[Worker]) -> list[str]:
    """Those whose process is gone: the kernel knows it at once on this machine, the leases tell it of others.

    At most two queries, and a look at the lock file of each that is on this machine.
    """
    here = instance_id()
    elsewhere = [worker.pk for worker in workers if worker.node != here]
    alive = _with_valid_lease(elsewhere) if elsewhere else set()
    alive |= {row.pk for row in workers if row.node == here and locks.is_held(locks.worker_lock(row.pk))}
    return [worker.pk for worker in workers if worker.pk not in alive]


def _with_valid_lease(workers: list[str]) -> set[str]:
    """Those whose own lease, or that of an experiment that they hold, is still good."""
    valid = clock.is_valid(clock.reading())
    held = Experiment.objects.filter(valid, worker__in=workers, status__in=Experiment.ACTIVE)
    return {
        *Worker.objects.filter(valid, pk__in=workers).values_list("pk", flat=True),
        *held.values_list("worker", flat=True),
    }


def _lost(workers: list[str]) -> Iterator[Experiment]:
    gone = Q(worker=None) | Q(worker__in=workers) | clock.is_expired(clock.reading())
    yield from Experiment.objects.filter(gone, status__in=Experiment.ACTIVE).select_related("task")


def _take_back(experiment: Experiment) -> Action | None:
    """Give a lost experiment another attempt, or none after too many; None when its attempt was not lost after all."""
    columns, what = _fate(experiment)
    why = f"attempt {experiment.attempt} {_what_happened(experiment)}"
    same = Experiment.objects.filter(
        pk=experiment.pk, claim=experiment.claim, lease_until=experiment.lease_until, status__in=Experiment.ACTIVE
    )
    with transaction.atomic():
        task = best.lock(experiment.task_id)
        if not same.update(losses=F("losses") + 1, claim="", lease_until=None, worker=None, **columns):
            return None
        if columns["status"] == Experiment.Status.FAILED:
            objective = experiment.task.task_document.objective
            best.note(task, experiment.parameters_hash, direction(objective))
    logs.note(experiment.task, "warning", f"{experiment} {what}: {why}")
    return Action(f"{experiment} of task {experiment.task_id} {what}", why)


def _what_happened(experiment: Experiment) -> str:
    if experiment.reason == Reason.CANCELLED:
        return "was stopped"
    return "hangs" if experiment.reason else "lost its worker"


def _fate(experiment: Experiment) -> tuple[dict[str, object], str]:
    """The columns of a lost experiment, and what that is in words."""
    if experiment.task.status == Task.Status.CANCELLED:
        cancelled = {"status": Experiment.Status.CANCELLED, "reason": Reason.CANCELLED, "message": "Cancelled."}
        return {**cancelled, "finished_at": timezone.now()}, "is cancelled"
    failed = {"status": Experiment.Status.FAILED, "finished_at": timezone.now(), "total_s": experiment.spent_s}
    if experiment.reason:  # its worker has given it up, or somebody stopped it
        return failed, "has failed"
    if experiment.losses + 1 < MAX_LOSSES:
        return {"status": Experiment.Status.PENDING}, "is pending again"
    message = f"The worker was lost during {MAX_LOSSES} attempts; this configuration may be what ended it."
    return {**failed, "reason": Reason.LOST_WORKER, "message": message}, "has failed"


def _end_pending_of_cancelled() -> list[Action]:
    """A worker may have handed back an experiment just when its task was cancelled."""
    cancelled = Task.objects.filter(status=Task.Status.CANCELLED)
    left = Experiment.objects.filter(status=Experiment.Status.PENDING, task__in=cancelled)
    actions = [Action(f"{row} of task {row.task_id} is cancelled", "its task is") for row in left]
    if actions:
        left.update(status=Experiment.Status.CANCELLED, reason=Reason.CANCELLED, finished_at=timezone.now())
    return actions


def _remove_leftovers(*, dry_run: bool) -> list[Action]:
    return [
        _remove(deployer, leftover, dry_run=dry_run)
        for deployer in all_deployers()
        for leftover in deployer.started(instance_id())  # before the rows are read: what starts later is not in it
        if not _is_active(leftover)
    ]


def _is_active(leftover: Leftover) -> bool:
    owner = leftover.owner
    return Experiment.objects.filter(pk=owner.experiment, attempt=owner.attempt, status__in=Experiment.ACTIVE).exists()


def _remove(deployer: Deployer, leftover: Leftover, *, dry_run: bool) -> Action:
    owner = leftover.owner
    why = f"attempt {owner.attempt} of experiment {owner.experiment} (task {owner.task}) is not running"
    if not dry_run:
        try:
            deployer.remove(leftover.handle, grace_s=GRACE_S)
        except DeployError as error:
            return Action(f"{leftover.what} could not be removed", str(error), failed=True)
    return Action(f"{leftover.what} is removed", why)


def _free_slots(abandoned: list[Slot]) -> list[Action]:
    for slot in abandoned:
        slots.release(slot.claim)
    return [Action(f"{slot} is free again", "the experiment that had it is not running") for slot in abandoned]
