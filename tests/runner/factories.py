"""Task documents, tasks and runs for tests: small loads on the simulated engine, which is a real process."""

import threading
from collections.abc import Callable
from typing import Any

import psutil
import yaml

from tuning.document.loading import load
from tuning.document.task import TaskDocument
from tuning.models import Experiment, Task, Worker
from tuning.runner import clock, leases
from tuning.runner.foreground import Progress, TaskRun
from tuning.runner.intake import submit
from tuning.runner.leases import Lease

FIXED: dict[str, Any] = {"simulate-time-scale": 0.02, "simulate-startup-s": 0, "simulate-seed": 1}
WORKLOAD: dict[str, Any] = {
    "scenarios": ["D(20,5)"],
    "concurrency": [4],
    "requests": 8,
    "seconds": 30,
    "warmup_requests": 0,
}
SLOW: dict[str, Any] = {"simulate-ttft-ms": 5000}
"""Exact mode: at the scale of FIXED each answer takes a tenth of a second, so that a test can act meanwhile."""


def sections(
    parameters: dict[str, Any] | None = None,
    *,
    fixed: dict[str, Any] | None = None,
    workload: dict[str, Any] | None = None,
    **others: Any,
) -> dict[str, Any]:
    """A document as plain values; `fixed` and `workload` are merged into the quick ones."""
    return {
        "name": "a task",
        "engine": {"name": "simulated"},
        "model": {"id": "simulated/llama-1b"},
        "search_space": {"parameters": parameters or {}, "fixed": {**FIXED, **(fixed or {})}},
        "workload": {**WORKLOAD, **(workload or {})},
        **others,
    }


def text(parameters: dict[str, Any] | None = None, **others: Any) -> str:
    """A document as YAML; see `sections`."""
    return yaml.safe_dump(sections(parameters, **others), sort_keys=False)


def document(parameters: dict[str, Any] | None = None, **others: Any) -> TaskDocument:
    """A document, loaded; see `sections`."""
    return load(text(parameters, **others)).document


def task(parameters: dict[str, Any] | None = None, **others: Any) -> Task:
    """A task that was submitted; see `sections`."""
    return submit(document(parameters, **others))


def running(**others: Any) -> Task:
    """A task that runs, of which nothing is under way."""
    one = task(**others)
    Task.objects.filter(pk=one.pk).update(status=Task.Status.RUNNING)
    one.refresh_from_db()
    return one


def with_gpus(gpus: list[int] | None = None, **others: Any) -> Task:
    """A running task of an engine that needs real GPUs; its experiments are made by hand and never deployed."""
    plan = sections(engine={"name": "vllm"}, **others)
    plan["search_space"]["fixed"] = {}
    plan["name"] = f"task {Task.objects.count()}"
    plan["deployment"] = {"mode": "local", **({"gpus": gpus} if gpus else {})}
    one = submit(load(yaml.safe_dump(plan)).document)
    Task.objects.filter(pk=one.pk).update(status=Task.Status.RUNNING)
    one.refresh_from_db()
    return one


def living() -> Worker:
    """A worker on another machine whose lease is valid."""
    columns = {"node": "elsewhere", "host": "elsewhere", "pid": 1, "kind": Worker.Kind.WORKER}
    return Worker.objects.get_or_create(
        pk="living", defaults={**columns, "lease_until": clock.lease_end(clock.reading())}
    )[0]


def taken(row: Experiment) -> Lease:
    """The lease of a living worker that takes `row`."""
    lease = leases.take(row.pk, worker=living().pk)
    assert lease is not None
    return lease


def run(task: Task, **options: Any) -> list[Experiment]:
    """Run `task` to its end and read its experiments."""
    TaskRun(task, **options).run()
    task.refresh_from_db()
    return list(task.experiments.order_by("number"))


def cancel_when(reached: Callable[[Progress], bool]) -> dict[str, Any]:
    """Options of a run that is cancelled as soon as `reached` is true of its progress."""
    cancel = threading.Event()

    def progress(now: Progress) -> None:
        if reached(now):
            cancel.set()

    return {"cancel": cancel, "progress": progress}


def experiment(task: Task, number: int = 1, **columns: Any) -> Experiment:
    """A row of `task`."""
    columns.setdefault("parameters_hash", f"configuration {number}")
    return Experiment.objects.create(task=task, number=number, **columns)


def snapshot(task: Task) -> list[dict[str, Any]]:
    """Every column of every finished experiment, with its measurements."""
    rows = task.experiments.filter(status__in=Experiment.FINISHED).order_by("number")
    return [
        {**row, "measurements": list(Experiment.objects.get(pk=row["id"]).measurements.values())}
        for row in rows.values()
    ]


def processes_of(instance: str, role: str = "") -> list[psutil.Process]:
    """Living processes that carry the mark of this installation, or only those of a role."""
    found = []
    for process in psutil.process_iter():
        try:
            marks = {} if process.status() == psutil.STATUS_ZOMBIE else process.environ()
            if marks.get("AUTOTUNER_INSTANCE") == instance and role in ("", marks.get("AUTOTUNER_ROLE")):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
