"""The results of a task as rows of text, the same for a terminal, a document and later a page."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from tuning.models import Experiment, MeasurementRow
from tuning.runner.results import TaskResults
from tuning.scoring.objectives import label, unit

ABSENT = "-"


@dataclass(frozen=True)
class Column:
    """The head of a column; numbers stand to the right."""

    head: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Columns and rows of text; `best` is the index of the best row."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    best: int | None


def results_table(results: TaskResults) -> Table:
    """One row per experiment: what varies, the objective, the gain, latencies, throughput, and what is to be said."""
    objective = results.document.objective
    varied = results.varied
    columns = (
        Column("#"),
        *(Column(name) for name in varied),
        Column(f"{label(objective)} {unit(objective)}"),
        Column("x baseline"),
        Column("TTFT p50/p99 ms"),
        Column("TPOT p50/p99 ms"),
        Column("tokens/s"),
        Column("verdict", numeric=False),
    )
    rows = tuple(_row(results, experiment, varied) for experiment in results.experiments)
    best = results.experiments.index(results.best) if results.best else None
    return Table(columns, rows, best)


def _row(results: TaskResults, experiment: Experiment, varied: list[str]) -> tuple[str, ...]:
    measured = _deciding(experiment)
    return (
        str(experiment.number),
        *(_parameter(experiment, name) for name in varied),
        significant(experiment.value),
        significant(results.ratio(experiment.value), digits=3),
        _percentiles(measured.ttft_ms if measured else None),
        _percentiles(measured.tpot_ms if measured else None),
        significant(measured.to_measurement().tokens_per_s if measured else None),
        verdict(results, experiment),
    )


def _deciding(experiment: Experiment) -> MeasurementRow | None:
    """The measurement at the load point that decided."""
    return next((row for row in experiment.measurements.all() if row.index == experiment.load_point), None)


def _parameter(experiment: Experiment, name: str) -> str:
    return show(experiment.parameters[name]) if name in experiment.parameters else "default"


def show(value: JsonValue) -> str:
    """A parameter's value as the document would say it."""
    if value is None:
        return "default"
    return str(value).lower() if isinstance(value, bool) else str(value)


def significant(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits and no exponent; a dash where there is none."""
    if value is None:
        return ABSENT
    decimals = max(0, digits - len(str(int(abs(value)))))
    return f"{value:,.{decimals}f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `42s`, `3m 05s`, `1h 02m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def _percentiles(values: dict[str, float] | None) -> str:
    return f"{significant(values['p50'], 3)} / {significant(values['p99'], 3)}" if values else ABSENT


def _first_miss(results: TaskResults, experiment: Experiment) -> str:
    """The first item that was missed; where, only if there was more than one load point."""
    text = str(experiment.missed[0]) if experiment.missed else "the SLO"
    return text if len(results.document.workload.load_points) > 1 else text.rpartition(": ")[2]


def neutral(text: str) -> str:
    """`text` with this machine's working and home directories written as a person would."""
    return text.replace(f"{Path.cwd()}{os.sep}", "").replace(f"{Path.home()}{os.sep}", "~/")


def verdict(results: TaskResults, experiment: Experiment) -> str:
    """What there is to say of an experiment: best, baseline, what it missed, or why it failed."""
    words = ["baseline"] if experiment.is_baseline else []
    match experiment.status:
        case Experiment.Status.FAILED:
            words.append(f"failed: {experiment.reason}")
        case Experiment.Status.SUCCESS if experiment.feasible:
            words += ["best"] if experiment == results.best else []
            words += ["tie with the best"] if experiment in results.tied else []
        case Experiment.Status.SUCCESS:
            words.append(f"misses {_first_miss(results, experiment)}")
        case _:
            words.append(experiment.status)
    return ", ".join(words) or "ok"
