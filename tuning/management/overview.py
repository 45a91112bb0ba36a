"""All tasks, and all slots, in one line each: what `list_tasks` and `list_slots` show."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from tuning.deployers.gpus import survey
from tuning.models import Experiment, Slot, Task, Worker
from tuning.overview.tasks import TaskLine, slots_with_holders
from tuning.runner.instance import instance_id
from tuning.runner.table import ABSENT, duration, significant


def as_json(line: TaskLine) -> dict[str, Any]:
    """For scripts."""
    task = line.task
    best = {"value": task.best_value, "unit": line.unit, "ratio_to_baseline": task.best_ratio}
    return {
        "id": task.pk,
        "name": task.name,
        "run": task.run,
        "status": task.status,
        "message": task.message,
        "experiments": _by_status(line),
        "best": None if task.best_value is None else best,
        "created_at": _iso(task.created_at),
        "started_at": _iso(task.started_at),
        "finished_at": _iso(task.finished_at),
    }


def task_table(lines: list[TaskLine]) -> Table:
    """For a terminal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for head in ("id", "name", "status"):
        table.add_column(head, overflow="fold")
    for head in ("done/failed/planned", "running", "best", "x baseline", "age"):
        table.add_column(head, justify="right")
    table.add_column("message", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, _cells(line)))
    return table


def slot_table() -> Table:
    """The slots of all machines and who has them, as the workers wrote it down."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for head in ("machine", "slot", "device", "held by"):
        table.add_column(head, overflow="fold")
    for slot, experiment in slots_with_holders():
        where = f"{slot.node} (this)" if slot.node == instance_id() else slot.node
        table.add_row(*map(Text, (where, str(slot.index), _device(slot), _holder(slot, experiment))))
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


def _cells(line: TaskLine) -> tuple[str, ...]:
    """For the table."""
    task, counts = line.task, line.counts
    of = f"{counts.feasible + counts.infeasible}/{counts.failed}/{counts.made}"
    best = ABSENT if task.best_value is None else f"{significant(task.best_value)} {line.unit}"
    ratio = significant(task.best_ratio, digits=3)
    return (str(task.pk), str(task), task.status, of, str(counts.running), best, ratio, _age(task), task.message)


def _by_status(line: TaskLine) -> dict[str, int]:
    counts = line.counts
    known = {
        Experiment.Status.PENDING: counts.pending,
        Experiment.Status.DEPLOYING: counts.deploying,
        Experiment.Status.BENCHMARKING: counts.benchmarking,
        Experiment.Status.SUCCESS: counts.feasible + counts.infeasible,
        Experiment.Status.FAILED: counts.failed,
        Experiment.Status.CANCELLED: counts.cancelled,
    }
    return {status.value: count for status, count in known.items()}


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
