"""What the charts of a task are drawn on: its parameters, its metrics, and which two metrics to begin with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from tuning.document.space import Choices, FloatRange, IntRange, Parameter
from tuning.document.task import TaskDocument
from tuning.models import Experiment
from tuning.overview.metrics import Metric, finite, limits
from tuning.overview.results import Snapshot
from tuning.runner.table import show
from tuning.scoring.objectives import LATENCY_OF

DEFAULT = show(None)
MOST_CATEGORIES = 24
MOST_PARAMETERS = 12


@dataclass(frozen=True)
class ParameterAxis:
    """A parameter that varies: `values` are the labels of a `category` axis, `ends` where one of numbers ends."""

    name: str
    kind: Literal["category", "linear", "log"]
    values: tuple[str, ...] = ()
    ends: tuple[float, float] | None = None

    def place(self, row: Experiment) -> str | float | None:
        """Where an experiment stands on it; None where the parameter was left out and the axis has numbers."""
        value = row.parameters.get(self.name)
        return show(value) if self.kind == "category" else finite(value)

    @classmethod
    def of(cls, name: str, parameter: Parameter) -> "ParameterAxis":
        """The axis of a parameter: few listed values stand side by side, others as numbers."""
        if isinstance(parameter, IntRange | FloatRange):
            return cls(name, "log" if parameter.log else "linear", ends=(parameter.min, parameter.max))
        labels = tuple(dict.fromkeys(map(show, parameter.values)))
        numbers = [number for value in parameter.values if (number := finite(value)) is not None]
        if len(labels) > MOST_CATEGORIES and len(numbers) == len(parameter.values):
            return cls(name, "linear", ends=(min(numbers), max(numbers)))
        return cls(name, "category", labels if DEFAULT in labels else (DEFAULT, *labels))


def parameter_axes(document: TaskDocument) -> tuple[ParameterAxis, ...]:
    """The parameters that can take more than one value, as many as there is room for, in the document's order."""
    varied = [(name, one) for name, one in document.search_space.parameters.items() if _varies(one)]
    return tuple(ParameterAxis.of(name, one) for name, one in varied[:MOST_PARAMETERS])


def _varies(parameter: Parameter) -> bool:
    return len(parameter.values) > 1 if isinstance(parameter, Choices) else parameter.min < parameter.max


def differing(row: Experiment, baseline: Experiment | None) -> dict[str, JsonValue]:
    """The parameters that an experiment has otherwise than the baseline, by name."""
    known: Mapping[str, JsonValue] = baseline.parameters if baseline else {}
    return {name: value for name, value in row.parameters.items() if name not in known or known[name] != value}


def latency_axis(snapshot: Snapshot) -> Metric:
    """The latency that this task cares for: the first that the SLO limits, else the objective's, else E2E."""
    objective, limited_by = snapshot.document.objective, limits(snapshot.document.slo)
    limited = [key for key, metric in snapshot.metrics.items() if metric.statistic and key in limited_by]
    column = LATENCY_OF.get(objective.name, "e2e_ms")
    return snapshot.metrics[limited[0] if limited else f"{column}.{objective.statistic}"]


def throughput_axis(snapshot: Snapshot) -> Metric:
    """Output throughput, by GPU where configurations differ in their GPUs."""
    return snapshot.metrics["output_tokens_per_s/gpu" if snapshot.per_gpu else "output_tokens_per_s"]
