"""How much of the logs is kept: head and tail of each experiment, and nothing of tasks that ended long ago."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from tests.runner.factories import experiment, task
from tuning.models import Experiment, LogLine, Task
from tuning.runner import retention
from tuning.runner.logs import LogBuffer
from tuning.runner.retention import mark, prune, shorten

pytestmark = pytest.mark.django_db(transaction=True)

ENGINE = LogLine.Source.ENGINE
HEAD, TAIL, SLACK, CHUNK = 20, 30, 10, 7


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cap that a test reaches with few lines."""
    for name, value in (("HEAD_LINES", HEAD), ("TAIL_LINES", TAIL), ("SLACK_LINES", SLACK), ("CHUNK_LINES", CHUNK)):
        monkeypatch.setattr(retention, name, value)


def _texts(row: Experiment) -> list[str]:
    return list(row.log_lines.order_by("id").values_list("text", flat=True))


def _numbered(start: int, end: int) -> list[str]:
    return [f"line {number}" for number in range(start, end)]


def _write(row: Experiment, start: int, end: int, *, flush_each: int = 1_000_000) -> None:
    """Give the lines from `start` to before `end` to a buffer of their own, as an attempt in a new process does."""
    with LogBuffer(row.task) as logs:
        write = logs.sink(ENGINE, row)
        for number in range(start, end):
            write("info", f"line {number}")
            if number % flush_each == 0:
                logs.flush()


def test_of_a_long_log_head_and_tail_are_kept_and_the_middle_is_counted() -> None:
    one = task()
    row, other = experiment(one, 1), experiment(one, 2)
    _write(other, 0, 10)
    _write(row, 0, 12_345)
    assert _texts(row) == [*_numbered(0, 5_000), "... 2345 lines left out ...", *_numbered(7_345, 12_345)]
    assert _texts(other) == _numbered(0, 10)
    row_of_mark = LogLine.objects.get(text=mark(2_345))
    assert (row_of_mark.source, row_of_mark.level) == (LogLine.Source.RUNNER, "info")


@pytest.mark.parametrize("lines", [HEAD, HEAD + TAIL, HEAD + TAIL + 1])
@pytest.mark.usefixtures("small")
def test_a_log_within_the_cap_is_kept_whole(lines: int) -> None:
    row = experiment(task())
    _write(row, 0, lines)
    assert _texts(row) == _numbered(0, lines)


@pytest.mark.usefixtures("small")
def test_the_first_line_too_many_leaves_out_two_because_the_mark_takes_the_place_of_one() -> None:
    row = experiment(task())
    _write(row, 0, HEAD + TAIL + 2)
    assert _texts(row) == [*_numbered(0, HEAD), mark(2), *_numbered(HEAD + 2, HEAD + TAIL + 2)]


@pytest.mark.usefixtures("small")
def test_the_cap_holds_over_all_attempts() -> None:
    """An attempt in a new process goes on from what is in the database."""
    row = experiment(task())
    for attempt in range(10):
        Experiment.objects.filter(pk=row.pk).update(claim=f"attempt {attempt}")
        row.refresh_from_db()
        _write(row, attempt * 15, (attempt + 1) * 15)
    assert _texts(row) == [*_numbered(0, HEAD), mark(100), *_numbered(120, 150)]


@pytest.mark.usefixtures("small")
def test_an_engine_that_prints_a_mark_is_not_taken_for_one() -> None:
    row = experiment(task())
    with LogBuffer(row.task) as logs:
        for number in range(100):
            logs.sink(ENGINE, row)("info", mark(1_000_000) if number == HEAD else f"line {number}")
    assert _texts(row)[HEAD] == mark(100 - HEAD - TAIL)


@pytest.mark.usefixtures("small")
def test_while_it_is_shortened_in_chunks_the_log_is_right_at_every_moment() -> None:
    """Pitfall E2b: whoever reads meanwhile sees the whole tail, ids in order, and a true count."""
    row = experiment(task())
    LogLine.objects.bulk_create(
        LogLine(task=row.task, experiment=row, at=timezone.now(), level="info", source=ENGINE, text=text)
        for text in _numbered(0, 200)
    )
    with _between_transactions(lambda: _check(row, last=199)) as deletions:
        assert shorten(row.pk) == 149
    assert len(deletions) > 149 // CHUNK
    assert _texts(row) == [*_numbered(0, HEAD), mark(150), *_numbered(170, 200)]
    assert shorten(row.pk) == 0


@contextlib.contextmanager
def _between_transactions(look: Callable[[], None]) -> Iterator[list[str]]:
    """Call `look` before each transaction, when others may read; gives the deletions so far."""
    deletions: list[str] = []

    def execute(run: Callable[..., object], sql: str, *rest: object) -> object:
        if _begins(sql):
            look()
        if sql.startswith("DELETE"):
            deletions.append(sql)
        return run(sql, *rest)

    with connection.execute_wrapper(execute):
        yield deletions


def _begins(sql: str) -> bool:
    """Whether this is the first statement of a transaction: the driver of PostgreSQL keeps the one before to itself."""
    return sql.startswith("BEGIN") or sql.endswith("FOR NO KEY UPDATE")


def _check(row: Experiment, last: int | None = None) -> int:
    """The log is the head, maybe a mark, and all lines that it does not count; the number of the last line."""
    texts = _texts(row)
    found = [int(match[1]) for text in texts if (match := re.fullmatch(r"\.\.\. (\d+) lines left out \.\.\.", text))]
    left_out = found[0] if found else 0
    end = len(texts) - len(found) + left_out
    expected = _numbered(0, end)
    if found:
        expected[HEAD : HEAD + left_out] = [mark(left_out)]
        assert len(texts) >= HEAD + 1 + TAIL
    assert texts == expected
    assert last is None or end == last + 1
    return end - 1


WRITER = f"""
import sys
import django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[1]
from tuning.models import Experiment, LogLine
from tuning.runner import retention
from tuning.runner.logs import LogBuffer
retention.HEAD_LINES, retention.TAIL_LINES, retention.SLACK_LINES, retention.CHUNK_LINES = {HEAD, TAIL, SLACK, CHUNK}
row = Experiment.objects.get(pk=sys.argv[2])
with LogBuffer(row.task) as logs:
    write, number = logs.sink(LogLine.Source.ENGINE, row), 0
    while True:
        write("info", f"line {{number}}")
        number += 1
        if number % 50 == 0:
            logs.flush()
"""


@pytest.mark.usefixtures("small")
def test_a_writer_that_is_killed_leaves_a_log_that_the_next_one_goes_on_with(tmp_path: Path) -> None:
    """Crash-safe: read at any moment, and after SIGKILL, the log misses only what it says that it misses."""
    row = experiment(task())
    name = str(connection.settings_dict["NAME"])
    own = {"DJANGO_SETTINGS_MODULE": "autotuner_site.settings", "AUTOTUNER_DATA_DIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, name, str(row.pk)], env={**os.environ, **own}, cwd=settings.BASE_DIR
    ) as writer:
        try:
            while _check(row) < 1_000:
                assert writer.poll() is None
        finally:
            writer.kill()
    last = _check(row)
    _write(row, last + 1, last + 101)
    assert _check(row, last=last + 100)
    assert row.log_lines.count() == HEAD + 1 + TAIL


@pytest.mark.usefixtures("small")
def test_whoever_follows_a_log_meets_growing_ids_and_its_last_line() -> None:
    """Pitfalls E2a, E2b: nothing is inserted behind a reader's cursor, and the end is never cut off."""
    row = experiment(task())
    seen: list[int] = []
    with LogBuffer(row.task) as logs:
        write = logs.sink(ENGINE, row)
        for number in range(500):
            write("info", f"line {number}")
            if number % 25 == 24:
                logs.flush()
                new = row.log_lines.filter(id__gt=seen[-1] if seen else 0).order_by("id")
                assert list(new.values_list("text", flat=True)) == _numbered(number - 24, number + 1)
                seen.extend(new.values_list("id", flat=True))
    assert seen == sorted(set(seen))


def _ended(name: str, status: Task.Status, days: float) -> Task:
    """A task with 20 lines that is in `status` since `days`."""
    one = task(name=name)
    _write(experiment(one), 0, 20)
    Task.objects.filter(pk=one.pk).update(status=status, finished_at=timezone.now() - timedelta(days=days))
    return one


@pytest.mark.parametrize("status", [Task.Status.COMPLETED, Task.Status.FAILED, Task.Status.CANCELLED])
@pytest.mark.usefixtures("small")
def test_lines_of_a_task_that_ended_long_ago_are_deleted(status: Task.Status) -> None:
    """The rows of its experiments stay: they are the result."""
    old = _ended("old", status, days=91)
    young = _ended("young", status, days=89)
    assert prune(90) == 20
    assert (old.log_lines.count(), old.experiments.count(), young.log_lines.count()) == (0, 1, 20)
    assert prune(90) == 0


@pytest.mark.parametrize("status", [Task.Status.PENDING, Task.Status.RUNNING])
def test_lines_of_a_task_that_may_go_on_are_kept(status: Task.Status) -> None:
    """Also when it had ended once, long ago, and was taken up again."""
    one = _ended("resumed", status, days=1_000)
    assert prune(90) == 0
    assert one.log_lines.count() == 20


def test_without_a_limit_everything_is_kept() -> None:
    one = _ended("old", Task.Status.COMPLETED, days=10_000)
    assert prune(0) == 0
    assert one.log_lines.count() == 20


def test_days_may_be_fractions() -> None:
    _ended("an hour ago", Task.Status.FAILED, days=1 / 24)
    assert prune(0.5) == 0
    assert prune(1 / 48) == 20


@pytest.mark.usefixtures("small")
def test_a_task_that_is_taken_up_again_keeps_what_was_not_deleted_yet() -> None:
    """Each transaction asks again whether the task has ended."""
    one = _ended("old", Task.Status.COMPLETED, days=100)
    chunks = 0

    def resume(run: Callable[..., object], sql: str, *rest: object) -> object:
        nonlocal chunks
        if _begins(sql):
            chunks += 1
            if chunks == 3:
                Task.objects.filter(pk=one.pk).update(status=Task.Status.RUNNING)
        return run(sql, *rest)

    with connection.execute_wrapper(resume):
        assert prune(90) == 2 * CHUNK
    assert one.log_lines.count() == 20 - 2 * CHUNK
