"""All tasks, and all slots, in one line each: what `list_tasks` and `list_slots` show."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils import timezone
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from tuning.deployers.gpus import survey
from tuning.models import Experiment, Slot, Task, Worker
from tuning.runner.instance import instance_id
from tuning.runner.results import TaskResults
from tuning.runner.table import ABSENT, duration, significant
from tuning.scoring.objectives import unit

RANKED = ("task", "number", "parameters_hash", "is_baseline", "status", "value", "feasible", "violations")


@dataclass(frozen=True)
class TaskLine:
    """A task, its experiments by status, and the best feasible value so far; `ratio` is to the baseline."""

    task: Task
    counts: Counter[str]
    value: float | None
    unit: str
    ratio: float | None

    @property
    def running(self) -> int:
        """Experiments that are being deployed or measured."""
        return sum(self.counts[status] for status in Experiment.ACTIVE)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        task = self.task
        best = None if self.value is None else {"value": self.value, "unit": self.unit, "ratio_to_baseline": self.ratio}
        return {
            "id": task.pk,
            "name": task.name,
            "run": task.run,
            "status": task.status,
            "message": task.message,
            "experiments": {status: self.counts[status] for status in Experiment.Status.values},
            "best": best,
            "created_at": _iso(task.created_at),
            "started_at": _iso(task.started_at),
            "finished_at": _iso(task.finished_at),
        }

    def cells(self) -> tuple[str, ...]:
        """For the table."""
        task, counts = self.task, self.counts
        of = f"{counts[Experiment.Status.SUCCESS]}/{counts[Experiment.Status.FAILED]}/{counts.total()}"
        best = ABSENT if self.value is None else f"{significant(self.value)} {self.unit}"
        ratio = significant(self.ratio, digits=3)
        return (str(task.pk), str(task), task.status, of, str(self.running), best, ratio, _age(task), task.message)


def task_lines(status: str | None = None) -> list[TaskLine]:
    """All tasks, or those of one status, the newest first; three queries, however many there are."""
    tasks = Task.objects.filter(status=status) if status else Task.objects.all()
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for pk, state, count in _of(tasks).order_by().values_list("task", "status").annotate(Count("pk")):
        counts[pk][state] = count
    finished: dict[int, list[Experiment]] = defaultdict(list)
    for row in _of(tasks).filter(status__in=Experiment.FINISHED).order_by("task", "number").only(*RANKED):
        finished[row.task_id].append(row)
    return [_line(task, counts[task.pk], finished[task.pk]) for task in tasks]


def task_table(lines: list[TaskLine]) -> Table:
    """For a terminal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for head in ("id", "name", "status"):
        table.add_column(head, overflow="fold")
    for head in ("done/failed/planned", "running", "best", "x baseline", "age"):
        table.add_column(head, justify="right")
    table.add_column("message", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line.cells()))
    return table


def slot_table() -> Table:
    """The slots of all machines and who has them, as the workers wrote it down."""
    holders = {row.claim: row for row in Experiment.objects.filter(status__in=Experiment.ACTIVE).select_related("task")}
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for head in ("machine", "slot", "device", "held by"):
        table.add_column(head, overflow="fold")
    for slot in Slot.objects.all():
        where = f"{slot.node} (this)" if slot.node == instance_id() else slot.node
        table.add_row(*map(Text, (where, str(slot.index), _device(slot), _holder(slot, holders.get(slot.claim)))))
    return table


def notes() -> Iterator[str]:
    """What is to be said of the GPUs of this machine that cannot be used."""
    try:
        yield from survey(settings.AUTOTUNER_GPUS).notes
    except ValueError as error:
        yield f"AUTOTUNER_GPUS: {error}"


def worker_line(worker: Worker) -> str:
    """A living worker, and when it was heard of last."""
    seen = duration(max(0.0, (timezone.now() - worker.seen_at).total_seconds()))
    return f"{worker.kind}, process {worker.pid} on {worker.host}, seen {seen} ago"


def _of(tasks: Any) -> Any:
    return Experiment.objects.filter(task__in=tasks.order_by().values("pk"))


def _line(task: Task, counts: Counter[str], finished: list[Experiment]) -> TaskLine:
    results = TaskResults(task, task.task_document, tuple(finished))
    best = results.result(results.best) if results.best else None
    value = best.value if best else None
    return TaskLine(task, counts, value, unit(results.document.objective), results.ratio(value))


def _age(task: Task) -> str:
    return duration(max(0.0, (timezone.now() - task.created_at).total_seconds()))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _device(slot: Slot) -> str:
    return f"GPU {slot.gpu}: {slot.name}" if slot.gpu is not None else "no GPU"


def _holder(slot: Slot, experiment: Experiment | None) -> str:
    if experiment:
        return f"task {experiment.task_id} ({experiment.task}), {experiment}, attempt {experiment.attempt}"
    if slot.claim:
        return "an attempt that has ended; `manage.py reconcile` frees it"
    return slot.foreign or "free"
