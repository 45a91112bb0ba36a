"""How many log lines per second get into the database.

    python -m benchmarks.log_lines [--lines 100000] [--threads 2]

Threads give lines of 130 bytes to a LogBuffer as fast as it takes them; the time ends when every line is in SQLite.
Prints a table in Markdown. Target: 10,000 lines per second, none lost.
"""

import argparse
import os
import platform
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass

import psutil

import benchmarks.database  # noqa: F401  -- before the models
from tuning.hooks import LogSink
from tuning.models import LogLine, Task
from tuning.runner.logs import LogBuffer

LINE_BYTES, TARGET_LINES_PER_S = 130, 10_000
HEADER = "| lines | threads | given after s | written after s | lines/s | lost | CPU |"


@dataclass(frozen=True)
class Result:
    """The buffer had been given every line after `given_s`, the database had them after `written_s`."""

    given_s: float
    written_s: float
    cpu_s: float
    kept: int


def main() -> int:
    """Measure, print the table, and return 0 when the target is met."""
    parser = argparse.ArgumentParser("log_lines", description="Log lines per second into the database")
    parser.add_argument("--lines", type=int, default=100_000, help="of all threads together")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    print(_heading(), flush=True)
    each = arguments.lines // arguments.threads
    result = _measure(each, arguments.threads)
    lines = each * arguments.threads
    print(_row(lines, arguments.threads, result))
    met = lines == result.kept and lines / result.written_s >= TARGET_LINES_PER_S
    print(f"\n{TARGET_LINES_PER_S:,} lines/s and none lost: {'met' if met else 'MISSED'}.")
    return 0 if met else 1


def _heading() -> str:
    about = (
        f"{LINE_BYTES} bytes a line. {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; "
        f"load average before: {psutil.getloadavg()[0]:.1f}."
    )
    return "\n".join([about, "", HEADER, "|" + "---|" * HEADER.count(" | ") + "---|"])


def _measure(each: int, threads: int) -> Result:
    """Have every thread write `each` lines."""
    task = Task.objects.create(name="log lines", document={}, document_digest="")
    cpu_s, start = time.process_time(), time.monotonic()
    with LogBuffer(task) as logs:
        sink = logs.sink(LogLine.Source.ENGINE)
        writers = [threading.Thread(target=_write, args=(sink, number, each)) for number in range(threads)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        given_s = time.monotonic() - start
    written_s = time.monotonic() - start
    # Distinct texts: a line that was written twice must not make up for one that was lost.
    kept = task.log_lines.values("text").distinct().count()
    return Result(given_s, written_s, time.process_time() - cpu_s, kept)


def _write(sink: LogSink, thread: int, lines: int) -> None:
    for number in range(lines):
        sink("info", f"INFO: line {number} of thread {thread}: ".ljust(LINE_BYTES, "."))


def _row(lines: int, threads: int, result: Result) -> str:
    cells = [
        f"{lines}",
        f"{threads}",
        f"{result.given_s:.1f}",
        f"{result.written_s:.1f}",
        f"{lines / result.written_s:.0f}",
        f"{lines - result.kept}",
        f"{result.cpu_s / result.written_s:.0%}",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
