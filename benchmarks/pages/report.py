"""The numbers as a section of docs/performance.md, and the targets that they miss."""

import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import django
import psutil

from benchmarks.pages.measure import Timing, Transfer
from benchmarks.pages.tabs import Load

TITLES = {
    "page": "page",
    "part": "part of a page, written anew",
    "poll": "part of a page, asked when nothing is new",
    "file": "download",
}
LIMITS_MS = {"page": 100.0, "part": 15.0, "poll": 15.0}
"""p95 of one address with the whole history; parts of a task that has ended are not polled."""
MAX_RATIO = 1.5
LOADED_MS = 50.0
FIRST_LOAD_KB = 250.0
IDLE_KB = 2.0


@dataclass(frozen=True)
class Line:
    """An address with the whole history, beside itself in a small and in an empty database where it exists there."""

    path: str
    kind: str
    whose: str
    queries: int
    full: Timing
    small: Timing | None
    empty: Timing | None


@dataclass(frozen=True)
class Numbers:
    """All that was measured."""

    rows: str
    lines: Sequence[Line]
    first: Mapping[str, Transfer]
    idle: Mapping[str, int]
    load: Load
    tabs: int
    lines_per_s: int


def heading() -> str:
    """What it was measured on."""
    return (
        f"{psutil.cpu_count()} CPUs, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, Django {django.__version__}, SQLite "
        f"{sqlite3.sqlite_version}; load average before: {psutil.getloadavg()[0]:.1f}."
    )


def tables(numbers: Numbers) -> Iterator[str]:
    """The lines of the section."""
    yield f"\nHistory: {numbers.rows}. One request at a time over one connection, gzip included.\n"
    for kind, title in TITLES.items():
        yield from _table(title, [line for line in numbers.lines if line.kind == kind])
    yield "| first load of a running task's page, with all its files | requests | kB |\n|---|--:|--:|"
    for path, first in numbers.first.items():
        yield f"| `{path}` | {first.requests} | {first.wire_bytes / 1000:.0f} |"
    yield "\n| idle poll of it | bytes |\n|---|--:|"
    yield from (f"| `{path}` | {size:,} |" for path, size in numbers.idle.items())
    yield from _load_table(numbers)


def _table(title: str, lines: Sequence[Line]) -> Iterator[str]:
    yield f"| {title} | p50 ms | p95 ms | queries | kB | kB gzip | x small | x empty |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for line in lines:
        name = f"`{line.path}`" + (f" ({line.whose})" if line.whose else "")
        sizes = f"{line.full.body_bytes / 1000:.1f} | {line.full.wire_bytes / 1000:.1f}"
        ratios = f"{_times(line.full, line.small)} | {_times(line.full, line.empty)}"
        yield f"| {name} | {line.full.p50_ms:.1f} | {line.full.p95_ms:.1f} | {line.queries} | {sizes} | {ratios} |"
    yield ""


def _times(full: Timing, other: Timing | None) -> str:
    return f"{full.p50_ms / other.p50_ms:.2f}" if other else ""


def _load_table(numbers: Numbers) -> Iterator[str]:
    load = numbers.load
    yield f"\n{numbers.tabs} tabs open for {load.seconds:.0f} s while {numbers.lines_per_s:,} lines/s are written:\n"
    yield "| request | count | p50 ms | p95 ms |\n|---|--:|--:|--:|"
    for kind, times_ms in sorted(load.times_ms.items()):
        yield f"| {kind} | {len(times_ms):,} | {sorted(times_ms)[len(times_ms) // 2]:.1f} | {load.p95_ms(kind):.1f} |"
    yield (
        f"\nTwo tabs read every line, the others stay at the end of the log. "
        f"{load.lines:,} lines written, {load.lost} lost and {load.doubled} doubled over all tabs, "
        f"{load.failed} requests failed, {load.unchanged:,} of {load.requests:,} answered with 204, "
        f'"database is locked" {load.locked} times.'
    )


def missed(numbers: Numbers) -> Iterator[str]:
    """The targets that are not met, in words."""
    for line in numbers.lines:
        limit_ms = None if (line.kind, line.whose) == ("part", "large") else LIMITS_MS.get(line.kind)
        if limit_ms is not None and line.full.p95_ms > limit_ms:
            yield f"{line.path} ({line.whose}) p95 {line.full.p95_ms:.0f} ms > {limit_ms:.0f} ms"
        if line.kind == "page" and line.small and line.full.p50_ms > MAX_RATIO * line.small.p50_ms:
            yield f"{line.path} ({line.whose}) {line.full.p50_ms / line.small.p50_ms:.2f}x of a small database"
    for kind in numbers.load.times_ms:
        if kind != "page" and numbers.load.p95_ms(kind) > LOADED_MS:
            yield f"{kind} under load p95 {numbers.load.p95_ms(kind):.0f} ms > {LOADED_MS:.0f} ms"
    for count, what in ((numbers.load.lost, "lost lines"), (numbers.load.doubled, "doubled lines"),
                        (numbers.load.failed, "failed requests"), (numbers.load.locked, "times locked")):  # fmt: skip
        if count:
            yield f"{count} {what}"
    for path, first in numbers.first.items():
        if first.wire_bytes > 1000 * FIRST_LOAD_KB:
            yield f"first load of {path} {first.wire_bytes / 1000:.0f} kB > {FIRST_LOAD_KB:.0f} kB"
    yield from (f"idle poll {path}: {size} bytes" for path, size in numbers.idle.items() if size > 1000 * IDLE_KB)
