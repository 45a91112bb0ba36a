"""Some experiments of a task side by side: what differs, and which is better in what, and by how much."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from tuning.document.space import same_text
from tuning.document.workload import LoadPoint
from tuning.models import Experiment, MeasurementRow, Task
from tuning.overview.metrics import COLUMNS, ERROR_RATE, Metric, finite, metrics
from tuning.overview.progress import document_of, outcome
from tuning.runner.report import STEPS
from tuning.runner.results import configuration_result
from tuning.scoring.comparison import ratio_to_baseline
from tuning.scoring.objectives import Direction, direction, label, unit

HEADLINE = (
    *("output_tokens_per_s", "output_tokens_per_s/gpu", "requests_per_s", "goodput_requests_per_s"),
    ERROR_RATE,
)
STATISTICS = ("p50", "p99")


@dataclass(frozen=True)
class Cell:
    """A number, its difference from the first experiment in percent, and what that means: better, worse or nothing."""

    value: float | None
    percent: float | None
    word: str
    is_best: bool


@dataclass(frozen=True)
class Line:
    """One metric, by experiment."""

    title: str
    unit: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Setting:
    """One parameter, by experiment; None where it was left to the engine."""

    name: str
    values: tuple[JsonValue, ...]


@dataclass(frozen=True)
class Load:
    """One load point: the lines that are asked for first, and all others."""

    point: LoadPoint
    lines: tuple[Line, ...]
    others: tuple[Line, ...]


@dataclass(frozen=True)
class Column:
    """One of the experiments; `ratio` is to the baseline."""

    row: Experiment
    outcome: str
    ratio: float | None


@dataclass(frozen=True)
class Comparison:
    """The first of `columns` is what the others are compared with."""

    task: Task
    columns: tuple[Column, ...]
    differing: tuple[Setting, ...]
    equal: tuple[Setting, ...]
    objective: Line
    loads: tuple[Load, ...]
    steps: tuple[Line, ...]


def compare(task: Task, numbers: Sequence[int]) -> Comparison:
    """Read them: three queries. LookupError, with a sentence, when the task has no experiment of such a number."""
    found = {row.number: row for row in task.experiments.filter(number__in=numbers)}
    if missing := [number for number in numbers if number not in found]:
        raise LookupError(f"this task has no experiment {missing[0]}")
    rows = [found[number] for number in numbers]
    better = direction(document_of(task).objective)
    settings = _settings(rows)
    return Comparison(
        task=task,
        columns=tuple(_columns(task, rows, better)),
        differing=tuple(one for one in settings if _differs(one)),
        equal=tuple(one for one in settings if not _differs(one)),
        objective=_objective(task, rows, better),
        loads=tuple(_loads(task, rows)),
        steps=tuple(_line(step, "s", [getattr(row, f"{step}_s") for row in rows], "minimize") for step in STEPS),
    )


def _columns(task: Task, rows: Iterable[Experiment], better: Direction) -> Iterable[Column]:
    baselines = list(task.experiments.filter(is_baseline=True, status__in=Experiment.FINISHED))
    baseline = configuration_result(baselines).value if baselines else None
    for row in rows:
        value = finite(row.value)
        ratio = None if value is None or baseline is None else ratio_to_baseline(value, baseline, better)
        yield Column(row, outcome(row.status, row.feasible), ratio)


def _settings(rows: Sequence[Experiment]) -> list[Setting]:
    names = dict.fromkeys(name for row in rows for name in row.parameters)
    return [Setting(name, tuple(row.parameters.get(name) for row in rows)) for name in names]


def _differs(setting: Setting) -> bool:
    return len({same_text(value) for value in setting.values}) > 1


def _objective(task: Task, rows: Sequence[Experiment], better: Direction) -> Line:
    objective = document_of(task).objective
    return _line(label(objective), unit(objective), [row.value for row in rows], better)


def _loads(task: Task, rows: Sequence[Experiment]) -> Iterable[Load]:
    document = document_of(task)
    per_gpu = len({row.gpus for row in rows}) > 1
    known = metrics(document.slo, per_gpu=per_gpu)
    headline = {*HEADLINE, *_latency_keys(document.slo.statistics, known)}
    measured = _measured(rows)
    for index, point in enumerate(document.workload.load_points):
        at = [measured.get((row.pk, index)) for row in rows]
        if any(at):
            lines = {key: _metric_line(metric, rows, at) for key, metric in known.items()}
            first = tuple(line for key, line in lines.items() if key in headline)
            yield Load(point, first, tuple(line for key, line in lines.items() if key not in headline))


def _latency_keys(statistics: frozenset[str], known: Iterable[str]) -> list[str]:
    return [key for key in known if key.partition(".")[2] in {*STATISTICS, *statistics}]


def _measured(rows: Iterable[Experiment]) -> dict[tuple[int, int], dict[str, Any]]:
    """What was measured to its end, by experiment and load point."""
    kept = MeasurementRow.objects.filter(experiment__in=[row.pk for row in rows], reason="")
    return {(row["experiment_id"], row["index"]): row for row in kept.values("experiment_id", "index", *COLUMNS)}


def _metric_line(metric: Metric, rows: Sequence[Experiment], at: Sequence[dict[str, Any] | None]) -> Line:
    values = [metric.shown(metric.read(one, row.gpus)) if one else None for row, one in zip(rows, at, strict=True)]
    return _line(metric.label, metric.shown_unit, values, metric.direction)


def _line(title: str, unit: str, numbers: Sequence[float | None], better: Direction) -> Line:
    values = [finite(number) for number in numbers]
    known = [value for value in values if value is not None]
    best = (max if better == "maximize" else min)(known) if len(set(known)) > 1 else None
    cells = (_cell(value, values[0], best, better) for value in values)
    return Line(title, unit, tuple(cells))


def _cell(value: float | None, first: float | None, best: float | None, better: Direction) -> Cell:
    is_best = value is not None and value == best
    if value is None or not first or value == first:
        return Cell(value, None, "", is_best)
    word = "better" if (value > first) == (better == "maximize") else "worse"
    return Cell(value, 100 * (value / first - 1), word, is_best)
