"""How many log lines per second get into the database, and what a line costs once its log is at the cap.

    python -m benchmarks.log_lines [--lines 100000] [--threads 2]

Threads give lines of 130 bytes to a LogBuffer as fast as it takes them; the time ends when every line is in SQLite.
First they are lines of a task, all of which are kept, then lines of one experiment in ten equal parts: a part ends when
it is written. Prints a table in Markdown. Targets: 10,000 lines per second, none lost, and a line of the last three
parts costs at most 1.3 times one of the first three that met a log at its cap.
"""

import argparse
import os
import platform
import re
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

import psutil

import benchmarks.database  # noqa: F401  -- before the models
from tuning.hooks import LogSink
from tuning.models import Experiment, LogLine, Task
from tuning.runner.logs import LogBuffer

LINE_BYTES, TARGET_LINES_PER_S, TARGET_GROWTH = 130, 10_000, 1.3
PARTS, FIRST_AT_CAP, COMPARED = 10, 2, 3
HEADER = "| log of | lines | threads | given after s | written after s | lines/s | lost | kept | CPU |"


@dataclass(frozen=True)
class Result:
    """The buffer had been given every line after `given_s`, the database had them after `written_s[-1]`.

    `kept` lines are in the database at the end, `left_out` are those that its mark counts.
    """

    given_s: float
    written_s: tuple[float, ...]
    cpu_s: float
    kept: int
    left_out: int


def main() -> int:
    """Measure, print the table, and return 0 when the targets are met."""
    parser = argparse.ArgumentParser("log_lines", description="Log lines per second into the database")
    parser.add_argument("--lines", type=int, default=100_000, help="of all threads together, at least 60000")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    print(_heading(), flush=True)
    each = arguments.lines // arguments.threads // PARTS
    lines = each * arguments.threads * PARTS
    task = Task.objects.create(name="log lines", document={}, document_digest="")
    experiment = Experiment.objects.create(task=task, number=1, claim="mine")
    results = {
        "a task": _measure(task, None, each * PARTS, arguments.threads, parts=1),
        "one experiment": _measure(task, experiment, each, arguments.threads, parts=PARTS),
    }
    for name, result in results.items():
        print(_row(name, lines, arguments.threads, result), flush=True)
    growth = _growth(results["one experiment"])
    fast = all(
        lines == result.kept + result.left_out and lines / result.written_s[-1] >= TARGET_LINES_PER_S
        for result in results.values()
    )
    print(f"\n{TARGET_LINES_PER_S:,} lines/s and none lost: {'met' if fast else 'MISSED'}.")
    flat = growth <= TARGET_GROWTH
    print(
        f"At the cap, a line of the end costs {growth:.2f} times one of the beginning: {'met' if flat else 'MISSED'}."
    )
    return 0 if fast and flat else 1


def _heading() -> str:
    about = (
        f"{LINE_BYTES} bytes a line. {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; "
        f"load average before: {psutil.getloadavg()[0]:.1f}."
    )
    return "\n".join([about, "", HEADER, "|" + "---|" * HEADER.count(" | ") + "---|"])


def _measure(task: Task, experiment: Experiment | None, each: int, threads: int, *, parts: int) -> Result:
    """Have every thread write `each` lines, `parts` times, and wait for the database after each time."""
    written_s: list[float] = []
    given_s = 0.0
    cpu_s, start = time.process_time(), time.monotonic()
    with LogBuffer(task) as logs:
        sink = logs.sink(LogLine.Source.ENGINE, experiment)
        for part in range(parts):
            given_s += _give(sink, range(part * each, (part + 1) * each), threads)
            logs.flush()
            written_s.append(time.monotonic() - start)
    written_s[-1] = time.monotonic() - start
    cpu_s = time.process_time() - cpu_s
    return Result(given_s, tuple(written_s), cpu_s, *_found(task, experiment))


def _give(sink: LogSink, numbers: range, threads: int) -> float:
    """Give a line for each number from each thread; the seconds that it took."""
    start = time.monotonic()
    writers = [threading.Thread(target=_write, args=(sink, number, numbers)) for number in range(threads)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return time.monotonic() - start


def _write(sink: LogSink, thread: int, numbers: range) -> None:
    for number in numbers:
        sink("info", f"INFO: line {number} of thread {thread}: ".ljust(LINE_BYTES, "."))


def _found(task: Task, experiment: Experiment | None) -> tuple[int, int]:
    """How many different lines there are, and how many others the mark counts.

    Distinct texts: a line that was written twice must not make up for one that was lost.
    """
    lines = task.log_lines.filter(experiment=experiment)
    kept = lines.filter(source=LogLine.Source.ENGINE).values("text").distinct().count()
    marks = lines.filter(source=LogLine.Source.RUNNER).values_list("text", flat=True)
    return kept, sum(int(number) for mark in marks for number in re.findall(r"\d+", mark))


def _growth(result: Result) -> float:
    """What the last parts took, relative to the first ones that met a log at its cap."""
    parts_s = [after - before for before, after in pairwise((0.0, *result.written_s))]
    return sum(parts_s[-COMPARED:]) / sum(parts_s[FIRST_AT_CAP : FIRST_AT_CAP + COMPARED])


def _row(name: str, lines: int, threads: int, result: Result) -> str:
    written_s = result.written_s[-1]
    cells = [
        name,
        f"{lines}",
        f"{threads}",
        f"{result.given_s:.1f}",
        f"{written_s:.1f}",
        f"{lines / written_s:.0f}",
        f"{lines - result.kept - result.left_out}",
        f"{result.kept}",
        f"{result.cpu_s / written_s:.0%}",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
