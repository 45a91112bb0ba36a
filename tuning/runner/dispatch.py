"""Which experiments are begun next, when several tasks want the slots of a machine."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from django.db.models import Count
from django.utils import timezone

from tuning.models import Experiment, Task
from tuning.runner import slots
from tuning.runner.plans import Plans
from tuning.runner.task import advance

PATIENCE = timedelta(seconds=60)
"""How long a large experiment lets smaller ones of other tasks pass before slots are kept free for it."""

Enqueue = Callable[[int], object]
"""Has somebody run the experiment with this id; a message too many does no harm."""


def go_on(tasks: list[int], plans: Plans, enqueue: Enqueue, *, worker: str = "") -> None:
    """Plan what is next in these tasks, then begin as much, of all tasks, as there are slots for.

    With `worker`, only the tasks that this foreground process has for itself; without, only those that none has.
    """
    for pk in tasks:
        advance(pk, plans)
    for experiment in startable(worker=worker):
        enqueue(experiment.pk)


def startable(*, worker: str = "") -> Iterator[Experiment]:
    """The pending experiments that would find slots on this machine now, in the order in which they should begin.

    The task that has the fewest under way comes first, then the one that was not served for longest. An experiment that
    is too large for what is free lets others pass for `PATIENCE` only.
    """
    documents = {task.pk: task.task_document for task in _running(worker)}
    pending = Experiment.objects.filter(status=Experiment.Status.PENDING, task__in=documents).order_by("number")
    left = {pk: slots.free(document) for pk, document in documents.items()}
    for experiment in _in_turns(list(pending), _under_way(list(documents))):
        count = slots.needed(experiment, documents[experiment.task_id])
        if count <= left[experiment.task_id]:
            left = {pk: free - count for pk, free in left.items()}
            yield experiment
        elif timezone.now() - experiment.created_at > PATIENCE:
            return


def _running(worker: str) -> list[Task]:
    return list(Task.objects.filter(status=Task.Status.RUNNING, worker=worker or None))


def _under_way(tasks: list[int]) -> dict[int, int]:
    active = Experiment.objects.filter(status__in=Experiment.ACTIVE, task__in=tasks)
    return dict(active.order_by().values_list("task").annotate(Count("pk")))


def _last_served(task: int) -> datetime:
    begun = Experiment.objects.filter(task=task, started_at__isnull=False).order_by("-number")
    return begun.values_list("started_at", flat=True).first() or datetime.min.replace(tzinfo=UTC)


def _in_turns(pending: list[Experiment], under_way: dict[int, int]) -> Iterator[Experiment]:
    """One experiment after the other, always of the task that has the fewest."""
    waiting: dict[int, list[Experiment]] = {}
    for experiment in pending:
        waiting.setdefault(experiment.task_id, []).append(experiment)
    served = {task: _last_served(task) for task in waiting}
    while waiting:
        task = min(waiting, key=lambda pk: (under_way.get(pk, 0), served[pk], pk))
        yield waiting[task].pop(0)
        under_way[task] = under_way.get(task, 0) + 1
        waiting = {pk: experiments for pk, experiments in waiting.items() if experiments}
