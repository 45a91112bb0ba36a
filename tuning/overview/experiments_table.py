"""The experiments of a task as a table: the columns, order and page that somebody chose, read page by page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Case, Expression, F, FloatField, JSONField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast

from tuning.document.task import TaskDocument
from tuning.models import Experiment, MeasurementRow, Task
from tuning.overview.metrics import COLUMNS as READ_COLUMNS
from tuning.overview.metrics import ERROR_RATE, Metric, metrics
from tuning.overview.progress import Counts, outcome
from tuning.overview.standing import Standing
from tuning.runner.table import ABSENT, duration, show, significant
from tuning.scoring.objectives import label, unit

PER_PAGE = 50
MOST_PARAMETERS = 6
"""Parameters that are shown unless somebody chooses others."""
USUAL = (
    "ttft_ms.p50",
    "ttft_ms.p99",
    "tpot_ms.p50",
    "tpot_ms.p99",
    "output_tokens_per_s",
    "requests_per_s",
    ERROR_RATE,
)
"""Metrics that are shown unless somebody chooses others."""
MAX_SHOWN = 48
"""Characters of a value that a cell shows; the rest is in its title."""

STATES: Mapping[str, Q] = {
    "feasible": Q(status=Experiment.Status.SUCCESS, feasible=True),
    "infeasible": Q(status=Experiment.Status.SUCCESS, feasible=False),
    "failed": Q(status=Experiment.Status.FAILED),
    "running": Q(status__in=Experiment.ACTIVE),
    "pending": Q(status=Experiment.Status.PENDING),
    "cancelled": Q(status=Experiment.Status.CANCELLED),
}
"""By what the table can be filtered; the words are those of `Counts`."""

COLUMNS = {
    "number": "number",
    "status": "status",
    "value": "value",
    "duration": "total_s",
    "gpus": "gpus",
    "reason": "reason",
}
"""What every table can be sorted by, and the column of the row; parameters and metrics come with the document."""
NEVER_NULL = ("number", "status", "gpus", "reason")
PARAMETER = "parameter:"
"""In front of the name of a parameter where it is a key to sort by."""

_READ = (
    "task", "number", "replicate", "is_baseline", "parameters", "parameters_hash", "gpus", "status", "reason",
    "message", "value", "feasible", "missed", "load_point", "total_s",
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """What somebody wants to see: all of it comes from the address.

    `state` is a key of STATES or empty, `sort` a key with "-" in front for descending, `point` the index of a load
    point, or None for the one that decided.
    """

    parameters: tuple[str, ...]
    metrics: tuple[Metric, ...]
    state: str = ""
    sort: str = "-number"
    point: int | None = None
    page: int = 1

    @property
    def metric_keys(self) -> tuple[str, ...]:
        """The keys of `metrics`."""
        return tuple(metric.key for metric in self.metrics)


@dataclass(frozen=True)
class Head:
    """The head of a column: its words, and the key by which the table is sorted by it."""

    key: str
    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and all of it where that is more."""

    text: str
    whole: str = ""


@dataclass(frozen=True)
class Line:
    """One experiment; `figures` are the cells after the objective, in the order of the heads."""

    number: int
    outcome: str
    reason: str
    is_best: bool
    marks: tuple[str, ...]
    parameters: tuple[Cell, ...]
    value: str
    figures: tuple[str, ...]
    why: Cell

    @property
    def texts(self) -> tuple[str, ...]:
        """The values of the parameters."""
        return tuple(cell.text for cell in self.parameters)

    @property
    def has_long(self) -> bool:
        """Whether the value of a parameter was cut."""
        return any(cell.whole for cell in self.parameters)

    @property
    def badge(self) -> str:
        """The look of its outcome: that of its status, where it meets the SLO that of success."""
        return look(self.outcome)


@dataclass(frozen=True)
class Segment:
    """A state to filter by, and how many experiments are in it."""

    state: str
    title: str
    count: int


@dataclass(frozen=True)
class ExperimentsTable:
    """One page of the table."""

    parameters: tuple[Head, ...]
    objective: Head
    figures: tuple[Head, ...]
    segments: tuple[Segment, ...]
    lines: tuple[Line, ...]
    page: "Page[Experiment]"


def look(word: str) -> str:
    """The name of the style in which an outcome is shown."""
    return "success" if word == "feasible" else word


def parameter_names(document: TaskDocument) -> tuple[str, ...]:
    """The parameters that can be columns: the varied ones first, then those with one value, then the fixed ones."""
    space = document.search_space
    single = [name for name, parameter in space.parameters.items() if len(getattr(parameter, "values", "12")) == 1]
    varied = [name for name in space.parameters if name not in single]
    return (*varied, *single, *space.fixed)


def usual_parameters(document: TaskDocument) -> tuple[str, ...]:
    """The parameters that are columns unless somebody chooses others: the first of those that the search varies."""
    searched = [name for name in parameter_names(document) if name in document.search_space.parameters]
    return tuple(searched[:MOST_PARAMETERS])


def known_metrics(document: TaskDocument) -> dict[str, Metric]:
    """The metrics that can be columns, by key."""
    return metrics(document.slo, per_gpu=True)


def sort_keys(document: TaskDocument) -> frozenset[str]:
    """What the table can be sorted by."""
    parameters = (f"{PARAMETER}{name}" for name in parameter_names(document))
    return frozenset((*COLUMNS, *parameters, *known_metrics(document)))


def experiments_table(
    task: Task, document: TaskDocument, counts: Counts, standing: Standing, choice: Choice
) -> ExperimentsTable:
    """Read a page of the table: three queries, however many experiments and columns there are."""
    rows = Experiment.objects.filter(STATES.get(choice.state, Q()), task=task)
    page = Paginator(_ordered(rows, document, choice).only(*_READ), PER_PAGE).get_page(choice.page)
    measured = _measured(list(page), choice.point)
    has_gpus = any(row.gpus > 1 for row in page)
    return ExperimentsTable(
        parameters=tuple(Head(f"{PARAMETER}{name}", name) for name in choice.parameters),
        objective=Head("value", f"{label(document.objective)} {unit(document.objective)}"),
        figures=tuple(_figure_heads(choice, has_gpus)),
        segments=_segments(counts, choice.state),
        lines=tuple(_line(row, task, standing, choice, measured.get(row.pk), has_gpus=has_gpus) for row in page),
        page=page,
    )


def _figure_heads(choice: Choice, has_gpus: bool) -> Iterator[Head]:
    yield Head("", "x baseline")
    if has_gpus:
        yield Head("gpus", "GPUs")
    yield from (Head(metric.key, _title(metric)) for metric in choice.metrics)
    yield Head("duration", "took")


def _title(metric: Metric) -> str:
    return "errors %" if metric.key == ERROR_RATE else f"{metric.label} {metric.unit}".strip()


def _segments(counts: Counts, chosen: str) -> tuple[Segment, ...]:
    every = Segment("", "All", counts.made)
    found = (Segment(state, state.capitalize(), getattr(counts, state)) for state in STATES)
    return (every, *(segment for segment in found if segment.count or segment.state == chosen))


def _ordered(rows: "QuerySet[Experiment]", document: TaskDocument, choice: Choice) -> "QuerySet[Experiment]":
    """In the chosen order, what is absent last, and equals by their numbers."""
    key, down = choice.sort.removeprefix("-"), choice.sort.startswith("-")
    if key in NEVER_NULL:
        return rows.order_by(("-" if down else "") + COLUMNS[key], "number")
    if key.startswith(PARAMETER):
        rows = _with_parameter(rows, key.removeprefix(PARAMETER))
    elif key in COLUMNS:
        rows = rows.alias(chosen=F(COLUMNS[key]))
    else:
        rows = rows.alias(chosen=_metric(known_metrics(document)[key], choice.point))
    by = F("chosen")
    return rows.order_by(by.desc(nulls_last=True) if down else by.asc(nulls_last=True), "number")


def _with_parameter(rows: "QuerySet[Experiment]", name: str) -> "QuerySet[Experiment]":
    """With the parameter as `chosen`; null in the document is as good as absent."""
    rows = rows.alias(given=KeyTransform(name, "parameters"))
    is_null = When(given=Value(None, JSONField()), then=None)
    return rows.alias(chosen=Case(is_null, default=F("given"), output_field=JSONField()))


def _metric(metric: Metric, point: int | None) -> Subquery:
    """A metric at the chosen load point; one that was not measured to its end counts for nothing."""
    at = Q(index=OuterRef("load_point") if point is None else point)
    rows = MeasurementRow.objects.filter(at, experiment=OuterRef("pk"), reason="").order_by()
    return Subquery(rows.values(chosen=_read(metric))[:1])


def _read(metric: Metric) -> Expression | F:
    if metric.key == ERROR_RATE:
        ended = Cast(F("completed") + F("failed"), FloatField())
        return Case(When(Q(completed=0, failed=0), then=Value(1.0)), default=F("failed") / ended)
    if metric.statistic:
        return KeyTransform(metric.statistic, metric.column)
    return F(metric.column) / OuterRef("gpus") if metric.per_gpu else F(metric.column)


def _measured(rows: list[Experiment], point: int | None) -> dict[int, dict[str, Any]]:
    """The measurements of `rows` at the chosen load point, by the id of the experiment."""
    at = Q(index=F("experiment__load_point") if point is None else point)
    found = MeasurementRow.objects.filter(at, experiment__in=[row.pk for row in rows], reason="").order_by()
    return {row["experiment"]: dict(row) for row in found.values("experiment", *READ_COLUMNS)}


def _line(
    row: Experiment,
    task: Task,
    standing: Standing,
    choice: Choice,
    measured: Mapping[str, Any] | None,
    *,
    has_gpus: bool,
) -> Line:
    ratio = standing.ratio(row.value)
    return Line(
        number=row.number,
        outcome=outcome(row.status, row.feasible),
        reason=row.reason.replace("_", " ") if row.status == Experiment.Status.FAILED else "",
        is_best=row.pk == task.best_id,
        marks=tuple(_marks(row, task, standing)),
        parameters=tuple(_parameter(row, name) for name in choice.parameters),
        value=significant(row.value),
        figures=(
            ABSENT if ratio is None else f"{significant(ratio, 3)}x",
            *((str(row.gpus),) if has_gpus else ()),
            *(_figure(metric, measured, row.gpus) for metric in choice.metrics),
            ABSENT if row.total_s is None else duration(row.total_s),
        ),
        why=_why(row),
    )


def _marks(row: Experiment, task: Task, standing: Standing) -> list[str]:
    """What sets an experiment apart, in words."""
    marks = ["baseline"] if row.is_baseline else []
    if row.pk == task.best_id:
        marks.append("best")
    elif row.parameters_hash in standing.keys_tied and not row.replicate:
        marks.append("tie with the best")
    return [*marks, f"replicate {row.replicate + 1}"] if row.replicate else marks


def _parameter(row: Experiment, name: str) -> Cell:
    return cell(show(row.parameters[name])) if row.parameters.get(name) is not None else Cell("default")


def cell(text: str) -> Cell:
    """Text for a cell, cut where it is long."""
    return Cell(text) if len(text) <= MAX_SHOWN else Cell(f"{text[:MAX_SHOWN]}…", text)


def _figure(metric: Metric, measured: Mapping[str, Any] | None, gpus: int) -> str:
    value = metric.read(measured, gpus) if measured else None
    if metric.key == ERROR_RATE and value is not None:
        return significant(100 * value, 3) if value else "0"
    return significant(value, 3 if metric.statistic else 4)


def _why(row: Experiment) -> Cell:
    """Why it failed, or what it missed; nothing where all is well."""
    if row.missed:
        return Cell(f"misses {row.missed[0]}", "; ".join(map(str, row.missed)) if len(row.missed) > 1 else "")
    return Cell(row.message)
