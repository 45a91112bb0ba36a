"""The best configuration of a task, kept on its row by whoever writes an outcome, in the same transaction.

It is what `TaskResults` finds in all rows. An outcome costs a look at the rows of three configurations, however many
there are: the one that was measured, the best one so far, and the baseline. Only when the best one turns out to be
worse than it seemed all of them are looked at.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from tuning.models import Experiment, Task
from tuning.runner.results import by_configuration, configuration_result
from tuning.scoring.comparison import Result, rank, ratio_to_baseline
from tuning.scoring.objectives import Direction, direction

NONE: dict[str, Any] = {"best": None, "best_value": None, "best_ratio": None}
"""The columns of a task that has no best configuration."""

_RANKED = ("task", "number", "parameters_hash", "is_baseline", "status", "value", "feasible", "violations")
_KEPT = ("pk", "best", "best_value", "best_ratio")


def lock(pk: int) -> Task | None:
    """The task with this id, for `note`; no other outcome of it is written until this transaction ends.

    To be called before anything is written: whoever changes a task and its experiments does it in this order.
    """
    return Task.objects.select_for_update(of=("self",)).only(*_KEPT).filter(pk=pk).first()


def note(task: Task | None, key: str, towards: Direction) -> None:
    """Keep the best of a locked task true: an experiment of the configuration `key` has an outcome now."""
    if task is None:
        return
    held, baseline = _known_keys(task)
    results = _results(task.experiments.filter(parameters_hash__in={key, held, baseline} - {None}))
    best = _best(results.values(), towards)
    if held == key and _is_worse(best, task.best_value, towards):
        results = _results(task.experiments.all())
        best = _best(results.values(), towards)
    _keep(task, best, results.get(baseline or ""), towards)


def recompute(task: Task) -> None:
    """Find the best of a task in all its rows: outcomes were taken back; within a transaction that has its row."""
    towards = direction(task.task_document.objective)
    _, baseline = _known_keys(task)
    results = _results(task.experiments.all())
    _keep(task, _best(results.values(), towards), results.get(baseline or ""), towards)


def _known_keys(task: Task) -> tuple[str | None, str | None]:
    """The configurations of the best experiment so far and of the baseline, which is the first one."""
    rows = task.experiments.filter(Q(pk=task.best_id) | Q(number=1, is_baseline=True))
    keys = {pk: (key, is_baseline) for pk, key, is_baseline in rows.values_list("pk", "parameters_hash", "is_baseline")}
    held = keys[task.best_id][0] if task.best_id in keys else None
    return held, next((key for key, is_baseline in keys.values() if is_baseline), None)


def _results(rows: Any) -> dict[str, Result[str]]:
    """What is known of each configuration, in the order in which they were made."""
    finished = rows.filter(status__in=Experiment.FINISHED).order_by("number").only(*_RANKED)
    return {group[0].parameters_hash: configuration_result(group) for group in by_configuration(finished)}


def _best(results: Iterable[Result[str]], towards: Direction) -> Result[str] | None:
    return rank(results, towards).best


def _is_worse(best: Result[str] | None, before: float | None, towards: Direction) -> bool:
    if best is None or best.value is None or before is None:
        return True
    return best.value < before if towards == "maximize" else best.value > before


def _keep(task: Task, best: Result[str] | None, baseline: Result[str] | None, towards: Direction) -> None:
    columns = NONE if best is None else _columns(task, best, baseline, towards)
    Task.objects.filter(pk=task.pk).update(**columns)


def _columns(task: Task, best: Result[str], baseline: Result[str] | None, towards: Direction) -> dict[str, Any]:
    ratio = None
    if best.value is not None and baseline is not None and baseline.value is not None:
        ratio = ratio_to_baseline(best.value, baseline.value, towards)
    first = task.experiments.filter(parameters_hash=best.key).order_by("number").values_list("pk", flat=True).first()
    return {"best": first, "best_value": best.value, "best_ratio": ratio}
