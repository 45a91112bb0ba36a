"""The best configuration of a task as it is handed over: what it changes, what it gains, and how sure that is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuning.document.goals import ObjectiveName
from tuning.document.task import TaskDocument
from tuning.models import Experiment, MeasurementRow, Task
from tuning.overview.experiments_table import Cell, cell
from tuning.overview.metrics import ERROR_RATE, metrics
from tuning.overview.standing import Standing
from tuning.runner.table import show, significant
from tuning.scoring.metrics import Measurement
from tuning.scoring.objectives import direction, label, unit
from tuning.scoring.slo import Check, checks

LOOKED_AT = 200
"""Infeasible experiments, the last ones, among which the one next to the SLO is looked for."""


@dataclass(frozen=True)
class Difference:
    """A parameter of the best configuration that the baseline gives another value."""

    name: str
    baseline: Cell
    best: Cell


@dataclass(frozen=True)
class SloVerdict:
    """An item of the SLO at the load point where it is closest to its limit: what was measured, and the limit."""

    label: str
    measured: str
    limit: str
    met: bool
    where: str = ""


@dataclass(frozen=True)
class Best:
    """The best configuration.

    `half_width` is half of the 95 % interval of `value`, None when it was measured once; `tied` are the numbers of the
    experiments that cannot be told from it.
    """

    experiment: Experiment
    label: str
    value: float | None
    unit: str
    ratio: float | None
    half_width: float | None
    measured: int
    tied: tuple[int, ...]
    has_baseline: bool
    differences: tuple[Difference, ...]
    slo: tuple[SloVerdict, ...]
    decided_at: str


@dataclass(frozen=True)
class Closest:
    """The measured experiment that misses the SLO least, where none meets it."""

    number: int
    missed: tuple[str, ...]


def best_of(task: Task, document: TaskDocument, standing: Standing) -> Best | None:
    """The best configuration so far, if one is feasible: one query."""
    row = task.best
    if row is None:
        return None
    measurements = [each.to_measurement() for each in MeasurementRow.objects.filter(experiment=row).order_by("index")]
    result = standing.best
    return Best(
        experiment=row,
        label=label(document.objective),
        value=task.best_value,
        unit=unit(document.objective),
        ratio=task.best_ratio,
        half_width=result.half_width if result else None,
        measured=len(result.values) if result else 1,
        tied=standing.tied,
        has_baseline=document.baseline,
        differences=tuple(_differences(row, document)),
        slo=tuple(_slo(row, document, measurements)),
        decided_at=_decided_at(row, measurements),
    )


def closest(task: Task) -> Closest | None:
    """The infeasible experiment that misses the SLO least: one query."""
    measured = task.experiments.filter(status=Experiment.Status.SUCCESS, feasible=False).order_by("-number")
    rows = measured.values_list("number", "violations", "missed")[:LOOKED_AT]
    number, _, missed = min(rows, key=lambda row: sum(max(0.0, excess) for excess in row[1]), default=(0, [], []))
    return Closest(number, tuple(missed)) if number else None


def _differences(row: Experiment, document: TaskDocument) -> Iterator[Difference]:
    """In the order of the document; the baseline has the fixed values, and the engine's defaults for the rest."""
    space = document.search_space
    for name in (*space.parameters, *space.fixed):
        base, best = space.fixed.get(name), row.parameters.get(name)
        if base != best:
            yield Difference(name, cell(show(base)), cell(show(best)))


def _slo(row: Experiment, document: TaskDocument, measurements: Sequence[Measurement]) -> Iterator[SloVerdict]:
    """Each item where it is missed most, among the load points that count for the objective."""
    objective = document.objective
    all_count = direction(objective) == "minimize" or objective.name is ObjectiveName.BALANCED
    counting = [each for index, each in enumerate(measurements) if all_count or index == row.load_point]
    by_request = objective.name is ObjectiveName.MAXIMIZE_GOODPUT
    per_point = [
        [(check, str(each.load_point)) for check in checks(each, document.slo, latencies=not by_request)]
        for each in counting
    ]
    for items in zip(*per_point, strict=True):
        check, where = max(items, key=lambda item: item[0].excess)
        yield from _verdict(check, document, where if len(counting) > 1 else "")


def _verdict(check: Check, document: TaskDocument, where: str) -> Iterator[SloVerdict]:
    """The check as the registry of metrics calls it; that a load point was measured at all is no item of the SLO."""
    metric = metrics(document.slo).get(check.name.replace(" ", "."))
    if metric is None:
        return
    share, unit_of = (100.0, "%") if metric.key == ERROR_RATE else (1.0, metric.unit)
    value = "not measured" if check.value is None else f"{_plain(check.value * share)} {unit_of}"
    limit = f"{'≤' if metric.direction == 'minimize' else '≥'} {check.limit * share:g} {unit_of}"
    yield SloVerdict(metric.label, value, limit, check.met, where)


def _plain(value: float) -> str:
    return significant(value, 3) if value else "0"


def _decided_at(row: Experiment, measurements: Sequence[Measurement]) -> str:
    """The load point whose value counts, where there are several."""
    if row.load_point is None or not 1 < len(measurements) > row.load_point:
        return ""
    return str(measurements[row.load_point].load_point)
