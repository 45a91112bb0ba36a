"""The data of a task's charts as JSON values: everything once, then only what came since.

A browser keeps experiments by their numbers, so that one that is sent twice is drawn once. It asks with the version
that it has `seen` and the latest `finished` time that it knows; what finished shortly before is sent again, because
writers do not commit in the order of their clocks. Where finished experiments were taken up again since, everything is
sent anew, and the browser forgets what it had.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tuning.models import Experiment, MeasurementRow, Task
from tuning.overview import findings
from tuning.overview.axes import ParameterAxis, parameter_axes
from tuning.overview.metrics import COLUMNS, Metric, finite, limits, meets, metrics
from tuning.overview.progress import Counts, counts_of, outcome
from tuning.overview.results import Snapshot, version

MOST_POINTS = 6_000
"""Load points that are drawn; of more, those of the best experiments."""
OVERLAP = timedelta(minutes=1)
"""How much earlier than the last one known an experiment may say that it finished."""
DIGITS = 5

_POINT_COLUMNS = ("experiment_id", "index", "scenario", "concurrency", "request_rate_per_s", "reason", *COLUMNS)


@dataclass(frozen=True)
class Seen:
    """What a browser has: the version of its data, and the latest time at which one of its experiments finished."""

    version: str = ""
    finished: float | None = None

    def lacks_only_news(self, task: Task, counts: Counts) -> bool:
        """Whether nothing that it has is stale."""
        revision, _, rest = self.version.partition("-")
        finished = rest.partition("-")[0]
        return revision == str(task.revision) and finished.isdigit() and int(finished) <= counts.finished


def chart_data(task: Task, seen: Seen, *, points: bool = True) -> dict[str, Any] | None:
    """What a browser that has `seen` lacks, with the load points if it draws `points`; None where nothing is new."""
    counts = counts_of([task.pk]).get(task.pk, Counts())
    if seen.version == version(task, counts):
        return None
    snapshot = Snapshot.of(task, counts)
    if seen.finished is not None and seen.lacks_only_news(task, counts):
        since = datetime.fromtimestamp(seen.finished, UTC) - OVERLAP
        news = [row for row in snapshot.rows if row.finished_at is None or row.finished_at >= since]
        return {"reset": False, **_now(snapshot), "experiments": _experiments(snapshot, news, points=points)}
    every = _experiments(snapshot, snapshot.rows, points=points)
    return {"reset": True, **_lasting(snapshot), **_now(snapshot), "experiments": every}


def _now(snapshot: Snapshot) -> dict[str, Any]:
    """What changes with every experiment."""
    return {
        "version": version(snapshot.task, snapshot.counts),
        "finished": snapshot.is_final,
        "latest": max((row.finished_at.timestamp() for row in snapshot.rows if row.finished_at), default=None),
        "best": _configuration(snapshot.best, snapshot.best_value),
        "baseline": _configuration(snapshot.baseline, snapshot.baseline_value),
        "findings": findings.of_charts(snapshot),
    }


def _lasting(snapshot: Snapshot) -> dict[str, Any]:
    """What is the same as long as the document is."""
    document = snapshot.document
    return {
        "objective": {"label": snapshot.label, "unit": snapshot.unit, "direction": snapshot.direction},
        "metrics": [_metric(metric) for metric in _metrics(snapshot).values()],
        "limits": {key: _metrics(snapshot)[key].shown(limit) for key, limit in limits(document.slo).items()},
        "parameters": [_axis(axis) for axis in parameter_axes(document)],
        "load_points": [str(point) for point in document.workload.load_points],
    }


def _metrics(snapshot: Snapshot) -> dict[str, Metric]:
    """Those by GPU too, whether or not configurations differ in their GPUs yet."""
    return metrics(snapshot.document.slo, per_gpu=True)


def _metric(metric: Metric) -> dict[str, str]:
    return {
        "key": metric.key,
        "label": metric.label,
        "unit": metric.shown_unit,
        "direction": metric.direction,
    }


def _axis(axis: ParameterAxis) -> dict[str, Any]:
    return {"name": axis.name, "kind": axis.kind, "values": axis.values, "ends": axis.ends}


def _configuration(row: Experiment | None, value: float | None) -> dict[str, Any] | None:
    return None if row is None else {"number": row.number, "value": finite(value)}


def _experiments(snapshot: Snapshot, rows: Sequence[Experiment], *, points: bool) -> list[dict[str, Any]]:
    axes = parameter_axes(snapshot.document)
    drawn = _drawn_points(snapshot, rows) if points else {}
    first = snapshot.first_of_configuration
    return [
        {**_experiment(row, axes), "configuration": first[row.parameters_hash], "points": drawn.get(row.pk, [])}
        for row in rows
    ]


def _experiment(row: Experiment, axes: Iterable[ParameterAxis]) -> dict[str, Any]:
    return {
        "number": row.number,
        "outcome": outcome(row.status, row.feasible),
        "baseline": row.is_baseline,
        "replicate": row.replicate,
        "value": finite(row.value),
        "seconds": finite(row.total_s),
        "gpus": row.gpus,
        "at": [axis.place(row) for axis in axes],
        "decided": row.load_point,
    }


def _drawn_points(snapshot: Snapshot, rows: Sequence[Experiment]) -> dict[int, list[list[Any]]]:
    """For each experiment its load points: index, whether it keeps the SLO, then the value of each metric."""
    room = MOST_POINTS // len(snapshot.document.workload.load_points)
    wanted = rows if len(rows) <= room else snapshot.ranked(room)
    gpus = {row.pk: row.gpus for row in wanted}
    known, limit_of = _metrics(snapshot), limits(snapshot.document.slo)
    drawn: dict[int, list[list[Any]]] = {}
    for values in _measurements(gpus):
        if not values["reason"]:
            numbers = [
                _short(metric.shown(metric.read(values, gpus[values["experiment_id"]]))) for metric in known.values()
            ]
            point = [values["index"], int(meets(values, limit_of, known)), *numbers]
            drawn.setdefault(values["experiment_id"], []).append(point)
    return drawn


def _measurements(experiments: Iterable[int]) -> list[dict[str, Any]]:
    rows = MeasurementRow.objects.filter(experiment__in=list(experiments)).order_by("experiment", "index")
    return list(rows.values(*_POINT_COLUMNS))


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
