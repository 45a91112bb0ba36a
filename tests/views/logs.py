"""Logs for tests of their pages, and how they are asked for."""

from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.runner.factories import experiment, running
from tuning.models import Experiment, LogLine, Task


def write(row: Experiment, count: int, *, level: str = "info", source: str = "engine", text: str = "line {}") -> None:
    """Lines of an experiment, numbered from 1 in their text."""
    now = timezone.now()
    columns = {"task_id": row.task_id, "experiment": row, "at": now, "level": level, "source": source}
    LogLine.objects.bulk_create(LogLine(text=text.format(index + 1), **columns) for index in range(count))


def active(task: Task | None = None, number: int = 1) -> Experiment:
    """An experiment that is measured now."""
    return experiment(task or running(), number, status=Experiment.Status.BENCHMARKING)


def address(owner: Task | Experiment, part: str = "log-lines") -> str:
    if isinstance(owner, Task):
        return reverse(f"task-{part}", args=[owner.pk])
    return reverse(f"experiment-{part}", args=[owner.task_id, owner.number])


def asked(client: Client, owner: Task | Experiment, **query: Any) -> dict[str, Any]:
    """The answer to a request for lines."""
    answer = client.get(address(owner), query)
    assert answer.status_code == 200, answer.headers.get("X-Reason")
    found: dict[str, Any] = answer.json()
    return found


def texts(answer: dict[str, Any]) -> list[str]:
    return [line[-1] for line in answer["lines"]]


def numbers(answer: dict[str, Any]) -> list[int]:
    return [line[1] for line in answer["lines"]]


def cursor(answer: dict[str, Any], edge: str) -> dict[str, Any]:
    """What a page sends to go on from an edge of what it has."""
    pk, number = answer[edge]
    return {"after" if edge == "last" else "before": pk, "number": number}
