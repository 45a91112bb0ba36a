"""Experiments of all tasks, as lines of a list."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import QuerySet

from tuning.document.goals import Objective, ObjectiveName
from tuning.models import Experiment, Task
from tuning.scoring.objectives import unit

_COLUMNS = (
    "task_id",
    "task__name",
    "task__run",
    "task__document__objective__name",
    "number",
    "is_baseline",
    "status",
    "feasible",
    "reason",
    "value",
    "total_s",
    "finished_at",
)


@dataclass(frozen=True)
class Line:
    """An experiment of some task."""

    task_id: int
    task_name: str
    run: int
    objective: str
    number: int
    is_baseline: bool
    status: str
    feasible: bool | None
    reason: str
    value: float | None
    total_s: float | None
    finished_at: datetime | None

    @property
    def unit(self) -> str:
        """Of its value."""
        return _unit(self.objective)


def matching(wanted: Mapping[str, Any]) -> "QuerySet[Experiment]":
    """The experiments that the values of an ExperimentListForm ask for.

    A reason, or an outcome, is found on the way through the rows in the order of the list, which is sooner than by
    their status, although only failures have the one, and only successes the other.
    """
    rows = Experiment.objects.all()
    if wanted["status"]:
        rows = rows.filter(status=wanted["status"])
    if wanted["reason"]:
        rows = rows.filter(reason=wanted["reason"])
    if wanted["outcome"]:
        rows = rows.filter(feasible=wanted["outcome"] == "feasible")
    if wanted["task"]:
        rows = rows.filter(task=wanted["task"])
    if wanted["q"]:
        rows = rows.filter(task__in=Task.objects.filter(name__icontains=wanted["q"]).order_by().values("pk"))
    return rows


def lines(rows: Any) -> Iterator[Line]:
    """The experiments of a page, in its order: two queries, so that nothing is sorted with all that is shown of it."""
    keys = list(rows.values_list("pk", flat=True))
    found = {pk: Line(*columns) for pk, *columns in Experiment.objects.filter(pk__in=keys).values_list("pk", *_COLUMNS)}
    yield from (found[pk] for pk in keys if pk in found)


@cache
def _unit(objective: str) -> str:
    return unit(Objective(name=ObjectiveName(objective)))
