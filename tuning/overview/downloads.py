"""All that a task measured, piece by piece: a task may have more experiments than there is room for in memory.

Experiments are read in slices by their numbers, so that no read transaction waits for a slow reader at the other end.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import QuerySet
from pydantic import JsonValue

from tuning.models import Experiment, MeasurementRow, Task
from tuning.overview.metrics import COLUMNS, finite, metrics
from tuning.overview.progress import document_of, outcome
from tuning.overview.results import Snapshot
from tuning.runner.report import STEPS, answer_json, experiment_json
from tuning.runner.table import show

SLICE = 200
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would calculate."""

_ABOUT = ("experiment", "replicate", "baseline", "status", "feasible", "reason", "gpus", "objective", "ratio")
_LOAD = ("load_point", "scenario", "concurrency", "request_rate_per_s", "window_s", "completed", "failed", "failure")


class _Line:
    """What csv.writer writes to: keeps the last line."""

    text = ""

    def write(self, text: str) -> int:
        self.text = text
        return len(text)


def csv_lines(task: Task) -> Iterator[str]:
    """The lines of a CSV file: a head, then one for each load point of each experiment, or one where there is none."""
    line = _Line()
    writer = csv.writer(line)
    for row in _rows(task):
        writer.writerow([guarded(cell) for cell in row])
        yield line.text


def guarded(cell: JsonValue) -> str | float | None:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe in front."""
    if isinstance(cell, bool):
        return show(cell)
    if cell is None or isinstance(cell, int | float):
        return cell if cell is None else finite(cell)
    text = cell if isinstance(cell, str) else json.dumps(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def _rows(task: Task) -> Iterator[list[JsonValue]]:
    snapshot = Snapshot.of(task)
    names = _parameters(task)
    known = metrics(document_of(task).slo)
    yield [*_ABOUT, *names, *(f"{step}_s" for step in STEPS), *_LOAD, *known]
    for slice_ in _slices(task.experiments.all()):
        measured = _measurements(slice_)
        for row in slice_:
            parameters = [row.parameters.get(name) for name in names]
            about = [*_about(snapshot, row), *parameters, *(getattr(row, f"{step}_s") for step in STEPS)]
            for values in measured.get(row.pk, [None]):
                yield [*about, *_load(values), *(metric.read(values) if values else None for metric in known.values())]


def _parameters(task: Task) -> list[str]:
    space = document_of(task).search_space
    return [*space.parameters, *space.fixed]


def _slices(experiments: "QuerySet[Experiment]") -> Iterator[list[Experiment]]:
    last = 0
    while rows := list(experiments.filter(number__gt=last).order_by("number")[:SLICE]):
        yield rows
        last = rows[-1].number


def _about(snapshot: Snapshot, row: Experiment) -> list[JsonValue]:
    ratio = snapshot.ratio(finite(row.value))
    feasible = outcome(row.status, row.feasible) == "feasible" if row.feasible is not None else None
    return [
        *(row.number, row.replicate, row.is_baseline, row.status, feasible, row.reason),
        *(row.gpus, row.value, ratio),
    ]


def _measurements(rows: Iterable[Experiment]) -> dict[int, list[dict[str, Any] | None]]:
    columns = ("scenario", "concurrency", "request_rate_per_s", "window_s", "reason", *COLUMNS)
    kept = MeasurementRow.objects.filter(experiment__in=[row.pk for row in rows]).order_by("experiment", "index")
    found: dict[int, list[dict[str, Any] | None]] = {}
    for values in kept.values("experiment_id", "index", *columns):
        found.setdefault(values["experiment_id"], []).append(values)
    return found


def _load(values: dict[str, Any] | None) -> list[JsonValue]:
    names = ("index", "scenario", "concurrency", "request_rate_per_s", "window_s", "completed", "failed", "reason")
    return [values[name] if values else None for name in names]


def json_pieces(task: Task) -> Iterator[str]:
    """The pieces of the JSON document that `export_task --format json` prints, every number of it finite."""
    answer = _finite(answer_json(Snapshot.of(task).results))
    head = json.dumps(answer, indent=2, allow_nan=False)
    yield f'{head.removesuffix("}").rstrip()},\n  "experiments": ['
    comma = ""
    for slice_ in _slices(task.experiments.prefetch_related("measurements")):
        for row in slice_:
            yield comma + "\n" + json.dumps(_finite(experiment_json(row)), allow_nan=False)
            comma = ","
    yield "\n  ]\n}\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return finite(value) if isinstance(value, float) else value
