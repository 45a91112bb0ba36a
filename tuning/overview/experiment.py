"""One experiment: what was run, how long it took, what was measured, and what it is worth."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import JsonValue

from tuning.document.goals import ObjectiveName
from tuning.document.task import TaskDocument
from tuning.engines.shell import is_secret
from tuning.models import Experiment, LogLine, MeasurementRow
from tuning.overview.reasons import Advice, advice
from tuning.runner.results import configuration_result
from tuning.runner.secrets import MASK, Masker
from tuning.runner.table import show
from tuning.scoring.comparison import ratio_to_baseline
from tuning.scoring.metrics import LATENCIES, STANDARD_STATISTICS
from tuning.scoring.objectives import direction, label, unit
from tuning.scoring.slo import Check, checks

TAIL = 15
_BAR = 1000
_STEPS = (
    ("deploy", "Starting the engine"),
    ("ready", "Loading, until it serves"),
    ("benchmark", "Measuring"),
    ("remove", "Removing the engine"),
)


@dataclass(frozen=True)
class Phase:
    """A step of an attempt; `start` and `width` are thousandths of all that is known, for a bar."""

    key: str
    title: str
    seconds: float | None
    is_current: bool
    start: float
    width: float


@dataclass(frozen=True)
class Parameter:
    """A parameter, and what it is in the baseline."""

    name: str
    value: str
    baseline: str

    @property
    def differs(self) -> bool:
        """Whether this is what the experiment is about."""
        return self.value != self.baseline


@dataclass(frozen=True)
class Latencies:
    """The statistics of each latency at a load point, in the order of the page's columns; None where there is none."""

    load: str
    lines: tuple[tuple[str, int | None, tuple[float | None, ...]], ...]


@dataclass(frozen=True)
class Verdict:
    """Every item of the SLO at a load point."""

    load: str
    checks: tuple[Check, ...]
    decided: bool


@dataclass(frozen=True)
class GpuLine:
    """What a GPU did during a load point: see runner/gpu_use.py; None is what its driver does not tell."""

    name: str
    numbers: tuple[float | None, ...]


GPU_COLUMNS = (
    ("utilisation_percent", "mean"),
    ("utilisation_percent", "max"),
    ("used_mib", "max"),
    ("power_w", "mean"),
    ("power_w", "max"),
    ("temperature_c", "max"),
)


@dataclass(frozen=True)
class ExperimentPage:
    """What the page of an experiment shows; reads what it needs when it is asked for."""

    experiment: Experiment

    @cached_property
    def document(self) -> TaskDocument:
        """The task's."""
        return self.experiment.task.task_document

    @cached_property
    def measurements(self) -> list[MeasurementRow]:
        """One for each load point that was run."""
        return list(self.experiment.measurements.order_by("index"))

    @cached_property
    def replicates(self) -> list[Experiment]:
        """The experiments of the same configuration, this one too."""
        same = Experiment.objects.filter(task=self.experiment.task_id, parameters_hash=self.experiment.parameters_hash)
        return list(same.order_by("replicate"))

    @cached_property
    def baseline(self) -> Experiment | None:
        """The first measurement of the engine's defaults, which is the task's first experiment."""
        return Experiment.objects.filter(task=self.experiment.task_id, number=1, is_baseline=True).first()

    @cached_property
    def neighbours(self) -> dict[str, int]:
        """The numbers of the experiments before and after, where there are such."""
        number = self.experiment.number
        around = Experiment.objects.filter(task=self.experiment.task_id, number__in=(number - 1, number + 1))
        return {
            "previous" if each < number else "next": each
            for each in around.order_by("number").values_list("number", flat=True)
        }

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """What the attempt did, in order."""
        return tuple(_phases(self.experiment))

    @property
    def queued_s(self) -> float | None:
        """Seconds between its making and the start of the attempt."""
        if self.experiment.started_at is None:
            return None
        return (self.experiment.started_at - self.experiment.created_at).total_seconds()

    @cached_property
    def parameters(self) -> list[Parameter]:
        """Every parameter; first those that differ from the baseline, without one those that are searched."""
        baseline = self.baseline.parameters if self.baseline else self.document.search_space.fixed
        names = dict.fromkeys([*self.document.search_space.parameters, *self.experiment.parameters, *baseline])
        found = [
            Parameter(name, _shown(name, self.experiment.parameters), _shown(name, baseline))
            for name in names
            if name in self.experiment.parameters or name in baseline
        ]
        return sorted(found, key=lambda parameter: not parameter.differs)

    @property
    def command_line(self) -> str:
        """The line that starts the same server, secrets hidden."""
        return Masker()(self.experiment.command_line)

    @property
    def environment(self) -> list[tuple[str, str]]:
        """The variables of document and configuration, secrets hidden."""
        mask = Masker()
        named = {f"env:{name}": value for name, value in self.document.engine.environment.items()}
        named |= {name: value for name, value in self.experiment.parameters.items() if name.startswith("env:")}
        return [(name.removeprefix("env:"), mask(_shown(name, named))) for name in named]

    @property
    def label(self) -> str:
        """The objective, as the head of a column."""
        return label(self.document.objective)

    @property
    def unit(self) -> str:
        """Of its value."""
        return unit(self.document.objective)

    @cached_property
    def ratio(self) -> float | None:
        """How many times better than the baseline, over all measurements of that."""
        if self.experiment.value is None or self.baseline is None or self.experiment.is_baseline:
            return None
        same = Experiment.objects.filter(
            task=self.experiment.task_id, parameters_hash=self.baseline.parameters_hash, status__in=Experiment.FINISHED
        )
        rows = list(same)
        value = configuration_result(rows).value if rows else None
        if value is None:
            return None
        return ratio_to_baseline(self.experiment.value, value, direction(self.document.objective))

    @property
    def statistics(self) -> tuple[str, ...]:
        """The columns of the latencies: the usual ones, and those that only the SLO names."""
        wanted = {name for latency in LATENCIES for name in getattr(self.document.slo, latency)}
        return (*STANDARD_STATISTICS, *sorted(wanted - set(STANDARD_STATISTICS)))

    @cached_property
    def latencies(self) -> list[Latencies]:
        """The statistics of every load point."""
        return [Latencies(str(row), tuple(self._latency_lines(row))) for row in self.measurements]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """What each load point is to the SLO, once the experiment has succeeded."""
        if self.experiment.status != Experiment.Status.SUCCESS:
            return []
        latencies = self.document.objective.name is not ObjectiveName.MAXIMIZE_GOODPUT
        return [
            Verdict(
                str(row),
                checks(row.to_measurement(), self.document.slo, latencies=latencies),
                row.index == self.experiment.load_point,
            )
            for row in self.measurements
        ]

    @cached_property
    def gpu_use(self) -> list[tuple[str, list[GpuLine]]]:
        """What the GPUs did during each load point that says so."""
        return [(str(row), [_gpu_line(use) for use in row.gpu_use]) for row in self.measurements if row.gpu_use]

    @property
    def advice(self) -> Advice | None:
        """What its reason means."""
        return advice(self.experiment.reason)

    @cached_property
    def tail(self) -> list[LogLine]:
        """The end of the log of one that failed."""
        if self.experiment.status != Experiment.Status.FAILED:
            return []
        return list(reversed(LogLine.objects.filter(experiment=self.experiment).order_by("-id")[:TAIL]))

    def _latency_lines(self, row: MeasurementRow) -> Iterator[tuple[str, int | None, tuple[float | None, ...]]]:
        for latency in LATENCIES:
            kept = getattr(row, latency) or {}
            values = tuple(kept.get(name) for name in self.statistics)
            yield latency.removesuffix("_ms").upper(), kept.get("count"), values


def _phases(row: Experiment) -> Iterator[Phase]:
    seconds: Sequence[float | None] = (row.deploy_s, row.ready_s, row.benchmark_s, row.remove_s)
    known = sum(filter(None, seconds)) or 1.0
    active = row.status in Experiment.ACTIVE
    current = next((index for index, taken in enumerate(seconds) if active and taken is None), None)
    at = 0.0
    for index, ((key, title), taken) in enumerate(zip(_STEPS, seconds, strict=True)):
        width = _BAR * (taken or 0.0) / known
        yield Phase(key, title, taken, index == current, round(at, 1), round(width, 1))
        at += width


def _gpu_line(use: dict[str, Any]) -> GpuLine:
    numbers = tuple((use.get(quantity) or {}).get(statistic) for quantity, statistic in GPU_COLUMNS)
    return GpuLine(f"GPU {use['gpu']}: {use['name']}", (*numbers, use.get("memory_mib")))


def _shown(name: str, parameters: Mapping[str, JsonValue]) -> str:
    if name not in parameters:
        return "default"
    value = show(parameters[name])
    return MASK if is_secret(name.removeprefix("env:").replace("-", "_")) and value != "default" else value
