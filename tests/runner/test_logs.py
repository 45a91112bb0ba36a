"""Log lines on their way into the database: all of them, in order, clean; and when not, it is said."""

import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.db import OperationalError, connection

from tests.runner.factories import experiment, task
from tuning.models import LogLine
from tuning.runner.logs import MAX_LINE, LogBuffer

pytestmark = pytest.mark.django_db(transaction=True)

RUNNER = LogLine.Source.RUNNER
ENGINE = LogLine.Source.ENGINE


def _texts() -> list[str]:
    return list(LogLine.objects.order_by("id").values_list("text", flat=True))


def _written(*lines: str) -> list[str]:
    """What the database holds after these lines."""
    with LogBuffer(task()) as logs:
        write = logs.sink(RUNNER)
        for line in lines:
            write("info", line)
    return _texts()


def test_all_lines_of_four_threads_arrive_once_and_each_threads_in_order() -> None:
    """Pitfalls A12a, A19a: each line under the experiment that it is of."""
    one = task()
    rows = [experiment(one, number) for number in range(1, 5)]
    with LogBuffer(one) as logs:
        sinks = [logs.sink(ENGINE, row) for row in rows]
        threads = [threading.Thread(target=_many, args=(sink,)) for sink in sinks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for row in rows:
        lines = row.log_lines.order_by("id").values_list("text", flat=True)
        assert list(lines) == [f"line {number}" for number in range(500)]
    assert LogLine.objects.count() == 2000


def _many(write: Any) -> None:
    for number in range(500):
        write("info", f"line {number}")


def test_flush_returns_when_all_that_was_given_is_written() -> None:
    one = task()
    with LogBuffer(one) as logs:
        logs.sink(RUNNER)("warning", "said")
        logs.flush()
        line = LogLine.objects.get()
    assert (line.task, line.experiment, line.level, line.source, line.text) == (one, None, "warning", "runner", "said")


@pytest.mark.parametrize("failing", [1, 2])
def test_lines_that_a_full_disk_loses_are_counted_and_said_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failing: int
) -> None:
    """Disk full while logging: the experiment goes on, and the loss is not silent."""
    bulk_create = LogLine.objects.bulk_create
    calls = 0

    def fill_up(lines: list[LogLine]) -> Any:
        nonlocal calls
        calls += 1
        if calls <= failing:
            raise OperationalError("database or disk is full")
        return bulk_create(lines)

    with LogBuffer(task()) as logs:
        monkeypatch.setattr(LogLine.objects, "bulk_create", fill_up)
        write = logs.sink(RUNNER)
        for number in range(failing):
            write("info", f"lost {number}")
            logs.flush()
        write("info", "kept")
    count = failing
    assert _texts() == [f"{count} log lines could not be written and are lost", "kept"]
    assert "database or disk is full" in caplog.text


def test_secrets_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they turn up; and what merely looks like a key of a hub."""
    monkeypatch.setenv("HF_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("PLAIN_WORD", "nothing-to-hide")
    assert _written(
        "token=correct-horse-battery nothing-to-hide", "hf_ABCDEFGHIJKLMNOPQRSTUV", "sk-ABCDEFGHIJKLMNOPQRSTUV"
    ) == ["token=******** nothing-to-hide", "********", "********"]


def test_long_lines_are_cut_and_nul_is_removed() -> None:
    text, nul = _written("x" * 10_000, "a\0b")
    assert len(text) == MAX_LINE
    assert text.endswith(" ... [cut]")
    assert nul == "ab"


def test_a_line_that_is_no_text_does_not_stop_the_writer() -> None:
    """Names of files may hold bytes that are no characters; Python keeps them as lone surrogates."""
    lines = _written("before", "file \udcff.txt", "after")
    assert len(lines) == 3
    assert (lines[0], lines[2]) == ("before", "after")


def test_buffers_leave_no_descriptor_open() -> None:
    """Pitfall A12b: the connection of the writing thread is closed with it."""
    one = task()
    _one_line(one)
    before = (psutil.Process().num_fds(), threading.active_count())
    for _ in range(20):
        _one_line(one)
    assert (psutil.Process().num_fds(), threading.active_count()) == before
    assert LogLine.objects.count() == 21


def _one_line(one: Any) -> None:
    with LogBuffer(one) as logs:
        logs.sink(RUNNER)("info", "x")


def test_a_mirror_sees_each_line_at_once_and_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "correct-horse-battery")
    seen: list[LogLine] = []
    with LogBuffer(task(), seen.append) as logs:
        logs.sink(RUNNER)("error", "correct-horse-battery")
        assert [(line.level, line.text) for line in seen] == [("error", "********")]


def test_every_fresh_connection_has_the_same_settings() -> None:
    """Pitfall A19b: write-ahead log, one time-out, and transactions that take the lock at once."""
    found: list[tuple[Any, ...]] = []

    def look() -> None:
        with connection.cursor() as cursor:
            names = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
            found.append(tuple(cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in names))
        connection.close()

    for _ in range(2):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert found == [("wal", 1, 20_000, 1)] * 2
    assert settings.DATABASES["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert Path(settings.DATABASES["default"]["NAME"]).parent == settings.DATA_DIR
