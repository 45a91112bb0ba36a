"""Experiments with an outcome, for tests of what is shown of them."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from tests.runner.factories import experiment
from tuning.models import Experiment, MeasurementRow, Task

BEGAN = timezone.now() - timedelta(hours=2)
STATISTICS = {"mean": 1.0, "p50": 0.9, "p90": 1.5, "p95": 1.8, "p99": 2.4}


def latency(mean: float) -> dict[str, float]:
    """A distribution as it is kept."""
    return {"count": 50, **{name: mean * factor for name, factor in STATISTICS.items()}}


def finished(number: int) -> datetime:
    """When experiment `number` finished: a minute after the one before."""
    return BEGAN + timedelta(minutes=number)


def measured(task: Task, number: int, value: float | None, *, feasible: bool = True, **columns: Any) -> Experiment:
    """An experiment that succeeded; at each load point it gave `value` tokens per second."""
    points = columns.pop("points", len(task.task_document.workload.load_points))
    columns = {
        "is_baseline": number == 1,
        "finished_at": finished(number),
        "total_s": 60.0,
        "load_point": 0,
        "spent_s": 60.0,
        "command_line": f"serve --number {number}",
        "violations": [0.0, -0.01],
        "missed": [] if feasible else ["D(20,5) c=4: ttft_ms p99 480 (limit 400)"],
        **columns,
    }
    row = experiment(task, number, status=Experiment.Status.SUCCESS, value=value, feasible=feasible, **columns)
    for index, load in enumerate(task.task_document.workload.load_points[:points]):
        measurement(row, index, **load.model_dump(), output_tokens_per_s=(value or 1.0) * row.gpus)
    return row


def measurement(row: Experiment, index: int, **columns: Any) -> MeasurementRow:
    """What was measured at one load point."""
    usual: dict[str, Any] = {
        "scenario": "D(20,5)",
        "window_s": 10.0,
        "completed": 50,
        "failed": 0,
        "output_tokens_per_s": 100.0,
        "input_tokens_per_s": 400.0,
        "requests_per_s": 20.0,
        "goodput_requests_per_s": 18.0,
        "ttft_ms": latency(50.0 + row.number),
        "tpot_ms": latency(5.0),
        "itl_ms": latency(5.0),
        "e2e_ms": latency(200.0),
    }
    return MeasurementRow.objects.create(experiment=row, index=index, **{**usual, **columns})


def failed(task: Task, number: int, **columns: Any) -> Experiment:
    """An experiment that failed."""
    usual = {"reason": "out_of_memory", "message": "CUDA out of memory", "finished_at": finished(number)}
    return experiment(task, number, status=Experiment.Status.FAILED, **{**usual, "spent_s": 5.0, **columns})
