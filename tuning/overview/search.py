"""Where something is: tasks by name, model or engine, experiments by number, parameters by name."""

import re
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from tuning.models import Experiment, Task
from tuning.overview.tasks import TaskLine, matching, task_lines

MOST = 20
LOOKED_AT = 2_000
"""Tasks, the latest ones, whose search spaces are looked at."""
_NUMBER = re.compile(r"#?([1-9][0-9]{0,8})")
_PARAMETER = re.compile(r"[A-Za-z0-9_.:-]{2,200}")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a task's search space."""

    task: Task
    name: str


@dataclass(frozen=True)
class Found:
    """What was found, at most MOST of each kind, the latest first."""

    tasks: tuple[TaskLine, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    parameters: tuple[Parameter, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.tasks) + len(self.experiments) + len(self.parameters)


def find(words: str) -> Found:
    """Five queries at most; "12" and "#12" are experiments, of the tasks that the other words name."""
    parts = words.split()
    if not parts:
        return Found()
    numbers = [int(match[1]) for part in parts if (match := _NUMBER.fullmatch(part))]
    names = " ".join(part for part in parts if not _NUMBER.fullmatch(part))
    tasks = Task.objects.filter(matching(words)).order_by("-pk")
    return Found(
        tuple(task_lines(tasks[:MOST])),
        tuple(_experiments(numbers, matching(names))) if numbers else (),
        tuple(_parameters(parts[0])) if len(parts) == 1 and _PARAMETER.fullmatch(parts[0]) else (),
    )


def _experiments(numbers: list[int], of: Q) -> "QuerySet[Experiment]":
    tasks = Task.objects.filter(of).order_by("-pk").values_list("pk", flat=True)[:LOOKED_AT]
    rows = Experiment.objects.filter(task__in=list(tasks), number__in=numbers[:MOST])
    return rows.select_related("task").defer("task__document", "command").order_by("-task_id", "number")[:MOST]


def _parameters(word: str) -> list[Parameter]:
    wanted = word.lower().lstrip("-").replace("_", "-")
    latest = Task.objects.order_by("-pk").values_list("pk", "name", "run", "document__search_space__parameters")
    found = [
        Parameter(Task(pk=pk, name=name, run=run), parameter)
        for pk, name, run, parameters in latest[:LOOKED_AT]
        for parameter in (parameters if isinstance(parameters, dict) else ())
        if wanted in parameter.lower().replace("_", "-")
    ]
    return found[:MOST]
