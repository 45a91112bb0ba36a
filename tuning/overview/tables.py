"""What the charts of a task show, as rows of tables: the same numbers for whoever does not see the charts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from tuning.document.workload import LoadPoint
from tuning.models import Experiment, MeasurementRow
from tuning.overview.axes import parameter_axes
from tuning.overview.metrics import COLUMNS, Metric, finite, limits, meets
from tuning.overview.progress import outcome
from tuning.overview.results import Snapshot

MOST_ROWS = 100
MOST_RANKED = 50
"""Rows of one table; the files have all."""


@dataclass(frozen=True)
class ExperimentLine:
    """An experiment in a table: `reason` is why it does not count, `so_far` the best value up to it."""

    row: Experiment
    outcome: str
    reason: str
    value: float | None
    ratio: float | None
    so_far: float | None
    is_best: bool
    parameters: tuple[JsonValue, ...]


@dataclass(frozen=True)
class PointLine:
    """A load point in a table: of which experiment, and the value of each of the table's metrics."""

    number: int
    is_best: bool
    is_baseline: bool
    load: LoadPoint
    words: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class PointTable:
    """Load points by the metrics of a task that people ask for first, of so many experiments."""

    metrics: tuple[Metric, ...]
    lines: tuple[PointLine, ...]
    experiments: int


def history_lines(snapshot: Snapshot) -> list[ExperimentLine]:
    """The latest experiments, newest first."""
    so_far = running_best(snapshot)
    latest = reversed(snapshot.rows[-MOST_ROWS:])
    return [_line(snapshot, row, so_far[row.number]) for row in latest]


def ranked_lines(snapshot: Snapshot) -> list[ExperimentLine]:
    """The best experiments, and the baseline wherever it stands."""
    ranked = snapshot.ranked(MOST_RANKED)
    if snapshot.baseline and snapshot.baseline not in ranked:
        ranked.append(snapshot.baseline)
    return [_line(snapshot, row, None) for row in ranked]


def running_best(snapshot: Snapshot) -> dict[int, float | None]:
    """For each number the best objective of the feasible configurations tried up to there, over all their replicates.

    A configuration that turned out later to be infeasible, or worse than it seemed, counts as what it turned out to be.
    """
    better = max if snapshot.direction == "maximize" else min
    best: float | None = None
    found: dict[int, float | None] = {}
    for row in snapshot.rows:
        result = snapshot.of_configuration.get(row.parameters_hash)
        if result and result.feasible and result.value is not None:
            best = result.value if best is None else better(best, result.value)
        found[row.number] = best
    return found


def _line(snapshot: Snapshot, row: Experiment, so_far: float | None) -> ExperimentLine:
    return ExperimentLine(
        row=row,
        outcome=outcome(row.status, row.feasible),
        reason=_reason(snapshot, row),
        value=finite(row.value),
        ratio=snapshot.ratio(finite(row.value)),
        so_far=so_far,
        is_best=row == snapshot.best,
        parameters=tuple(row.parameters.get(axis.name) for axis in parameter_axes(snapshot.document)),
    )


def _reason(snapshot: Snapshot, row: Experiment) -> str:
    if row.status == Experiment.Status.FAILED:
        return str(row.reason).replace("_", " ")
    if row.feasible or not row.missed:
        return ""
    several = len(snapshot.document.workload.load_points) > 1
    missed = str(row.missed[0])
    return missed if several else missed.rpartition(": ")[2]


def point_table(snapshot: Snapshot) -> PointTable:
    """The load points of the best experiments, as many as there is room for: one query."""
    shown = _headline(snapshot)
    ranked = snapshot.ranked(max(1, MOST_ROWS // len(snapshot.document.workload.load_points)))
    of = {row.pk: row for row in ranked}
    measured = MeasurementRow.objects.filter(experiment__in=list(of)).order_by("experiment__number", "index")
    columns = ("experiment_id", "scenario", "concurrency", "request_rate_per_s", "reason", *COLUMNS)
    lines = [_point(snapshot, of[values["experiment_id"]], values, shown) for values in measured.values(*columns)]
    places = {row.number: place for place, row in enumerate(ranked)}
    return PointTable(shown, tuple(sorted(lines, key=lambda line: places[line.number])), len(ranked))


def _headline(snapshot: Snapshot) -> tuple[Metric, ...]:
    known = snapshot.metrics
    throughput = "output_tokens_per_s/gpu" if snapshot.per_gpu else "output_tokens_per_s"
    latencies = [key for key in limits(snapshot.document.slo) if "_ms." in key]
    usual = [f"{column}.{statistic}" for column in ("ttft_ms", "tpot_ms", "e2e_ms") for statistic in ("p50", "p99")]
    keys = dict.fromkeys((throughput, "requests_per_s", "goodput_requests_per_s", *latencies, *usual, "error_rate"))
    return tuple(known[key] for key in keys)


def _point(snapshot: Snapshot, row: Experiment, values: Mapping[str, Any], shown: tuple[Metric, ...]) -> PointLine:
    load = LoadPoint(**{name: values[name] for name in ("scenario", "concurrency", "request_rate_per_s")})
    kept = meets(values, limits(snapshot.document.slo), snapshot.metrics)
    words = str(values["reason"]).replace("_", " ") or ("within the SLO" if kept else "misses the SLO")
    numbers = tuple(metric.shown(metric.read(values, row.gpus)) for metric in shown)
    return PointLine(row.number, row == snapshot.best, row.is_baseline, load, words, numbers)
