"""What a run gives to read: Markdown."""

import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import psutil

from benchmarks.chaos import audit, faults
from benchmarks.chaos.checks import Evidence, Finding, problems
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.recovery import recoveries


@dataclass(frozen=True)
class Run:
    """How the run was started, and how long its parts took in seconds."""

    seed: int
    load_s: float
    undisturbed_s: float
    faults_s: float
    quiet_s: float


def write(run: Run, evidence: Evidence, findings: list[Finding]) -> str:
    """The report."""
    with audit.connected(evidence.folder / "autotuner.sqlite3") as connection:
        return "\n".join(_lines(run, evidence, findings, connection)) + "\n"


def _lines(run: Run, evidence: Evidence, findings: list[Finding], connection: sqlite3.Connection) -> Iterator[str]:
    wrong = list(problems(findings))
    made = evidence.faults
    yield f"# Chaos run with seed {run.seed}"
    yield ""
    yield (
        f"{len(made)} faults in {run.faults_s:.0f} s on 3 slots (made-up GPUs), lease {evidence.lease_s:g} s. "
        f"{'Every check holds.' if not wrong else f'{len(wrong)} violations.'}"
    )
    yield (
        f"Before: an undisturbed run of the same documents, {run.undisturbed_s:.0f} s. "
        f"Afterwards: {run.quiet_s:.0f} s until nothing was left to do."
    )
    yield ""
    yield f"Machine: {_machine()}. {_versions()}."
    yield (
        f"Tasks: 5 documents of {evidence.experiments} experiments, each under load for {run.load_s:g} s; "
        "a task that ends is submitted again."
    )
    yield from _table(("check", "number", "violations"), [(f.name, f.number, len(f.problems)) for f in findings])
    if wrong:
        yield from ("", "## Violations", "", *(f"* {problem}" for problem in wrong))
    yield from ("", "## Faults")
    yield from _table(("fault", "times"), sorted(_kinds(made).items()))
    yield from ("", "## Recovery", "", _recovery_note(evidence))
    yield from _table(("after", "times", "median s", "longest s"), _recovery_rows(connection, made))
    yield from ("", "## Attempts")
    yield from _table(("attempts", "experiments"), _attempts(connection, evidence))


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield ""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def _machine() -> str:
    memory_gib = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} CPUs, {memory_gib:.0f} GiB, {platform.system()} {platform.machine()}"


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name.lower())}" for name in ("Django", "Huey", "gunicorn"))
    return f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}"


def _kinds(made: list[Fault]) -> Counter[str]:
    return Counter(
        fault.kind if fault.kind != faults.COMMAND else f"command: {fault.facts.get('action', 'none')}"
        for fault in made
        if fault.text != faults.NOTHING
    )


def _recovery_note(evidence: Evidence) -> str:
    return (
        "From the end of a worker (or, where it was only stopped, from when it went on) until the next experiment was "
        "begun; from the end of an engine until its experiment had its outcome; from the end of the web server until "
        f"it answered. Allowed: {evidence.lease_s:g} s of lease and 5 s."
    )


def _recovery_rows(connection: sqlite3.Connection, made: list[Fault]) -> list[tuple[str, int, str, str]]:
    by_kind: dict[str, list[float]] = {}
    for one in recoveries(connection, made):
        by_kind.setdefault(one.fault.kind, []).append(float("inf") if one.seconds is None else one.seconds)
    return [
        (kind, len(seconds), f"{np.median(seconds):.1f}", f"{max(seconds):.1f}")
        for kind, seconds in sorted(by_kind.items())
    ]


def _attempts(connection: sqlite3.Connection, evidence: Evidence) -> list[tuple[int, int]]:
    query = "SELECT attempt, count(*) FROM tuning_experiment WHERE task_id > ? GROUP BY attempt ORDER BY attempt"
    return [(row[0], row[1]) for row in connection.execute(query, (evidence.undisturbed_tasks,))]
