"""Tasks from before their rows held their best configuration get it from their experiments."""

from typing import Any

from django.db import migrations

from tuning.scoring.comparison import Result, rank, ratio_to_baseline
from tuning.scoring.objectives import LATENCY_OF, Direction


def fill(apps: Any, schema_editor: Any) -> None:
    """Write the columns of each task that has a feasible configuration."""
    tasks = apps.get_model("tuning", "Task").objects
    experiments = apps.get_model("tuning", "Experiment").objects
    for pk, document in list(tasks.filter(best=None).values_list("pk", "document")):
        finished = experiments.filter(task=pk, status__in=("success", "failed")).order_by("number")
        columns = _best(document, list(finished.defer("command", "command_line", "parameters", "handle")))
        if columns:
            tasks.filter(pk=pk).update(**columns)


def _best(document: Any, rows: list[Any]) -> dict[str, Any]:
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(row.parameters_hash, []).append(row)
    results = {key: _result(key, group) for key, group in groups.items()}
    latencies = {name.value for name in LATENCY_OF}
    direction: Direction = "minimize" if document.get("objective", {}).get("name") in latencies else "maximize"
    best = rank(results.values(), direction).best
    if best is None:
        return {}
    baseline = next((results[row.parameters_hash].value for row in rows if row.is_baseline), None)
    ratio = None if baseline is None or best.value is None else ratio_to_baseline(best.value, baseline, direction)
    return {"best": groups[best.key][0].pk, "best_value": best.value, "best_ratio": ratio}


def _result(key: str, rows: list[Any]) -> Result[str]:
    values = tuple(row.value for row in rows if row.value is not None)
    excess = zip(*(row.violations for row in rows if row.violations), strict=True)
    worst = tuple(max(item) for item in excess)
    feasible = all(bool(row.feasible) for row in rows)
    return Result(key, values, feasible, worst, failed=len(rows) - len(values))


class Migration(migrations.Migration):
    dependencies = [("tuning", "0003_web_interface")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
