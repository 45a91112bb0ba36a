"""Log lines while the database refuses: nothing waits for them, few are lost, and no loss is silent."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.runner.factories import experiment, task
from tuning.models import LogLine
from tuning.runner import logs as module
from tuning.runner.logs import LogBuffer, note

pytestmark = pytest.mark.django_db(transaction=True)

RUNNER = LogLine.Source.RUNNER


def _texts() -> list[str]:
    return list(LogLine.objects.order_by("id").values_list("text", flat=True))


LOCKING = {
    "sqlite": ["BEGIN IMMEDIATE"],
    "postgresql": ["BEGIN", "LOCK TABLE tuning_logline IN EXCLUSIVE MODE"],
}
IMPATIENT = {"sqlite": ("timeout", 0), "postgresql": ("options", "-c lock_timeout=1ms")}
REFUSAL = {"sqlite": "database is locked", "postgresql": "lock timeout"}

FILLING = {
    "sqlite": ["PRAGMA max_page_count=1"],
    "postgresql": [
        """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'database or disk is full' USING ERRCODE = 'disk_full'; END $$""",
        "CREATE TRIGGER full_disk BEFORE INSERT ON tuning_logline EXECUTE FUNCTION full_disk()",
    ],
}
EMPTYING = {"sqlite": ["PRAGMA max_page_count=1000000"], "postgresql": ["DROP FUNCTION full_disk CASCADE"]}


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Another connection holds the lock that writers need, and those of Django do not wait for it."""
    connection.close()
    with pytest.MonkeyPatch.context() as patch, contextlib.closing(connection.copy()) as other:
        _execute(other, LOCKING)
        patch.setitem(connection.settings_dict["OPTIONS"], *IMPATIENT[connection.vendor])
        yield
        _execute(other, {connection.vendor: ["ROLLBACK"]})
    connection.close()


@contextlib.contextmanager
def _full_disk() -> Iterator[None]:
    """The database has no room for another row: SQLite by a limit of its own, PostgreSQL by the error it would give."""
    _execute(connection, FILLING)
    yield
    _execute(connection, EMPTYING)


def _execute(through: BaseDatabaseWrapper, statements: dict[str, list[str]]) -> None:
    with through.cursor() as cursor:
        for statement in statements[through.vendor]:
            cursor.execute(statement)


def test_lines_wait_while_the_database_is_locked(caplog: pytest.LogCaptureFixture) -> None:
    logs = LogBuffer(task())
    write = logs.sink(RUNNER)
    with _locked():
        for number in range(3):
            write("info", f"line {number}")
            logs.flush()
    write("info", "line 3")
    logs.flush()
    assert _texts() == ["line 0", "line 1", "line 2", "line 3"]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("log lines of a task have to wait: ")
    assert REFUSAL[connection.vendor] in said[0]


def test_of_too_many_waiting_lines_the_oldest_are_lost_which_is_counted_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The memory that a refusing database costs is bounded."""
    monkeypatch.setattr(module, "MAX_WAITING_CHARS", 10 * (module.LINE_CHARS + len("line 00")))
    logs = LogBuffer(task())
    write = logs.sink(RUNNER)
    with _locked():
        for number in range(25):
            write("info", f"line {number:02}")
            logs.flush()
    logs.flush()
    assert _texts() == [
        "15 log lines could not be written and are lost",
        *(f"line {number:02}" for number in range(15, 25)),
    ]
    write("info", "and on")
    logs.flush()
    assert _texts()[-1] == "and on"
    assert len(_texts()) == 12


def test_a_full_disk_stops_nobody_and_what_did_not_fit_is_written_later(caplog: pytest.LogCaptureFixture) -> None:
    one = task()
    logs = LogBuffer(one)
    write = logs.sink(RUNNER)
    with _full_disk():
        for number in range(500):
            write("info", f"line {number} ".ljust(4000, "."))
        logs.flush()
        assert LogLine.objects.count() < 500
    logs.flush()
    assert [text.split()[1] for text in _texts()] == [str(number) for number in range(500)]
    assert "database or disk is full" in caplog.text


def test_lines_that_are_still_refused_at_the_end_are_counted_on_the_console(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = task()
    row = experiment(one)
    with _locked(), LogBuffer(one) as logs:
        for _ in range(7):
            logs.sink(RUNNER, row)("info", "never written")
    assert _texts() == []
    assert caplog.records[-1].getMessage() == "7 log lines of a task could not be written and are lost"


def test_a_note_that_the_database_refuses_is_said_on_the_console(caplog: pytest.LogCaptureFixture) -> None:
    one = task()
    with _locked():
        note(one, "error", "2 orphans removed")
    assert _texts() == []
    assert "2 orphans removed" in caplog.text


def test_a_flood_is_written_in_short_transactions() -> None:
    """Somebody else's write comes through while twenty thousand lines are on their way."""
    one = task()
    logs = LogBuffer(one)
    write = logs.sink(RUNNER)
    for number in range(20_000):
        write("info", f"line {number}")
    seen: list[int] = []
    flusher = threading.Thread(target=_flush, args=(logs,))
    flusher.start()
    while flusher.is_alive():
        seen.append(LogLine.objects.count())
    flusher.join()
    assert len(set(seen) - {0, 20_000}) >= 3
    assert LogLine.objects.count() == 20_000


def _flush(logs: LogBuffer) -> None:
    logs.flush()
    connection.close()
