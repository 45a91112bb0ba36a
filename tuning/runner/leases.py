"""Who works on what: one attempt at an experiment, which exactly one caller gets, and whose writes end with it."""

import contextlib
import threading
import time
import uuid
from collections.abc import Collection, Iterable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, When
from django.utils import timezone

from tuning.document.task import TaskDocument
from tuning.errors import Cancelled, ExperimentError, LeaseLost, Reason
from tuning.models import Experiment, Slot, Task
from tuning.runner import best, clock, slots
from tuning.scoring.objectives import direction

OVERDUE_S = 60.0
"""How long after its limit a step may still be cleaning up before its worker gives it up."""
HANGS = f"A step went on for {OVERDUE_S:g} s beyond its limit without ending; it was given up."

NOTHING_MEASURED: dict[str, Any] = {
    "reason": "",
    "message": "",
    "handle": {},
    "command": [],
    "command_line": "",
    "value": None,
    "feasible": None,
    "violations": [],
    "missed": [],
    "engine_version": "",
    "load_point": None,
    "deploy_s": None,
    "ready_s": None,
    "benchmark_s": None,
    "remove_s": None,
    "total_s": None,
    "finished_at": None,
}


class Lease:
    """One attempt at an experiment that its holder has taken.

    Every write names the attempt's claim: once the experiment belongs to another attempt, or to none, it changes
    nothing and raises LeaseLost. Safe to use from several threads.
    """

    def __init__(self, experiment: Experiment, held: Collection[Slot]) -> None:
        self.experiment = experiment
        self.document = experiment.task.task_document
        self.devices = slots.devices(held, experiment, self.document)
        self.claim = experiment.claim
        self._is_lost = threading.Event()
        self._cancelled = ""
        self._stopped = ""
        self._renewed = self._counted = time.monotonic()
        self._deadline = float("inf")
        self._is_given_up = False
        self._keeps_slots = False

    def write(self, **columns: Any) -> None:
        """Change the experiment while it is active."""
        if not self._rows.update(**columns):
            self._is_lost.set()
            raise LeaseLost(f"{self.experiment} was taken over by another attempt.")
        for name, value in columns.items():
            setattr(self.experiment, name, value)

    def finish(self, **columns: Any) -> None:
        """Write the outcome and free the slots; the engine is gone."""
        self._end(finished_at=timezone.now(), **columns)

    def give_back(self, **columns: Any) -> None:
        """Make the experiment pending again and free the slots: nobody failed, the holder cannot go on."""
        self._end(status=Experiment.Status.PENDING, claim="", **columns)

    def check(self) -> None:
        """LeaseLost or Cancelled when the attempt is to end; also after a pause of this process.

        ExperimentError when its step was given up, or when somebody stopped it. A database that does not answer says
        none of it: whatever is written later tells.
        """
        if time.monotonic() - self._renewed > settings.AUTOTUNER_LEASE_S:
            with contextlib.suppress(DatabaseError):
                self.renew()
        if self._is_lost.is_set():
            raise LeaseLost(f"{self.experiment} was taken over by another attempt.")
        if self._is_given_up:
            raise ExperimentError(Reason.EXPERIMENT_TIMEOUT, HANGS)
        if self._stopped:
            raise ExperimentError(Reason.CANCELLED, self._stopped)
        if self._cancelled:
            raise Cancelled(self._cancelled)

    def cancel(self, why: str) -> None:
        """Have the next `check` raise Cancelled."""
        self._cancelled = why

    def stop(self, why: str) -> None:
        """Have the next `check` fail the experiment; its task goes on."""
        self._stopped = why

    def keep_slots(self) -> None:
        """The engine could not be removed: `reconcile` frees its slots when that succeeds."""
        self._keeps_slots = True

    def step(self, limit_s: float) -> None:
        """A step begins that ends itself after `limit_s`; the lease runs out when it hangs beyond that."""
        self._deadline = time.monotonic() + limit_s + OVERDUE_S

    def renew(self) -> None:
        """Show that the holder lives, unless its step hangs: whatever it waits for does not look at its limits."""
        if time.monotonic() > self._deadline:
            self._give_up()
            return
        with transaction.atomic():  # the clock is read once nobody else writes: a lease that waited would be old
            lease_until = clock.lease_end(clock.reading())
            if not self._rows.update(lease_until=lease_until, spent_s=F("spent_s") + self._uncounted()):
                self._is_lost.set()
        self._renewed = time.monotonic()

    def _give_up(self) -> None:
        """Leave the reason for whoever takes the experiment back: it would hang again."""
        if not self._is_given_up:
            self._rows.update(reason=Reason.EXPERIMENT_TIMEOUT, message=HANGS)
            self._is_given_up = True

    def _end(self, **columns: Any) -> None:
        with transaction.atomic():
            task = best.lock(self.experiment.task_id)
            count_time([self.experiment.task_id])
            self._rows.update(spent_s=F("spent_s") + self._uncounted())
            self.write(**{"lease_until": None, "worker": None, "reason": "", "message": "", **columns})
            if self.experiment.is_finished:
                best.note(task, self.experiment.parameters_hash, direction(self.document.objective))
            if not self._keeps_slots:
                slots.release(self.claim)

    def _uncounted(self) -> float:
        """Seconds since the last call."""
        since, self._counted = self._counted, time.monotonic()
        return self._counted - since

    @property
    def _rows(self) -> Any:
        """The row, as long as this attempt is the active one."""
        return Experiment.objects.filter(pk=self.experiment.pk, claim=self.claim, status__in=Experiment.ACTIVE)


def take(pk: int, *, worker: str) -> Lease | None:
    """Take a pending experiment of a running task and the slots it needs, all or nothing; None when that is not to be.

    Another one was faster, its task was paused, a foreground process has the task for itself, or not enough slots are
    free: then it stays pending.
    """
    slots.observe()
    claim = uuid.uuid4().hex
    with transaction.atomic():
        experiment = _takeable(worker).select_related("task").filter(pk=pk).first()
        if experiment is None:
            return None
        document = experiment.task.task_document
        count_time([experiment.task_id])  # this also locks the task: of those who take at once, one goes on
        held = _held(claim, experiment, document)
        if held is None or not _taken(pk, claim, worker):
            transaction.set_rollback(True)
            return None
        experiment.measurements.all().delete()
        experiment.refresh_from_db()
    return Lease(experiment, held)


def _takeable(worker: str) -> Any:
    unowned = Q(worker=None) | Q(worker=worker)
    running = Task.objects.filter(unowned, status=Task.Status.RUNNING)
    # A join would move the whole condition into a subquery, at which PostgreSQL does not look again after it has waited
    # for another claim of the same row.
    return Experiment.objects.filter(status=Experiment.Status.PENDING, task__in=running)


def _held(claim: str, experiment: Experiment, document: TaskDocument) -> list[Slot] | None:
    """Slots for one more experiment, unless as many run as may do so at once: more may be pending, to be run again."""
    if experiment.task.experiments.filter(status__in=Experiment.ACTIVE).count() >= document.max_parallel:
        return None
    return slots.hold(claim, slots.needed(experiment, document), document)


def _taken(pk: int, claim: str, worker: str) -> bool:
    changed = _takeable(worker).filter(pk=pk)
    return bool(
        changed.update(
            status=Experiment.Status.DEPLOYING,
            claim=claim,
            worker=worker,
            lease_until=clock.lease_end(clock.reading()),
            attempt=F("attempt") + 1,
            started_at=timezone.now(),
            **NOTHING_MEASURED,
        )
    )


def renew(leases: Collection[Lease]) -> None:
    """Renew leases, and have those end that were stopped, or whose task was cancelled or has spent its time."""
    for lease in leases:
        lease.renew()
    stopped = _stopped(lease.experiment.pk for lease in leases)
    tasks = {lease.experiment.task_id for lease in leases}
    count_time(tasks)
    known = {pk: (status, worked_s) for pk, status, worked_s in _states(tasks)}
    for lease in leases:
        status, worked_s = known.get(lease.experiment.task_id, (Task.Status.CANCELLED, 0.0))
        limit_s = lease.document.budget.wall_clock_s
        if lease.claim in stopped:
            lease.stop(stopped[lease.claim])
        if status == Task.Status.CANCELLED:
            lease.cancel("Cancelled.")
        elif limit_s is not None and worked_s > limit_s:
            lease.cancel("The task's wall-clock budget is used up.")


def _stopped(experiments: Iterable[int]) -> dict[str, str]:
    """Claims of active experiments that somebody stopped, with who it was, in a sentence; see `lifecycle.stop`."""
    active = Experiment.objects.filter(pk__in=list(experiments), status__in=Experiment.ACTIVE)
    return dict(active.filter(reason=Reason.CANCELLED).values_list("claim", "message"))


def _states(tasks: Collection[int]) -> Any:
    return Task.objects.filter(pk__in=tasks).values_list("pk", "status", "worked_s")


def count_time(tasks: Collection[int]) -> None:
    """Add the time since the last count to what was spent on each task, unless nobody worked on it meanwhile.

    To be called before an experiment becomes active, and before it becomes anything else.
    """
    now = clock.reading()
    lease_s = settings.AUTOTUNER_LEASE_S
    recent = Q(ticked__lt=now, ticked__gt=now - lease_s)
    active = Exists(Experiment.objects.filter(task=OuterRef("pk"), status__in=Experiment.ACTIVE))
    since = Case(When(recent & active, then=now - F("ticked")), default=0.0)
    counted = Q(ticked__gte=now, ticked__lt=now + lease_s)  # by another process, while this one came here
    Task.objects.filter(pk__in=tasks).exclude(counted).update(worked_s=F("worked_s") + since, ticked=now)
