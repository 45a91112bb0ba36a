"""Which experiments are begun next, when several tasks want the slots of a machine."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone

from tuning.document.task import TaskDocument
from tuning.models import Experiment, Task
from tuning.runner import clock, slots
from tuning.runner.plans import Plans
from tuning.runner.task import advance, refuse_what_cannot_fit

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
    is too large for what is free lets others pass for `PATIENCE` only: then the slots that it may have are kept for it,
    unless all of them together are too few.
    """
    slots.observe()
    tasks = {task.pk: task for task in Task.objects.filter(status=Task.Status.RUNNING, worker=worker or None)}
    documents = {pk: task.task_document for pk, task in tasks.items()}
    usable = {pk: slots.usable(document) for pk, document in documents.items()}
    given: set[int] = set()
    for experiment in _in_turns(tasks, documents):
        mine = usable[experiment.task_id]
        free = [slot.pk for slot in mine if not slot.claim and slot.pk not in given]
        count = slots.needed(experiment, documents[experiment.task_id])
        if count <= len(free):
            given.update(free[:count])
            yield experiment
        elif count > len(mine):
            refuse_what_cannot_fit(experiment, documents[experiment.task_id])  # the machine may have lost GPUs since
        elif timezone.now() - experiment.created_at > PATIENCE:
            given.update(free)


def _in_turns(tasks: dict[int, Task], documents: dict[int, TaskDocument]) -> Iterator[Experiment]:
    """One pending experiment after the other, always of the task that has the fewest; no more than it may have."""
    now = clock.reading()
    under_way = _under_way(tasks)
    waiting: dict[int, list[Experiment]] = {pk: [] for pk in tasks}
    pending = Experiment.objects.filter(status=Experiment.Status.PENDING, task__in=tasks)
    # Sorted here: a database that sorts would rather walk through the whole history of the task in its order.
    for experiment in sorted(pending.order_by(), key=lambda experiment: experiment.number):
        if under_way.get(pk := experiment.task_id, 0) + len(waiting[pk]) < documents[pk].max_parallel:
            waiting[pk].append(experiment)
    while waiting := {pk: experiments for pk, experiments in waiting.items() if experiments}:
        pk = min(waiting, key=lambda pk: (under_way.get(pk, 0), _last_served(tasks[pk], now), pk))
        yield waiting[pk].pop(0)
        under_way[pk] = under_way.get(pk, 0) + 1


def _under_way(tasks: Iterable[int]) -> dict[int, int]:
    active = Experiment.objects.filter(status__in=Experiment.ACTIVE, task__in=tasks)
    return dict(active.order_by().values_list("task").annotate(Count("pk")))


def _last_served(task: Task, now: float) -> float:
    """When somebody worked on it last; what is later than `now` was before the machine was started again."""
    return task.ticked if task.ticked is not None and task.ticked <= now else 0.0
