"""All tasks, in one line each: how far they are, and the best that came out; what pages and commands show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Q
from pydantic import JsonValue

from tuning.document.goals import Objective
from tuning.engines.registry import engine_for
from tuning.models import Experiment, Slot, Task
from tuning.overview.actions import Action, possible
from tuning.overview.progress import Counts, counts_of, outcome, total
from tuning.scoring.objectives import unit

MOST_CELLS = 60
"""Experiments that have a cell each; more of them are shown as shares of a bar."""


@dataclass(frozen=True)
class Cell:
    """An experiment in the row of its task; `look` is the word of its colour and shape."""

    number: int
    outcome: str
    is_best: bool

    @property
    def look(self) -> str:
        """The name of its style."""
        return "success" if self.outcome == "feasible" else self.outcome


@dataclass(frozen=True)
class Share:
    """A part of a bar that is 100 long."""

    look: str
    start: float
    length: float


@dataclass(frozen=True)
class TaskLine:
    """A task and its experiments; what is read of its document is not validated, for there are many lines."""

    task: Task
    counts: Counts
    cells: tuple[Cell, ...] = ()

    @property
    def engine(self) -> str:
        """The name of the engine."""
        return str(_at(self.task.document, "engine", "name") or "")

    @property
    def is_simulated(self) -> bool:
        """Whether its numbers are of no GPU."""
        return is_simulated(self.engine)

    @property
    def model(self) -> str:
        """Path or hub id of the model."""
        return str(_at(self.task.document, "model", "id") or "")

    @property
    def deployment(self) -> str:
        """Where the engine runs."""
        return str(_at(self.task.document, "deployment", "mode") or "")

    @cached_property
    def unit(self) -> str:
        """Of the best value."""
        return unit(Objective.model_validate(_at(self.task.document, "objective") or {}, strict=False))

    @cached_property
    def total(self) -> int:
        """Of how many experiments it is."""
        return total(self.task, self.counts)

    @property
    def seconds(self) -> float | None:
        """How long it took, pauses included; None until it has ended, so that nothing ticks."""
        started, finished = self.task.started_at, self.task.finished_at
        return (finished - started).total_seconds() if started and finished else None

    @cached_property
    def said(self) -> str:
        """Its progress in a sentence."""
        counts = self.counts
        words = {
            "feasible": counts.feasible,
            "infeasible": counts.infeasible,
            "failed": counts.failed,
            "running": counts.running,
            "cancelled": counts.cancelled,
        }
        parts = ", ".join(f"{count} {word}" for word, count in words.items() if count)
        return f"{counts.finished} of {self.total} finished" + (f": {parts}" if parts else "")

    @property
    def has_cells(self) -> bool:
        """Whether each experiment has a cell, also those that are still to be made."""
        return self.total <= MOST_CELLS

    @property
    def rest(self) -> range:
        """A place for each experiment that is still to be made, where each has a cell."""
        return range(max(0, self.total - len(self.cells)) if self.has_cells else 0)

    @property
    def shares(self) -> tuple[Share, ...]:
        """The bar of a task that has too many experiments for cells."""
        counts = self.counts
        parts = (
            ("feasible", counts.feasible),
            ("infeasible", counts.infeasible),
            ("failed", counts.failed),
            ("cancelled", counts.cancelled),
            ("running", counts.running),
        )
        shares, start = [], 0.0
        for look, count in parts:
            length = 100.0 * count / max(1, self.total)
            shares.append(Share(look, round(start, 2), round(length, 2)))
            start += length
        return tuple(share for share in shares if share.length)

    @property
    def actions(self) -> tuple[Action, ...]:
        """What can be done with it now."""
        return possible(self.task, running=self.counts.running, failed=self.counts.failed)


def task_lines(tasks: Iterable[Task]) -> list[TaskLine]:
    """Lines without cells: one query besides that for the tasks, however many there are."""
    found = list(tasks)
    counts = counts_of(task.pk for task in found)
    return [TaskLine(task, counts.get(task.pk, Counts())) for task in found]


def with_cells(tasks: Sequence[Task]) -> list[TaskLine]:
    """Lines with a cell for each experiment, unless there are too many: two queries."""
    counts = counts_of(task.pk for task in tasks)
    few = [task for task in tasks if counts.get(task.pk, Counts()).made <= MOST_CELLS]
    cells = _cells(few)
    return [TaskLine(task, counts.get(task.pk, Counts()), tuple(cells.get(task.pk, ()))) for task in tasks]


def _cells(tasks: Iterable[Task]) -> dict[int, list[Cell]]:
    best = {task.pk: task.best_id for task in tasks}
    rows = Experiment.objects.filter(task__in=list(best)).order_by("task_id", "number")
    cells: dict[int, list[Cell]] = {}
    for pk, task, number, status, feasible in rows.values_list("pk", "task", "number", "status", "feasible"):
        cells.setdefault(task, []).append(Cell(number, outcome(status, feasible), pk == best[task]))
    return cells


def matching(words: str) -> Q:
    """Tasks of which the name, the model or the engine holds every one of these words."""
    wanted = Q()
    for word in words.split()[:8]:
        wanted &= (
            Q(name__icontains=word) | Q(document__model__id__icontains=word) | Q(document__engine__name__icontains=word)
        )
    return wanted


def slot_holders() -> dict[str, Experiment]:
    """The experiments that have slots, by their claims."""
    active = Experiment.objects.filter(status__in=Experiment.ACTIVE).select_related("task")
    return {row.claim: row for row in active.defer("task__document", "parameters", "command")}


def slots_with_holders() -> list[tuple[Slot, Experiment | None]]:
    """All slots and who has them: two queries."""
    holders = slot_holders()
    return [(slot, holders.get(slot.claim) if slot.claim else None) for slot in Slot.objects.all()]


def is_simulated(engine: str) -> bool:
    """Whether what this engine says was measured on no GPU; an engine that is not known is taken for a real one."""
    try:
        return engine_for(engine).simulated  # type: ignore[arg-type]
    except KeyError:
        return False


def _at(document: Any, *path: str) -> JsonValue:
    """What the document holds there; None where there is nothing."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    found: JsonValue = document
    return found
