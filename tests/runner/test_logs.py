"""Log lines on their way into the database: all of them, in order, clean, and each in the log that it belongs to."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection
from django.db.backends.utils import CursorWrapper

from autotuner_site import services
from tests.runner.factories import experiment, task
from tuning.deployers.output import Output
from tuning.errors import ExperimentError, Reason
from tuning.hooks import LogSink
from tuning.models import LogLine, Task
from tuning.runner.logs import MAX_LINE, LogBuffer, note
from tuning.runner.secrets import Masker

pytestmark = pytest.mark.django_db(transaction=True)

RUNNER = LogLine.Source.RUNNER
ENGINE = LogLine.Source.ENGINE
BENCHMARK = LogLine.Source.BENCHMARK
TOKEN = "hf_PlantedTokenOfThisTest"


def _texts(**of: Any) -> list[str]:
    return list(LogLine.objects.filter(**of).order_by("id").values_list("text", flat=True))


def _written(*lines: str) -> list[str]:
    """What the database holds after these lines."""
    with LogBuffer(task()) as logs:
        write = logs.sink(RUNNER)
        for line in lines:
            write("info", line)
    return _texts()


def _in_threads(*sinks: LogSink, lines: int) -> None:
    """Give numbered lines to each sink from a thread of its own."""
    threads = [threading.Thread(target=_many, args=(sink, lines)) for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _many(write: LogSink, lines: int) -> None:
    for number in range(lines):
        write("info", f"line {number}")


def test_all_lines_of_four_threads_arrive_once_and_each_threads_in_order() -> None:
    """Pitfalls A12a, A19a: each line under the experiment that it is of."""
    one = task()
    rows = [experiment(one, number) for number in range(1, 5)]
    with LogBuffer(one) as logs:
        _in_threads(*(logs.sink(ENGINE, row) for row in rows), lines=500)
    for row in rows:
        assert _texts(experiment=row) == [f"line {number}" for number in range(500)]
    assert LogLine.objects.count() == 2000


def test_two_tasks_that_log_at_the_same_time_do_not_mix(capsys: pytest.CaptureFixture[str]) -> None:
    """Pitfall A12a: nothing of the process is redirected, so what is printed meanwhile is in no log."""
    tasks = [task(name="one"), task(name="two")]
    stdout, stderr = sys.stdout, sys.stderr
    with LogBuffer(tasks[0]) as first, LogBuffer(tasks[1]) as second:
        sinks = [logs.sink(ENGINE, experiment(one)) for logs, one in zip((first, second), tasks, strict=True)]
        print("of nobody")  # noqa: T201
        assert (sys.stdout, sys.stderr) == (stdout, stderr)
        sinks[0]("info", "marker of the first")
        sinks[1]("info", "marker of the second")
        _in_threads(*sinks, lines=300)
    numbered = [f"line {number}" for number in range(300)]
    assert _texts(task=tasks[0]) == ["marker of the first", *numbered]
    assert _texts(task=tasks[1]) == ["marker of the second", *numbered]
    assert capsys.readouterr().out == "of nobody\n"


def test_flush_returns_when_all_that_was_given_is_written() -> None:
    one = task()
    with LogBuffer(one) as logs:
        logs.sink(RUNNER)("warning", "said")
        logs.flush()
        line = LogLine.objects.get()
    assert (line.task, line.experiment, line.level, line.source, line.text) == (one, None, "warning", "runner", "said")


def test_any_thread_may_flush() -> None:
    with LogBuffer(task()) as logs:
        _in_threads(*(_flushing(logs) for _ in range(4)), lines=50)
        assert LogLine.objects.count() == 200


def _flushing(logs: LogBuffer) -> LogSink:
    """A sink after each line of which everything is in the database."""
    write = logs.sink(RUNNER)

    def write_at_once(level: str, text: str) -> None:
        write(level, text)
        logs.flush()
        connection.close()

    return write_at_once


def test_secrets_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they turn up; and what merely looks like a key of a hub."""
    monkeypatch.setenv("HF_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("PLAIN_WORD", "nothing-to-hide")
    assert _written(
        "token=correct-horse-battery nothing-to-hide", "hf_ABCDEFGHIJKLMNOPQRSTUV", "sk-ABCDEFGHIJKLMNOPQRSTUV"
    ) == ["token=******** nothing-to-hide", "********", "********"]


def test_a_token_is_masked_in_what_engine_benchmark_and_exceptions_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall D6: planted in all three, found in none."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    one = task()
    row = experiment(one, claim="mine")
    with LogBuffer(one) as logs:
        _print_token(logs.sink(ENGINE, row))
        logs.sink(BENCHMARK, row)("info", f"\x1b[1mHTTP 401 for Bearer {TOKEN}\x1b[0m\r\n")
        logs.sink(RUNNER, row)("error", str(ExperimentError(Reason.BENCHMARK_FAILED, f"hub refused {TOKEN}")))
    note(one, "error", f"reconcile: {TOKEN}")
    assert _texts() == [
        "loading with ********",
        "HTTP 401 for Bearer ********",
        "hub refused ********",
        "reconcile: ********",
    ]


def _print_token(sink: LogSink) -> None:
    """Start a real process that prints the token it inherits."""
    code = "import os; print('loading with \\x1b[32m' + os.environ['HF_TOKEN'] + '\\x1b[0m')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as engine:
        assert engine.stdout
        Output(engine.stdout, sink).close(timeout_s=30)


def test_a_secret_of_several_lines_is_masked_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_KEY", "-----BEGIN-----\nabcdefgh\n-----END-----")
    assert _written("key:\n-----BEGIN-----\nabcdefgh\n-----END-----\ngiven") == ["key:", "********", "given"]


def test_long_lines_are_cut_and_nul_is_removed() -> None:
    text, nul = _written("x" * 10_000, "a\0b")
    assert len(text) == MAX_LINE
    assert text.endswith(" ... [cut]")
    assert nul == "ab"


def test_colours_and_progress_bars_are_cleaned_whoever_prints_them() -> None:
    """Of a progress bar its last state is kept; a text of several lines becomes as many rows; blank ones none."""
    assert _written(
        "\x1b[33mwarming up\x1b[0m", "10%\r 50%\r100% done\r", "first\r\nsecond\n\n", " ", "tab\tstays", "größer"
    ) == ["warming up", "100% done", "first", "second", "tab\tstays", "größer"]


def test_a_line_that_is_no_text_does_not_stop_the_writer() -> None:
    """Names of files may hold bytes that are no characters; Python keeps them as lone surrogates."""
    assert _written("before", "file \udcff.txt", "after") == ["before", r"file \udcff.txt", "after"]


def test_fifty_buffers_leave_no_descriptor_and_no_thread() -> None:
    """Pitfall A12b: the connection of the writing thread is closed with it."""
    one = task()
    _one_line(one)
    before = (psutil.Process().num_fds(), threading.active_count())
    for _ in range(50):
        _one_line(one)
    assert (psutil.Process().num_fds(), threading.active_count()) == before
    assert LogLine.objects.count() == 51


def _one_line(one: Task) -> None:
    with LogBuffer(one) as logs:
        logs.sink(RUNNER)("info", "x")


def test_a_mirror_sees_each_line_at_once_and_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "correct-horse-battery")
    seen: list[LogLine] = []
    one = task()
    row = experiment(one)
    with LogBuffer(one, seen.append) as logs:
        logs.sink(RUNNER, row)("error", "correct-horse-battery")
        assert [(line.level, line.text, line.experiment) for line in seen] == [("error", "********", row)]


def test_a_note_is_in_the_database_at_once_and_clean() -> None:
    one = task()
    note(one, "warning", "\x1b[31m2 orphans\x1b[0m\nremoved")
    rows = LogLine.objects.order_by("id").values_list("task", "experiment", "level", "source", "text")
    assert list(rows) == [(one.pk, None, "warning", RUNNER, text) for text in ("2 orphans", "removed")]


SETTINGS = {
    "sqlite": ("PRAGMA {}", {"journal_mode": "wal", "synchronous": 1, "busy_timeout": 20_000, "foreign_keys": 1}),
    "postgresql": ("SHOW {}", {"lock_timeout": "20s", "default_transaction_isolation": "read committed"}),
}


def test_every_fresh_connection_has_the_same_settings() -> None:
    """Pitfall A19b: write-ahead log, one time-out, and on SQLite transactions that take the lock at once."""
    query, expected = SETTINGS[connection.vendor]
    found: list[dict[str, Any]] = []

    def look() -> None:
        with connection.cursor() as cursor:
            found.append({name: _value(cursor, query.format(name)) for name in expected})
        connection.close()

    for _ in range(2):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert found == [expected] * 2


def test_the_default_database_is_a_file_whose_transactions_take_the_lock_at_once(tmp_path: Path) -> None:
    """Pitfall A19b: a transaction that reads first and then writes would fail at once otherwise."""
    default = services.sqlite(tmp_path)
    assert default["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert default["NAME"].parent == tmp_path


def _value(cursor: CursorWrapper, query: str) -> Any:
    cursor.execute(query)
    row = cursor.fetchone()
    return row[0] if row else None


def test_the_password_in_a_url_is_masked() -> None:
    """Pitfall D6: a database that cannot be reached is named with its address."""
    masked = Masker({})("cannot reach postgres://bob:opensesame@db.example/tuner; http://127.0.0.1:80/ is fine")
    assert masked == "cannot reach postgres://********@db.example/tuner; http://127.0.0.1:80/ is fine"
