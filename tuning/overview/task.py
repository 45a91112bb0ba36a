"""One task as its page shows it: how far it is, what it found so far, and what happened to it."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Sum

from tuning.document.task import TaskDocument
from tuning.engines.registry import engine_for
from tuning.models import Experiment, LogLine, Task, Worker
from tuning.overview.actions import Action, possible
from tuning.overview.best import Best, Closest, best_of, closest
from tuning.overview.experiments_table import look
from tuning.overview.facts import Fact, facts
from tuning.overview.progress import Counts, counts_of, document_of, outcome, time_left_s, total
from tuning.overview.standing import Standing, standing
from tuning.runner.reconcile import is_dead
from tuning.runner.task import SECONDS_PER_HOUR

MOST_CELLS = 200
"""Experiments that are drawn one by one; more are drawn as a bar."""
MOST_EVENTS = 50
MOST_RUNS = 10
MINUTE_S = 60

Status = Task.Status


@dataclass(frozen=True)
class Active:
    """An experiment that a worker has now."""

    number: int
    words: str


@dataclass(frozen=True)
class Square:
    """An experiment as a cell of the progress; `number` is 0 for one that is still to be made."""

    number: int
    outcome: str
    is_best: bool = False

    @property
    def look(self) -> str:
        """The name of its style."""
        return look(self.outcome)


@dataclass(frozen=True)
class Stretch:
    """A part of the bar that stands for the cells of many experiments: where it begins and how long it is, in %."""

    outcome: str
    start: float
    length: float


@dataclass(frozen=True)
class Spent:
    """What was spent of a budget that the document sets, or of no budget."""

    worked_s: float
    gpu_hours: float | None


@dataclass(frozen=True)
class Event:
    """Something that happened to the task."""

    at: datetime
    text: str
    level: str = "info"


@dataclass(frozen=True)
class TaskNow:
    """A snapshot of a task; `changes` tells whether it may look different soon."""

    task: Task
    document: TaskDocument
    is_simulated: bool
    counts: Counts
    total: int
    line: str
    active: tuple[Active, ...]
    squares: tuple[Square, ...]
    bar: tuple[Stretch, ...]
    time_left_s: float | None
    spent: Spent
    lacks_worker: bool
    best: Best | None
    closest: Closest | None
    events: tuple[Event, ...]
    facts: tuple[Fact, ...]
    actions: tuple[Action, ...]

    @property
    def changes(self) -> bool:
        """Whether somebody may work on it, now or soon."""
        return changes(self.task, self.counts)


TASKS = Task.objects.select_related("best", "worker")
"""The rows from which a task's page is read."""


def changes(task: Task, counts: Counts) -> bool:
    """Whether a task may look different soon: it runs, waits to be started, or something of it still runs."""
    return task.status in (Status.PENDING, Status.RUNNING) or bool(counts.running)


def counts_and_standing(task: Task) -> tuple[Counts, Standing]:
    """What several parts of the page need of the rows: two queries."""
    return counts_of([task.pk]).get(task.pk, Counts()), standing(task, document_of(task))


def task_now(task: Task, counts: Counts, stands: Standing) -> TaskNow:
    """Read it; the number of queries does not depend on how many experiments there are."""
    document = document_of(task)
    expected = total(task, counts)
    active = _active(task, document) if counts.running else ()
    best = best_of(task, document, stands)
    is_running = task.status == Status.RUNNING
    lacks_worker = is_running and not _has_worker(task)
    few = max(expected, counts.made) <= MOST_CELLS
    return TaskNow(
        task=task,
        document=document,
        is_simulated=engine_for(document.engine.name).simulated,
        counts=counts,
        total=expected,
        line=_line(task, counts, expected, active),
        active=active,
        squares=_squares(task, expected) if few else (),
        bar=() if few else _bar(counts, expected),
        time_left_s=time_left_s(task, counts) if is_running and not lacks_worker else None,
        spent=_spent(task, document),
        lacks_worker=lacks_worker,
        best=best,
        closest=closest(task) if counts.infeasible and not best else None,
        events=_events(task),
        facts=facts(document),
        actions=possible(task, running=counts.running, failed=counts.failed),
    )


def other_runs(task: Task) -> list[Task]:
    """The latest other tasks of the same name, newest first: one query."""
    same = Task.objects.filter(name=task.name).exclude(pk=task.pk).only("name", "run", "status")
    return list(same.order_by("-run")[:MOST_RUNS])


def _active(task: Task, document: TaskDocument) -> tuple[Active, ...]:
    points = len(document.workload.load_points)
    rows = task.experiments.filter(status__in=Experiment.ACTIVE).order_by("number")
    found = rows.annotate(measured=Count("measurements")).values_list("number", "status", "measured")
    return tuple(Active(number, _words(status, measured, points)) for number, status, measured in found)


def _words(status: str, measured: int, points: int) -> str:
    if status != Experiment.Status.BENCHMARKING:
        return status
    return f"{status}, load point {min(measured + 1, points)} of {points}"


def _line(task: Task, counts: Counts, expected: int, active: tuple[Active, ...]) -> str:
    """How far it is, in a sentence that follows its status."""
    finished = f"{counts.finished} of {expected} experiment{'' if expected == 1 else 's'}"
    if len(active) == 1:
        return f"Experiment {active[0].number} of {expected}: {active[0].words}"
    if active:
        return f"{len(active)} experiments run, {finished} have finished"
    return _idle_line(task, counts, finished, expected)


def _idle_line(task: Task, counts: Counts, finished: str, expected: int) -> str:
    """The same while nothing of it runs."""
    match task.status:
        case Status.PENDING:
            return f"Not started yet; it will be up to {expected} experiment{'' if expected == 1 else 's'}"
        case Status.RUNNING:
            next_one = "waits for a free slot" if counts.pending else "is being chosen"
            return f"{finished} have finished; the next one {next_one}"
        case Status.PAUSED:
            return f"{finished} have finished"
    return f"after {finished.partition(' of ')[2] if counts.finished == expected else finished}"


def _squares(task: Task, expected: int) -> tuple[Square, ...]:
    rows = task.experiments.order_by("number").values_list("pk", "number", "status", "feasible")[:MOST_CELLS]
    made = [Square(number, outcome(status, feasible), pk == task.best_id) for pk, number, status, feasible in rows]
    return (*made, *(Square(0, "planned") for _ in range(expected - len(made))))


def _bar(counts: Counts, expected: int) -> tuple[Stretch, ...]:
    stretches, start = [], 0.0
    for word in ("feasible", "infeasible", "failed", "cancelled", "running"):
        length = 100 * getattr(counts, word) / expected
        if length:
            stretches.append(Stretch(word, round(start, 2), round(length, 2)))
        start += length
    return tuple(stretches)


def _spent(task: Task, document: TaskDocument) -> Spent:
    """Time is told in whole minutes while it passes, so that it does not change with every look at it."""
    ended = task.status not in (Status.RUNNING, Status.PAUSED)
    worked_s = task.worked_s if ended else task.worked_s // MINUTE_S * MINUTE_S
    if engine_for(document.engine.name).simulated and document.budget.gpu_hours is None:
        return Spent(worked_s, None)
    gpu_s = task.experiments.aggregate(gpu_s=Sum(F("spent_s") * F("gpus")))["gpu_s"]
    return Spent(worked_s, round(float(gpu_s or 0.0) / SECONDS_PER_HOUR, 2))


def _has_worker(task: Task) -> bool:
    """Whether somebody alive can run it: the command that has it alone, or any worker."""
    if task.worker:
        return not is_dead(task.worker)
    return any(not is_dead(worker) for worker in Worker.objects.filter(kind=Worker.Kind.WORKER))


def _events(task: Task) -> tuple[Event, ...]:
    """What the runner said of the task itself, newest last, after its making."""
    said = LogLine.objects.filter(task=task, experiment=None, source=LogLine.Source.RUNNER).order_by("-id")
    events = [Event(at, text, level) for at, text, level in said.values_list("at", "text", "level")[:MOST_EVENTS]]
    return (Event(task.created_at, "created"), *reversed(events))
