"""What a task has found so far: its finished experiments, how they rank, and what that cost.

Read without what only one experiment's page shows, and never more than MOST of them: a task may have a million.
"""

from dataclasses import dataclass
from functools import cached_property

from django.db.models import F, Max, Q, Sum
from pydantic import JsonValue

from tuning.document.task import TaskDocument
from tuning.engines.registry import engine_for
from tuning.models import Experiment, Task
from tuning.overview.metrics import Metric, finite, metrics
from tuning.overview.progress import Counts, counts_of, document_of
from tuning.runner.results import TaskResults
from tuning.scoring.comparison import Result, ratio_to_baseline
from tuning.scoring.objectives import Direction, direction, label, unit

MOST = 2_000
"""Experiments that are looked at; of more, the newest half and the best half."""

LIVE = (Task.Status.PENDING, Task.Status.RUNNING, Task.Status.PAUSED)

_COLUMNS = (
    "number", "replicate", "is_baseline", "parameters", "parameters_hash", "gpus", "status", "reason", "value",
    "feasible", "violations", "missed", "load_point", "total_s", "finished_at", "task_id",
)  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """The finished experiments of a task, by number, and what follows from them; `rows` lack the long columns."""

    task: Task
    document: TaskDocument
    counts: Counts
    rows: tuple[Experiment, ...]

    @classmethod
    def of(cls, task: Task, counts: Counts | None = None) -> "Snapshot":
        """Read it: one query, and one for `counts` where they are not known; a third where there are too many."""
        counts = counts_of([task.pk]).get(task.pk, Counts()) if counts is None else counts
        return cls(task, document_of(task), counts, tuple(_rows(task, counts.finished)))

    @property
    def is_part(self) -> bool:
        """Whether there are more experiments than those that are looked at."""
        return len(self.rows) < self.counts.finished

    @property
    def is_final(self) -> bool:
        """Whether nothing more comes unless somebody does something."""
        return self.task.status not in LIVE and not self.counts.running

    @property
    def simulated(self) -> bool:
        """Whether nothing here was measured on a real engine."""
        return engine_for(self.document.engine.name).simulated

    @property
    def unit(self) -> str:
        """The unit of the objective."""
        return unit(self.document.objective)

    @property
    def label(self) -> str:
        """The objective in words."""
        return label(self.document.objective)

    @property
    def direction(self) -> Direction:
        """Which way the objective is better."""
        return direction(self.document.objective)

    @cached_property
    def results(self) -> TaskResults:
        """The same rows as what ranks them."""
        return TaskResults(self.task, self.document, self.rows)

    @cached_property
    def best(self) -> Experiment | None:
        """The first experiment of the best feasible configuration."""
        return self.results.best

    @cached_property
    def baseline(self) -> Experiment | None:
        """The first experiment with the engine's defaults."""
        return self.results.baseline

    @cached_property
    def of_configuration(self) -> dict[str, Result[str]]:
        """What the replicates of each configuration say together, by its hash; the best first."""
        return {result.key: result for result in self.results.ranking.ordered}

    @cached_property
    def first_of_configuration(self) -> dict[str, int]:
        """The number of the first experiment of each configuration, by its hash."""
        return {row.parameters_hash: row.number for row in reversed(self.rows)}

    @cached_property
    def best_value(self) -> float | None:
        """The objective of the best configuration, over its replicates."""
        return self._value(self.best)

    @cached_property
    def baseline_value(self) -> float | None:
        """The objective of the engine's defaults, over their replicates."""
        return self._value(self.baseline)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that this task has, by key; those by GPU where configurations differ in their GPUs."""
        return metrics(self.document.slo, per_gpu=self.per_gpu)

    @cached_property
    def per_gpu(self) -> bool:
        """Whether configurations need different numbers of GPUs."""
        return len({row.gpus for row in self.rows}) > 1

    def ratio(self, value: float | None) -> float | None:
        """How many times better than the baseline; None without either."""
        if value is None or self.baseline_value is None:
            return None
        return ratio_to_baseline(value, self.baseline_value, self.direction)

    def ranked(self, most: int) -> list[Experiment]:
        """At most so many experiments: the best configurations first, failed ones last."""
        places = {key: place for place, key in enumerate(self.of_configuration)}
        last = len(places)
        return sorted(self.rows, key=lambda row: (places.get(row.parameters_hash, last), row.number))[:most]

    def _value(self, row: Experiment | None) -> float | None:
        result = self.of_configuration.get(row.parameters_hash) if row else None
        return result.value if result else None


def version(task: Task, counts: Counts) -> str:
    """Changes whenever a finished experiment comes, goes or is taken up again, and when the task's status changes."""
    return f"{task.revision}-{counts.finished}-{task.status}-{counts.running if task.status not in LIVE else 0}"


def gpu_s(task: Task) -> float:
    """What all attempts took of the GPUs together, in seconds."""
    spent = task.experiments.aggregate(gpu_s=Sum(F("spent_s") * F("gpus")))["gpu_s"]
    return float(spent or 0.0)


def elapsed_s(task: Task) -> float | None:
    """Seconds from the start of a task to its end; None while it is not ended."""
    if task.started_at is None or task.finished_at is None:
        return None
    return (task.finished_at - task.started_at).total_seconds()


def parameter(row: Experiment, name: str) -> JsonValue:
    """The value of a parameter; None where the engine's own default was left."""
    value: JsonValue = row.parameters.get(name)
    return value


def _rows(task: Task, finished: int) -> list[Experiment]:
    """Read them; an objective that is no finite number counts as none."""
    rows = task.experiments.filter(status__in=Experiment.FINISHED)
    if finished > MOST:
        rows = rows.filter(_newest_or_best(task))
    found = list(rows.only(*_COLUMNS).order_by("number"))
    for row in found:
        row.value = finite(row.value)
    return found


def _newest_or_best(task: Task) -> Q:
    half = MOST // 2
    last = task.experiments.aggregate(last=Max("number"))["last"] or 0
    better = F("value").asc() if direction(document_of(task).objective) == "minimize" else F("value").desc()
    best = task.experiments.filter(status=Experiment.Status.SUCCESS, feasible=True).order_by(better)
    return Q(number__gt=last - half) | Q(is_baseline=True) | Q(pk__in=best.values("pk")[: half - 1])
