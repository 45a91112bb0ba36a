"""What a person can do with a task: each is one conditional change of its row, or a sentence why not now."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from tuning.document.task import TaskDocument
from tuning.errors import ConflictError, Reason
from tuning.models import Experiment, Task
from tuning.runner import best, clock, logs
from tuning.runner.dispatch import Enqueue
from tuning.runner.experiment import task_folder
from tuning.runner.intake import columns_of, create, next_run
from tuning.runner.task import spent

Status = Task.Status

OUTCOME_OPEN: dict[str, Any] = {"reason": "", "message": "", "finished_at": None, "claim": ""}
ENDED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
NOT_RUNNING = (Status.PENDING, Status.PAUSED, *ENDED)


@dataclass(frozen=True)
class Rule:
    """When something can be done: in the statuses `before`; in those of `idle` only once none of its experiments runs.

    What was cancelled or paused may still be running for a moment.
    """

    done: str
    before: tuple[Status, ...]
    idle: tuple[Status, ...] = ()

    @property
    def rows(self) -> Q:
        """The tasks that it can be done with."""
        active = Experiment.objects.filter(task=OuterRef("pk"), status__in=Experiment.ACTIVE)
        return Q(status__in=self.before) & (~Q(status__in=self.idle) | Q(~Exists(active)))

    def check(self, task: Task) -> None:
        """ConflictError, in words, when it cannot be done with this task now."""
        if not Task.objects.filter(self.rows, pk=task.pk).exists():
            raise _conflict(task, self)


START = Rule("started", (Status.PENDING,))
PAUSE = Rule("paused", (Status.RUNNING,))
RESUME = Rule("resumed", (Status.PAUSED, Status.CANCELLED), idle=(Status.CANCELLED,))
CANCEL = Rule("cancelled", (Status.PENDING, Status.RUNNING, Status.PAUSED))
RETRY = Rule("retried", (Status.PAUSED, *ENDED), idle=(Status.PAUSED, *ENDED))
RESTART = Rule("restarted", ENDED, idle=ENDED)
EDIT = Rule("edited", NOT_RUNNING, idle=NOT_RUNNING)
DELETE = Rule("deleted", NOT_RUNNING, idle=NOT_RUNNING)


def start(task: Task, wake: Enqueue) -> None:
    """Run a task that has not run yet."""
    _change(task, START, Status.RUNNING, started_at=timezone.now())
    wake(task.pk)


def pause(task: Task) -> None:
    """Let the running experiments finish, and begin no more."""
    _change(task, PAUSE, Status.PAUSED)


def resume(task: Task, wake: Enqueue) -> None:
    """Go on with a task that was paused or cancelled, where it stopped."""
    began = Coalesce(F("started_at"), timezone.now())
    with _all_or_nothing(task, RESUME):
        _change(task, RESUME, Status.RUNNING, finished_at=None, message="", started_at=began)
        _take_up(task, Experiment.Status.CANCELLED)
    wake(task.pk)


def cancel(task: Task) -> None:
    """End a task; what runs is ended too, within seconds, by whoever runs it."""
    outcome = {"finished_at": timezone.now(), "message": "Cancelled."}
    with _all_or_nothing(task, CANCEL):
        _change(task, CANCEL, Status.CANCELLED, worker=None, **outcome)
        task.experiments.filter(status=Experiment.Status.PENDING).update(
            status=Experiment.Status.CANCELLED, reason=Reason.CANCELLED, **outcome
        )


def stop(experiment: Experiment, by: str) -> None:
    """End one experiment that runs: it has failed then, and its task goes on.

    Whoever runs it notices within seconds and removes its engine first; so the reason is left on the active row.
    """
    running = Experiment.objects.filter(pk=experiment.pk, status__in=Experiment.ACTIVE)
    if not running.filter(reason="").update(reason=Reason.CANCELLED, message=f"Stopped by {by}."):
        now = "being ended already" if running.exists() else Experiment.objects.get(pk=experiment.pk).status
        raise ConflictError(f"{experiment} of {experiment.task} cannot be stopped: it is {now}.".capitalize())
    logs.note(experiment.task, "info", f"{experiment} is stopped by {by}")


def retry(task: Task, wake: Enqueue) -> int:
    """Run the failed experiments of a task again; how many there are. ConflictError when there is none."""
    with _all_or_nothing(task, RETRY):
        now = _lock(task, RETRY).status
        count = _take_up(task, Experiment.Status.FAILED)
        if not count:
            raise ConflictError(f"Task {task} cannot be retried: it is {now} without a failed experiment.")
        if why := spent(task, task.task_document):
            raise ConflictError(f"Task {task} cannot be retried. {why}")
        _take_up(task, Experiment.Status.CANCELLED)
        _change(task, RETRY, Status.RUNNING, finished_at=None, message="", revision=F("revision") + 1)
        best.recompute(task)
    wake(task.pk)
    return count


def restart(task: Task, wake: Enqueue) -> Task:
    """Run the document of a task that has ended once more, from the beginning; the results so far are kept.

    ConflictError also when a later run of this document has not ended yet: it was restarted already.
    """
    with _all_or_nothing(task, RESTART):
        ended = _lock(task, RESTART)
        later = Task.objects.filter(name=ended.name, document_digest=ended.document_digest, run__gt=ended.run)
        if other := later.exclude(status__in=ENDED).first():
            raise ConflictError(f"Task {task} cannot be restarted: {other} is {other.status} already.")
        again = create(ended.task_document)
        _change(again, START, Status.RUNNING, started_at=timezone.now())
    wake(again.pk)
    return again


def edit(task: Task, document: TaskDocument) -> Task:
    """Give a task another document: in place as long as it has not begun, as a new run of the name otherwise.

    The results of a run stay with the document that they are of. A run that an equal edit has made, and that has not
    begun, is given back.
    """
    with _all_or_nothing(task, EDIT):
        if _lock(task, EDIT).status != Status.PENDING:
            return _waiting(document) or create(document)
        columns = columns_of(document)
        if document.name != task.name:
            columns["run"] = next_run(document.name)
        Task.objects.filter(pk=task.pk).update(**columns)
    task.refresh_from_db()
    logs.note(task, "info", EDIT.done)
    return task


def duplicate(task: Task) -> Task:
    """A task with the same document under a name of its own, not started."""
    with _all_or_nothing(task, Rule("duplicated", tuple(Status))):
        return create(copy_of(task))


def copy_of(task: Task) -> TaskDocument:
    """The document of a task under a name that is still free."""
    document = task.task_document
    names = set(Task.objects.filter(name__startswith=document.name[:150]).values_list("name", flat=True))
    number = 2
    while (name := f"{document.name[:180]} copy {number}") in names:
        number += 1
    return document.model_copy(update={"name": name})


def delete(task: Task) -> None:
    """Remove a task that does not run, with its experiments, log lines and files."""
    with _all_or_nothing(task, DELETE):
        number = _lock(task, DELETE).pk
        Task.objects.filter(pk=number).delete()
    shutil.rmtree(task_folder(number), ignore_errors=True)


def reset(task: Task, *, force: bool = False) -> None:
    """Make a task as if it had never run; refused while a worker holds one of its experiments, unless forced.

    A worker that is forced out writes nothing more, and its engine is removed by the next `reconcile`.
    """
    with transaction.atomic():
        if not force and (experiment := held().filter(task=task).first()):
            raise ConflictError(
                f"Task {task} cannot be reset: {experiment} is {experiment.status}. Cancel it first, or force it."
            )
        task.log_lines.all().delete()
        task.experiments.all().delete()
        fresh = {"started_at": None, "finished_at": None, "message": "", "worked_s": 0.0, "ticked": None}
        again = {"status": Status.PENDING, "worker": None, "revision": F("revision") + 1}
        Task.objects.filter(pk=task.pk).update(**again, **fresh, **best.NONE)
    shutil.rmtree(task_folder(task.pk), ignore_errors=True)
    task.refresh_from_db()


def held() -> Any:
    """The experiments that a worker holds by a lease that is still good."""
    return Experiment.objects.filter(clock.is_valid(clock.reading()), status__in=Experiment.ACTIVE)


def _change(task: Task, rule: Rule, after: Status, **columns: Any) -> None:
    """Move a task to `after` where the rule allows it now; ConflictError in words where it does not."""
    if not Task.objects.filter(rule.rows, pk=task.pk).update(status=after, **columns):
        raise _conflict(task, rule)
    task.refresh_from_db()
    logs.note(task, "info", rule.done)


def _lock(task: Task, rule: Rule) -> Task:
    """The row as it is now, which others leave alone until this transaction ends; ConflictError as in `_change`."""
    found = Task.objects.select_for_update(of=("self",)).filter(rule.rows, pk=task.pk).first()
    if found is None:
        raise _conflict(task, rule)
    return found


@contextlib.contextmanager
def _all_or_nothing(task: Task, rule: Rule) -> Iterator[None]:
    """A transaction; where the database refuses the same run of a name twice, somebody else was faster."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise ConflictError(f"Task {task} cannot be {rule.done} now: another run of its name is being made.") from error


def _conflict(task: Task, rule: Rule) -> ConflictError:
    now = Task.objects.filter(pk=task.pk).values_list("status", flat=True).first()
    if now is None:
        return ConflictError(f"Task {task} cannot be {rule.done}: it does not exist any more.")
    active = task.experiments.filter(status__in=Experiment.ACTIVE).first()
    if active and now in rule.idle:
        return ConflictError(f"Task {task} cannot be {rule.done} yet: it is {now}, and {active} still {active.status}.")
    return ConflictError(f"Task {task} cannot be {rule.done}: it is {now}.")


def _waiting(document: TaskDocument) -> Task | None:
    """The latest run of this name, when it has this document and has not begun."""
    latest = Task.objects.filter(name=document.name).order_by("-run").first()
    same = latest and latest.document_digest == columns_of(document)["document_digest"]
    return latest if latest and same and latest.status == Status.PENDING else None


def _take_up(task: Task, status: Experiment.Status) -> int:
    """Make experiments with this outcome pending again; their number, configuration and attempts stay."""
    found = task.experiments.filter(status=status)
    return int(found.update(status=Experiment.Status.PENDING, losses=0, **OUTCOME_OPEN))
