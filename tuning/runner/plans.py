"""The planners of running tasks, kept while they are of use: what they know can always be read from the rows again."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db.models import Q

from tuning.models import Experiment, Task
from tuning.runner.planner import Planner


@dataclass
class _Plan:
    """A planner, and the revision of the task whose rows it has seen."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    planner: Planner | None = None
    revision: int = -1


class Plans:
    """One planner per task; each is used by one thread at a time."""

    def __init__(self) -> None:
        self._plans: dict[int, _Plan] = {}
        self._changing = threading.Lock()

    @contextlib.contextmanager
    def of(self, task: Task) -> Iterator[Planner]:
        """The planner of `task`, which knows all of its rows."""
        with self._changing:
            plan = self._plans.setdefault(task.pk, _Plan())
        with plan.lock:
            yield self._current(plan, task)

    def forget(self, task: int) -> None:
        """The task with this id does not run any more."""
        with self._changing:
            self._plans.pop(task, None)

    def _current(self, plan: _Plan, task: Task) -> Planner:
        if plan.planner is None or plan.revision != task.revision:
            plan.planner = Planner(task.task_document)
            plan.revision = task.revision
        for row in _unknown_rows(task, plan.planner):
            plan.planner.record(row)
        return plan.planner


def _unknown_rows(task: Task, planner: Planner) -> Iterator[Experiment]:
    """New rows, and those that had no outcome when they were looked at last."""
    news = Q(number__gt=planner.last_number) | Q(number__in=planner.unfinished)
    yield from task.experiments.filter(news).order_by("number")
