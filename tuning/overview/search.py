"""Where something is: tasks by name, model or engine, experiments by number, parameters by name."""

import re
from dataclasses import dataclass

from django.db.models import Q

from tuning.models import Experiment, Task
from tuning.overview.progress import outcome
from tuning.overview.tasks import TaskLine, matching, task_lines

SHORTEST = 2
"""Letters that are needed; a number may be shorter."""
MOST = 20
LOOKED_AT = 2_000
"""Tasks, the latest ones, whose experiments are looked at."""
MOST_WITH = 100
"""Tasks, the latest ones, that are counted for a parameter."""
MOST_NAMED = 3
"""Of these, those that are named."""
_NUMBER = re.compile(r"#?([1-9][0-9]{0,8})")
_PARAMETER = re.compile(r"[A-Za-z0-9_.:-]{2,200}")


@dataclass(frozen=True)
class Parameter:
    """A parameter of search spaces, and the tasks that vary it, the latest first."""

    name: str
    tasks: tuple[Task, ...]

    @property
    def named(self) -> tuple[Task, ...]:
        """The tasks that are shown."""
        return self.tasks[:MOST_NAMED]

    @property
    def more(self) -> int:
        """How many there are besides."""
        return len(self.tasks) - len(self.named)


@dataclass(frozen=True)
class Numbered:
    """An experiment by its number."""

    row: Experiment

    @property
    def outcome(self) -> str:
        """What became of it, in a word."""
        return outcome(self.row.status, self.row.feasible)


@dataclass(frozen=True)
class Found:
    """What was found, at most MOST of each kind, the latest first; `more_tasks` when there are more."""

    tasks: tuple[TaskLine, ...] = ()
    more_tasks: bool = False
    experiments: tuple[Numbered, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    is_too_short: bool = False

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.tasks) + len(self.experiments) + len(self.parameters)


def find(words: str) -> Found:
    """Five queries at most; "12" and "#12" are experiments, of the tasks that the other words name."""
    parts = words.split()
    numbers = [int(match[1]) for part in parts if (match := _NUMBER.fullmatch(part))]
    if not numbers and len("".join(parts)) < SHORTEST:
        return Found(is_too_short=bool(parts))
    names = " ".join(part for part in parts if not _NUMBER.fullmatch(part))
    tasks = list(Task.objects.filter(matching(words)).order_by("-pk")[: MOST + 1])
    return Found(
        tuple(task_lines(tasks[:MOST])),
        more_tasks=len(tasks) > MOST,
        experiments=_experiments(numbers, matching(names)) if numbers else (),
        parameters=_parameters(words.strip()) if _PARAMETER.fullmatch(words.strip()) else (),
    )


def _experiments(numbers: list[int], of: Q) -> tuple[Numbered, ...]:
    tasks = Task.objects.filter(of).order_by("-pk").values_list("pk", flat=True)[:LOOKED_AT]
    rows = Experiment.objects.filter(task__in=list(tasks), number__in=numbers[:MOST])
    latest = rows.select_related("task").defer("task__document", "command").order_by("-task_id", "number")
    return tuple(Numbered(row) for row in latest[:MOST])


def _parameters(word: str) -> tuple[Parameter, ...]:
    wanted = _spelled(word)
    # The database finds the tasks that may have it, by the part that is the rarest; which do is seen here.
    part = max(wanted.split("-"), key=len)
    some = Task.objects.filter(document__search_space__parameters__icontains=part).order_by("-pk")
    columns = ("pk", "name", "run", "document__search_space__parameters")
    found: dict[str, list[Task]] = {}
    for pk, name, run, parameters in some.values_list(*columns)[:MOST_WITH]:
        for parameter in parameters if isinstance(parameters, dict) else ():
            if wanted in _spelled(parameter):
                found.setdefault(parameter, []).append(Task(pk=pk, name=name, run=run))
    return tuple(Parameter(name, tuple(tasks)) for name, tasks in sorted(found.items())[:MOST])


def _spelled(parameter: str) -> str:
    """As it is compared: flags are written with dashes or underscores, with two dashes in front or without."""
    return parameter.lower().lstrip("-").replace("_", "-")
