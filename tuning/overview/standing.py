"""Where the baseline and the best configuration of a task stand, read from a bounded number of rows."""

from dataclasses import dataclass

from django.db.models import Q

from tuning.document.task import TaskDocument
from tuning.models import Experiment, Task
from tuning.runner.results import by_configuration, configuration_result
from tuning.scoring.comparison import Result, rank, ratio_to_baseline
from tuning.scoring.objectives import Direction, direction

NEAREST = 50
"""Measurements next to the best one among which ties are looked for."""


@dataclass(frozen=True)
class Standing:
    """The baseline and the best configuration of a task, over all their replicates.

    `tied` has the numbers of the first experiments of the configurations that cannot be told from the best one.
    """

    direction: Direction
    baseline: Result[str] | None
    best: Result[str] | None
    tied: tuple[int, ...] = ()
    keys_tied: frozenset[str] = frozenset()

    def ratio(self, value: float | None) -> float | None:
        """How many times better than the baseline; None without either."""
        if value is None or self.baseline is None or self.baseline.value is None:
            return None
        return ratio_to_baseline(value, self.baseline.value, self.direction)


def standing(task: Task, document: TaskDocument) -> Standing:
    """Read it: one query, however many experiments there are."""
    towards = direction(document.objective)
    best = task.best.parameters_hash if task.best else None
    groups = {rows[0].parameters_hash: rows for rows in by_configuration(_rows(task, document, best))}
    results = {key: configuration_result(rows) for key, rows in groups.items()}
    baseline = next((key for key, rows in groups.items() if any(row.is_baseline for row in rows)), None)
    found = rank(results.values(), towards)
    tied = found.tied if found.best and found.best.key == best else ()
    return Standing(
        towards,
        baseline=results.get(baseline or ""),
        best=results.get(best or ""),
        tied=tuple(sorted(groups[key][0].number for key in tied)),
        keys_tied=frozenset(tied),
    )


def _rows(task: Task, document: TaskDocument, best: str | None) -> list[Experiment]:
    """Every replicate of the baseline and of the best configuration, and of those next to it where there are any."""
    of_task = Experiment.objects.filter(task=task).order_by()
    # The baseline is measured first, so that the row is found by its number.
    wanted = Q(parameters_hash__in=of_task.filter(number=1, is_baseline=True).values("parameters_hash"))
    if best is not None:
        wanted |= Q(parameters_hash=best)
    if best is not None and document.replicates > 1:
        measured = of_task.filter(status=Experiment.Status.SUCCESS, feasible=True)
        order = "value" if direction(document.objective) == "minimize" else "-value"
        wanted |= Q(parameters_hash__in=measured.order_by(order).values("parameters_hash")[:NEAREST])
    columns = (
        "task",
        "number",
        "replicate",
        "is_baseline",
        "parameters_hash",
        "status",
        "value",
        "feasible",
        "violations",
    )
    return list(of_task.filter(wanted).only(*columns).order_by("number"))
