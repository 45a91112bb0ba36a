"""What the rows of a task say together: configurations, their ranking, and the gain over the baseline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tuning.document.task import TaskDocument
from tuning.models import Experiment, Task
from tuning.scoring.comparison import Ranking, Result, rank, ratio_to_baseline
from tuning.scoring.objectives import direction


@dataclass(frozen=True)
class TaskResults:
    """Everything that a table, a page or an export shows; a snapshot of the rows."""

    task: Task
    document: TaskDocument
    experiments: tuple[Experiment, ...]

    @classmethod
    def of(cls, task: Task) -> "TaskResults":
        """Read a task's experiments and measurements: two queries."""
        rows = task.experiments.order_by("number").prefetch_related("measurements")
        return cls(task, task.task_document, tuple(rows))

    @cached_property
    def ranking(self) -> Ranking[str]:
        """Configurations by `parameters_hash`, from best to worst."""
        return ranking(self.experiments, self.document)

    @cached_property
    def baseline(self) -> Experiment | None:
        """The first measurement of the engine's defaults."""
        return next((experiment for experiment in self.experiments if experiment.is_baseline), None)

    @cached_property
    def best(self) -> Experiment | None:
        """The first experiment of the best feasible configuration."""
        return self._first(self.ranking.best.key) if self.ranking.best else None

    @cached_property
    def tied(self) -> tuple[Experiment, ...]:
        """Configurations that cannot be told from the best one."""
        return tuple(self._first(key) for key in self.ranking.tied)

    def result(self, experiment: Experiment) -> Result[str] | None:
        """The result of the configuration that `experiment` measured, over all its replicates."""
        key = experiment.parameters_hash
        return next((result for result in self.ranking.ordered if result.key == key), None)

    def ratio(self, value: float | None) -> float | None:
        """How many times better than the baseline; None without either."""
        baseline = self.result(self.baseline) if self.baseline else None
        if value is None or baseline is None or baseline.value is None:
            return None
        return ratio_to_baseline(value, baseline.value, direction(self.document.objective))

    @property
    def varied(self) -> list[str]:
        """The parameters that differ between experiments, in the order of the document."""
        return [name for name in self.document.search_space.parameters if self._varies(name)]

    def _varies(self, name: str) -> bool:
        absent = object()
        values = [experiment.parameters.get(name, absent) for experiment in self.experiments]
        return any(value != values[0] for value in values)

    def _first(self, key: str) -> Experiment:
        return next(experiment for experiment in self.experiments if experiment.parameters_hash == key)


def ranking(experiments: Iterable[Experiment], document: TaskDocument) -> Ranking[str]:
    """Rank the configurations of finished experiments."""
    return rank((configuration_result(rows) for rows in by_configuration(experiments)), direction(document.objective))


def by_configuration(experiments: Iterable[Experiment]) -> list[list[Experiment]]:
    """Finished experiments, those of one configuration together."""
    groups: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        if experiment.is_finished:
            groups.setdefault(experiment.parameters_hash, []).append(experiment)
    return list(groups.values())


def configuration_result(rows: Sequence[Experiment]) -> Result[str]:
    """What the replicates of one configuration say together."""
    values = tuple(row.value for row in rows if row.value is not None)
    per_item = zip(*(row.violations for row in rows if row.violations), strict=True)
    return Result(
        key=rows[0].parameters_hash,
        values=values,
        feasible=all(bool(row.feasible) for row in rows),
        violations=tuple(max(item) for item in per_item),
        failed=len(rows) - len(values),
    )
