"""How far tasks are: experiments by what became of them, how many there will be, and how long that takes."""

import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db.models import Count

from tuning.document.task import TaskDocument
from tuning.models import Experiment, Task
from tuning.runner.planner import search_space
from tuning.search import count

COUNTED = 100
"""How far the configurations of a space are counted for a page; beyond, at most how many they are is good enough."""
RECENT = 50
"""Finished experiments of which the mean duration is taken."""


@dataclass(frozen=True)
class Counts:
    """Experiments of a task by what became of them."""

    feasible: int = 0
    infeasible: int = 0
    failed: int = 0
    cancelled: int = 0
    deploying: int = 0
    benchmarking: int = 0
    pending: int = 0

    @property
    def running(self) -> int:
        """Those that a worker has now."""
        return self.deploying + self.benchmarking

    @property
    def finished(self) -> int:
        """Those that have an outcome."""
        return self.feasible + self.infeasible + self.failed

    @property
    def made(self) -> int:
        """All that there are."""
        return self.finished + self.cancelled + self.running + self.pending


def outcome(status: str, feasible: bool | None) -> str:
    """What became of an experiment, in a word: its status, or, once it is measured, whether it meets the SLO."""
    if status != Experiment.Status.SUCCESS:
        return status
    return "feasible" if feasible else "infeasible"


def counts_of(tasks: Iterable[int]) -> dict[int, Counts]:
    """The experiments of tasks by their ids: one query, answered from an index."""
    rows = Experiment.objects.filter(task__in=list(tasks)).order_by()
    found: dict[int, dict[str, int]] = {}
    for task, status, feasible, number in rows.values_list("task", "status", "feasible").annotate(Count("pk")):
        word, of_task = outcome(status, feasible), found.setdefault(task, {})
        of_task[word] = of_task.get(word, 0) + number
    return {task: Counts(**of_task) for task, of_task in found.items()}


@dataclass(frozen=True)
class _Kept:
    """A task's document as it is kept; those with the same digest are the same."""

    digest: str
    values: dict[str, Any] = field(compare=False)


def document_of(task: Task) -> TaskDocument:
    """The document as typed values; it is validated once per process, because that takes longer than a query."""
    return _typed(_Kept(task.document_digest, task.document))


@lru_cache(maxsize=256)
def _typed(kept: _Kept) -> TaskDocument:
    return TaskDocument.model_validate_json(json.dumps(kept.values))


def planned(task: Task) -> int:
    """How many experiments the task's search will make, at most."""
    return _planned(_Kept(task.document_digest, task.document))


@lru_cache(maxsize=1024)
def _planned(kept: _Kept) -> int:
    document = _typed(kept)
    configurations = int(min(document.budget.experiments, _searchable(document) + document.baseline))
    if not document.finalists:
        return configurations * document.replicates
    again = min(document.finalists + document.baseline, configurations)
    return configurations + again * (document.replicates - 1)


def _searchable(document: TaskDocument) -> float:
    space = search_space(document)
    found = count(space, limit=min(document.budget.experiments, COUNTED))
    if found is not None:
        return found
    return math.inf if space.upper_bound is None else space.upper_bound


def total(task: Task, counts: Counts) -> int:
    """Of how many experiments a task is: what it made once it has ended, and what it is to make before."""
    return counts.made if task.is_finished else max(planned(task), counts.made)


def time_left_s(task: Task, counts: Counts) -> float | None:
    """How long a task will take from now, in seconds, roughly; None before an experiment has finished."""
    finished = task.experiments.filter(total_s__isnull=False).order_by("-number")
    took = [seconds or 0.0 for seconds in finished.values_list("total_s", flat=True)[:RECENT]]
    if not took:
        return None
    left = max(0, total(task, counts) - counts.finished - counts.cancelled)
    parallel = max(1, min(document_of(task).max_parallel, left))
    return rough(left * statistics.fmean(took) / parallel)


def rough(seconds: float) -> float:
    """Seconds, rounded up so far that an estimate does not change with every look at it."""
    steps = ((60, 10), (600, 60), (3600, 300), (6 * 3600, 900))
    step = next((step for below, step in steps if seconds < below), 3600)
    return float(math.ceil(seconds / step) * step)
