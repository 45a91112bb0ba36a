"""A task's evidence as a document that can be kept: what ran, on what, and what came out."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version

import psutil

from tuning.document.dumping import dump
from tuning.engines.registry import engine_for
from tuning.models import Experiment, MeasurementRow
from tuning.runner.results import TaskResults
from tuning.runner.table import Column, neutral, results_table, significant
from tuning.scoring.objectives import label, unit


def as_markdown(results: TaskResults) -> str:
    """The results as Markdown: answer, table, load points, failures, machine and the document itself."""
    return "\n".join(neutral(line) for line in _lines(results)) + "\n"


def _lines(results: TaskResults) -> Iterator[str]:
    yield f"# Results of {results.task}"
    if results.document.description:
        yield from ("", results.document.description)
    yield from ("", *_answer(results))
    table = results_table(results)
    yield from _table(table.columns, table.rows)
    yield from ("", "## Load points", "", *_load_points(results))
    yield from _failures(results)
    yield from ("", "## How it was measured", "", *_machine(results))
    yield from ("", "```yaml", dump(results.document).rstrip(), "```")


def _answer(results: TaskResults) -> Iterator[str]:
    if engine_for(results.document.engine.name).simulated:
        yield "**Simulated**: the engine was the bundled simulated one; nothing here was measured on a GPU."
        yield ""
    best = results.best
    if best is None:
        yield from (f"No configuration meets the SLO. {results.task.message}", "")
        return
    objective, result = results.document.objective, results.result(best)
    value = result.value if result else None
    ratio = results.ratio(value)
    yield (
        f"Best: **#{best.number}**, {label(objective)} {significant(value)} {unit(objective)}"
        + (f", {significant(ratio, 3)} x the baseline." if ratio else ".")
        + (f" 95 % interval +- {significant(result.half_width, 2)}." if result and result.half_width else "")
    )
    if results.tied:
        yield f"Not told from it by what was measured: {', '.join(f'#{other.number}' for other in results.tied)}."
    yield from ("", "```sh", best.command_line, "```", "")


def _table(columns: tuple[Column, ...], rows: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    yield _row(*(column.head for column in columns))
    yield _row(*("---:" if column.numeric else "---" for column in columns))
    for row in rows:
        yield _row(*row)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _load_points(results: TaskResults) -> Iterator[str]:
    heads = ("TTFT p50", "TTFT p99", "TPOT p50", "TPOT p99", "E2E p50", "E2E p99", "tokens/s", "requests/s")
    numeric = ("completed", "failed", *(f"{head} ms" if head[:1] in "TE" else head for head in heads))
    columns = (Column("#"), Column("load point", numeric=False), *map(Column, numeric))
    rows = tuple(
        (str(experiment.number), str(row), *_figures(row))
        for experiment in results.experiments
        for row in experiment.measurements.all()
    )
    yield from _table(columns, rows)


def _figures(row: MeasurementRow) -> tuple[str, ...]:
    latencies = [
        significant(values[statistic] if values else None)
        for values in (row.ttft_ms, row.tpot_ms, row.e2e_ms)
        for statistic in ("p50", "p99")
    ]
    rates = significant(row.to_measurement().tokens_per_s), significant(row.requests_per_s)
    return (str(row.completed), str(row.failed), *latencies, *rates)


def _failures(results: TaskResults) -> Iterator[str]:
    failed = [row for row in results.experiments if row.status == Experiment.Status.FAILED]
    if failed:
        yield from ("", "## Failures", "")
    for experiment in failed:
        yield f"* #{experiment.number} `{experiment.reason}`: {experiment.message}"


def _machine(results: TaskResults) -> Iterator[str]:
    memory_gib = psutil.virtual_memory().total / 2**30
    yield f"* Machine: {platform.machine()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()}"
    versions = sorted({experiment.engine_version for experiment in results.experiments if experiment.engine_version})
    yield f"* Engine: {results.document.engine.name} {', '.join(versions)}".rstrip()
    yield f"* Benchmark: {results.document.workload.benchmark}"
    yield f"* Python {platform.python_version()}, Django {version('django')}, optuna {version('optuna')}"
    started, finished = results.task.started_at, results.task.finished_at
    if started and finished:
        yield f"* Run: {started:%Y-%m-%d %H:%M} UTC, {(finished - started).total_seconds():.0f} s"
