"""The results of a task as JSON values: what `run_task --json` prints and what is exported."""

import json
from typing import Any

from tuning.engines.registry import engine_for
from tuning.models import Experiment, MeasurementRow
from tuning.runner.results import TaskResults
from tuning.scoring.metrics import LATENCIES
from tuning.scoring.objectives import direction, label, unit

STEPS = ("deploy", "ready", "benchmark", "remove", "total")


def as_json(results: TaskResults) -> dict[str, Any]:
    """One object with everything: task, objective, baseline, best and every experiment."""
    experiments = [experiment_json(experiment) for experiment in results.experiments]
    return {**answer_json(results), "experiments": experiments}


def answer_json(results: TaskResults) -> dict[str, Any]:
    """What `as_json` gives, without the experiments; reads no measurements."""
    objective = results.document.objective
    return {
        "task": {"id": results.task.pk, "name": results.task.name, "run": results.task.run},
        "status": results.task.status,
        "message": results.task.message,
        "simulated": engine_for(results.document.engine.name).simulated,
        "objective": {
            "name": objective.name.value,
            "label": label(objective),
            "unit": unit(objective),
            "direction": direction(objective),
        },
        "baseline": _configuration(results, results.baseline),
        "best": _configuration(results, results.best),
        "tied_with_best": [experiment.number for experiment in results.tied],
    }


def dumps(value: dict[str, Any]) -> str:
    """JSON that any parser reads: infinities and NaN are refused, not written."""
    return json.dumps(value, indent=2, allow_nan=False)


def _configuration(results: TaskResults, experiment: Experiment | None) -> dict[str, Any] | None:
    if experiment is None:
        return None
    result = results.result(experiment)
    value = result.value if result else None
    return {
        "number": experiment.number,
        "parameters": experiment.parameters,
        "value": value,
        "interval_half_width": result.half_width if result else None,
        "replicates": len(result.values) if result else 0,
        "ratio_to_baseline": results.ratio(value),
        "feasible": bool(result and result.feasible),
        "command": experiment.command_line,
    }


def experiment_json(experiment: Experiment) -> dict[str, Any]:
    """One experiment with its measurements."""
    return {
        "number": experiment.number,
        "replicate": experiment.replicate,
        "baseline": experiment.is_baseline,
        "status": experiment.status,
        "reason": experiment.reason or None,
        "message": experiment.message,
        "attempt": experiment.attempt,
        "gpus": experiment.gpus,
        "parameters": experiment.parameters,
        "value": experiment.value,
        "feasible": experiment.feasible,
        "missed": experiment.missed,
        "measurements": [_measurement(row) for row in experiment.measurements.all()],
        "seconds": {step: getattr(experiment, f"{step}_s") for step in STEPS},
    }


def _measurement(row: MeasurementRow) -> dict[str, Any]:
    load_point = row.load_point.model_dump()
    rates = ("output_tokens_per_s", "input_tokens_per_s", "requests_per_s", "goodput_requests_per_s")
    return {
        **load_point,
        "window_s": row.window_s,
        "completed": row.completed,
        "failed": row.failed,
        **{name: getattr(row, name) for name in (*rates, *LATENCIES)},
        "reason": row.reason or None,
        "message": row.message,
        "errors": row.errors,
        "extra": row.extra,
        "gpu_use": row.gpu_use,
    }
