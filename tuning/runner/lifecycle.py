"""What a person can do with a task: each is one conditional change of its row, or a sentence why not now."""

import shutil
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from tuning.document.task import TaskDocument
from tuning.errors import ConflictError, Reason
from tuning.models import Experiment, Task
from tuning.runner import clock, logs
from tuning.runner.dispatch import Enqueue
from tuning.runner.experiment import task_folder
from tuning.runner.intake import columns_of, create, next_run

Status = Task.Status

OUTCOME_OPEN: dict[str, Any] = {"reason": "", "message": "", "finished_at": None, "claim": ""}
ENDED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


def start(task: Task, wake: Enqueue) -> None:
    """Run a task that has not run yet."""
    _change(task, (Status.PENDING,), Status.RUNNING, "started", started_at=timezone.now())
    wake(task.pk)


def pause(task: Task) -> None:
    """Let the running experiments finish, and begin no more."""
    _change(task, (Status.RUNNING,), Status.PAUSED, "paused")


def resume(task: Task, wake: Enqueue) -> None:
    """Go on with a task that was paused or cancelled, where it stopped."""
    if task.status != Status.PAUSED:
        _refuse_while_active(task, "resumed")
    with transaction.atomic():
        _change(task, (Status.PAUSED, Status.CANCELLED), Status.RUNNING, "resumed", finished_at=None, message="")
        _take_up(task, Experiment.Status.CANCELLED)
    wake(task.pk)


def cancel(task: Task) -> None:
    """End a task; what runs is ended too, within seconds, by whoever runs it."""
    with transaction.atomic():
        columns = {"finished_at": timezone.now(), "message": "Cancelled.", "worker": None}
        _change(task, (Status.PENDING, Status.RUNNING, Status.PAUSED), Status.CANCELLED, "cancelled", **columns)
        task.experiments.filter(status=Experiment.Status.PENDING).update(
            status=Experiment.Status.CANCELLED, reason=Reason.CANCELLED, finished_at=timezone.now()
        )


def retry(task: Task, wake: Enqueue) -> int:
    """Run the failed experiments of a task again; how many there are. ConflictError when there is none."""
    _refuse_while_active(task, "retried")
    with transaction.atomic():
        columns = {"finished_at": None, "message": "", "revision": F("revision") + 1}
        _change(task, (*ENDED, Status.PAUSED), Status.RUNNING, "retried", **columns)
        _take_up(task, Experiment.Status.CANCELLED)
        count = _take_up(task, Experiment.Status.FAILED)
        if not count:
            raise ConflictError(f"Task {task} has no failed experiments.")
    wake(task.pk)
    return count


def restart(task: Task, wake: Enqueue) -> Task:
    """Run the document of a task that has ended once more, from the beginning; the results so far are kept."""
    _refuse_while_active(task, "restarted")
    if task.status not in ENDED:
        raise _conflict(task, "restarted")
    again = create(task.task_document)
    start(again, wake)
    return again


def edit(task: Task, document: TaskDocument) -> Task:
    """Give a task another document: in place as long as it has not begun, as a new run of the name otherwise."""
    _refuse_while_active(task, "edited")
    if task.status == Status.RUNNING:
        raise _conflict(task, "edited")
    if task.status != Status.PENDING:
        return create(document)
    columns = columns_of(document)
    if document.name != task.name:
        columns["run"] = next_run(document.name)
    _change(task, (Status.PENDING,), Status.PENDING, "edited", **columns)
    return task


def duplicate(task: Task) -> Task:
    """A task with the same document under a name of its own, not started."""
    document = task.task_document
    names = set(Task.objects.filter(name__startswith=document.name[:150]).values_list("name", flat=True))
    number = 2
    while (name := f"{document.name[:180]} copy {number}") in names:
        number += 1
    return create(document.model_copy(update={"name": name}))


def delete(task: Task) -> None:
    """Remove a task that does not run, with its experiments, log lines and files."""
    _refuse_while_active(task, "deleted")
    found, _ = Task.objects.filter(pk=task.pk).exclude(status=Status.RUNNING).delete()
    if not found:
        raise _conflict(task, "deleted")
    shutil.rmtree(task_folder(task.pk), ignore_errors=True)


def reset(task: Task, *, force: bool = False) -> None:
    """Make a task as if it had never run; refused while a worker holds one of its experiments, unless forced.

    A worker that is forced out writes nothing more, and its engine is removed by the next `reconcile`.
    """
    with transaction.atomic():
        if not force and (held := _held(task)):
            raise ConflictError(f"Task {task} cannot be reset: a worker runs {held}. Cancel it first, or force it.")
        task.experiments.all().delete()
        task.log_lines.all().delete()
        fresh = {"started_at": None, "finished_at": None, "message": "", "worked_s": 0.0, "ticked": None}
        Task.objects.filter(pk=task.pk).update(status=Status.PENDING, worker=None, revision=F("revision") + 1, **fresh)
    shutil.rmtree(task_folder(task.pk), ignore_errors=True)
    task.refresh_from_db()


def _held(task: Task) -> Experiment | None:
    active = task.experiments.filter(status__in=Experiment.ACTIVE)
    return active.filter(clock.is_valid(clock.reading())).first()


def _change(task: Task, before: tuple[Status, ...], after: Status, done: str, **columns: Any) -> None:
    """Move a task from one of the statuses `before` to `after`; ConflictError in words when it is in another."""
    if not Task.objects.filter(pk=task.pk, status__in=before).update(status=after, **columns):
        raise _conflict(task, done)
    task.refresh_from_db()
    logs.note(task, "info", done)


def _conflict(task: Task, done: str) -> ConflictError:
    now = Task.objects.filter(pk=task.pk).values_list("status", flat=True).first()
    state = f"it is {now}" if now else "it does not exist any more"
    return ConflictError(f"Task {task} cannot be {done}: {state}.")


def _refuse_while_active(task: Task, done: str) -> None:
    """What was cancelled or paused may still be running."""
    active = task.experiments.filter(status__in=Experiment.ACTIVE).first()
    if active:
        raise ConflictError(f"Task {task} cannot be {done} yet: {active} is still {active.status}.")


def _take_up(task: Task, status: Experiment.Status) -> int:
    """Make experiments with this outcome pending again; their number, configuration and attempts stay."""
    found = task.experiments.filter(status=status)
    return int(found.update(status=Experiment.Status.PENDING, losses=0, **OUTCOME_OPEN))
