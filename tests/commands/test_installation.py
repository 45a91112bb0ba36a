"""Backup, deletion of everything, and a schema that does not fit."""

import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from tests.commands.conftest import Installation
from tests.commands.pressing import done, end, refused, slow, submitted, wait_for

database = pytest.mark.django_db(transaction=True)

NEWER = "The database was made by a newer version (it has 9999_later); update this program."
OLDER = "The database is not up to date; run `manage.py migrate` first."
COMMANDS: list[tuple[str, ...]] = [
    ("run_worker",),
    ("run_task", "examples/quickstart.yaml"),
    ("submit_task", "examples/quickstart.yaml"),
    ("task", "start", "1"),
    ("reconcile",),
    ("list_tasks",),
    ("list_slots",),
    ("reset_task", "1"),
    ("reset_tasks", "--all"),
    ("delete_all_data", "--yes", "x"),
    ("export_task", "1"),
]
RECORD = "from django.db.migrations.recorder import MigrationRecorder as M; from django.db import connection as c; "
WRITER = """
import itertools, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
db.execute("create table pairs (number integer, half integer)")
for number in itertools.count():
    db.execute("begin immediate")
    for half in (0, 1):
        db.execute("insert into pairs values (?, ?)", (number, half))
    db.execute("commit")
    if number == 50:
        print("writing", flush=True)
"""


@pytest.fixture
def on_sqlite(empty: Installation) -> Installation:
    """An installation on a SQLite file, whatever the other tests use."""
    empty.database.environment["DATABASE_URL"] = ""
    done(empty, "migrate", "--verbosity", "0")
    return empty


def _rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


@pytest.fixture
def writing(on_sqlite: Installation) -> Iterator[subprocess.Popen[str]]:
    """A process that writes pairs of rows, each in one transaction, as fast as it can."""
    arguments = [sys.executable, "-c", WRITER, str(on_sqlite.folder / "autotuner.sqlite3")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def test_a_backup_that_is_taken_while_others_write_is_consistent(
    on_sqlite: Installation, writing: subprocess.Popen[str], tmp_path: Path
) -> None:
    """It is the database at one moment, one private file, and the writer is not disturbed."""
    copy = tmp_path / "copy.sqlite3"
    assert f"{copy}: a consistent copy of the database" in done(on_sqlite, "backup_db", copy)
    assert writing.poll() is None
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("copy.sqlite3*")) == ["copy.sqlite3"]
    assert _rows(copy, "pragma integrity_check") == [("ok",)]
    ((pairs, rows),) = _rows(copy, "select count(distinct number), count(*) from pairs")
    assert pairs > 50
    assert rows == 2 * pairs
    assert _rows(copy, "select count(*) from tuning_task") == [(0,)]


def test_a_backup_overwrites_nothing_and_needs_a_folder(on_sqlite: Installation, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("something else")
    assert (
        refused(on_sqlite, "backup_db", there) == f"{there} cannot be made: File exists; give the name of a new file."
    )
    assert there.read_text() == "something else"
    nowhere = tmp_path / "nowhere" / "copy"
    assert "No such file or directory" in refused(on_sqlite, "backup_db", nowhere)


def test_a_damaged_database_is_said_so_and_no_copy_is_kept(on_sqlite: Installation, tmp_path: Path) -> None:
    """SQLite's own check of the copy finds an index that does not fit its table."""
    with closing(sqlite3.connect(on_sqlite.folder / "autotuner.sqlite3", isolation_level=None)) as db:
        db.execute("create table pairs (number integer, half integer)")
        db.execute("create index damaged on pairs (number)")
        db.execute("insert into pairs values (1, 2)")
        db.execute("pragma writable_schema = on")
        db.execute("update sqlite_schema set sql = 'create index damaged on pairs (half)' where name = 'damaged'")
    said = refused(on_sqlite, "backup_db", tmp_path / "copy")
    assert said == "The copy is damaged, and so may be the database: row 1 missing from index damaged."
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("forced", [("task", "cancel", "a task"), ("delete_all_data", "--force", "--yes")])
def test_a_run_in_the_foreground_ends_when_its_task_does(installed: Installation, forced: tuple[str, ...]) -> None:
    """Pitfall A6a: cancelled as by Ctrl-C, or deleted by force: its engine is gone, and nothing is written."""
    process = installed.start("run_task", installed.document(slow()))
    installed.wait_for("select 1 from tuning_experiment where number = 2 and status = 'benchmarking'")
    name = (installed.folder / "instance").read_text()
    if forced[0] == "delete_all_data":
        forced = (*forced, name)
        said = refused(installed, "delete_all_data", "--yes", name)
        assert "experiment 2 of task a task is benchmarking" in said
    done(installed, *forced)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert installed.processes() == []
    if forced[0] == "task":
        assert process.returncode == 130
    else:
        assert process.returncode == 1
        assert "CommandError: Task a task was deleted while it ran." in err
        _check_empty(installed)


@database
@pytest.mark.services
def test_postgresql_has_a_command_of_its_own_for_backups(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="use pg_dump"):
        call_command("backup_db", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_all_data_is_taken_from_a_worker_only_by_force_and_it_writes_nothing_more(installed: Installation) -> None:
    """Pitfalls A7, A16c: a worker that is asleep meanwhile comes back to nothing; `reconcile` removes its engine."""
    worker = submitted(installed, slow())
    name = (installed.folder / "instance").read_text()
    key = (installed.folder / "secret_key").read_text()
    worker.send_signal(signal.SIGSTOP)
    sentence = (
        "The data cannot be deleted: experiment 2 of task a task is benchmarking. Cancel it first, or use --force."
    )
    assert refused(installed, "delete_all_data", "--yes", name) == sentence
    assert "Deleted: 1 task with 2 experiments" in done(installed, "delete_all_data", "--yes", name, "--force")
    assert " is removed: " in done(installed, "reconcile")
    assert installed.engines() == []
    worker.send_signal(signal.SIGCONT)
    _wait_until_said(worker, "was taken over by another attempt")
    _check_empty(installed)
    assert installed.processes() == []
    assert (installed.folder / "secret_key").read_text() == key

    assert "The worker takes it up now" in done(installed, "submit_task", installed.folder / "task.yaml")
    wait_for(installed, "select 1 from tuning_experiment where number = 1 and status = 'success'")
    done(installed, "task", "cancel", "a task")
    end(worker)


def _check_empty(installed: Installation) -> None:
    for table in ("task", "experiment", "measurementrow", "logline"):
        assert installed.query(f"select * from tuning_{table}") == []  # noqa: S608 - names of this list


def _wait_until_said(worker: subprocess.Popen[str], words: str) -> None:
    """Read what a worker says on stderr until it says this, or ends."""
    assert worker.stderr is not None
    assert any(words in line for line in worker.stderr)


@pytest.fixture
def recorder() -> Iterator[MigrationRecorder]:
    """The table of migrations, which is as it was afterwards."""
    recorder = MigrationRecorder(connection)
    before = set(recorder.applied_migrations())
    yield recorder
    now = set(recorder.applied_migrations())
    for app, name in before - now:
        recorder.record_applied(app, name)
    for app, name in now - before:
        recorder.record_unapplied(app, name)


@database
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_no_command_works_on_a_newer_schema(words: tuple[str, ...], recorder: MigrationRecorder) -> None:
    recorder.record_applied("tuning", "9999_later")
    with pytest.raises(CommandError) as refusal:
        call_command(*words)
    assert str(refusal.value) == NEWER


@database
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_no_command_works_on_an_older_schema(words: tuple[str, ...], recorder: MigrationRecorder) -> None:
    recorder.record_unapplied("tuning", max(name for app, name in recorder.applied_migrations() if app == "tuning"))
    with pytest.raises(CommandError) as refusal:
        call_command(*words)
    assert str(refusal.value) == OLDER


def test_a_schema_that_does_not_fit_is_a_sentence_and_exit_code_one(installed: Installation) -> None:
    done(installed, "shell", "-v", "0", "-c", f"{RECORD} M(c).record_applied('tuning', '9999_later')")
    assert refused(installed, "run_worker") == NEWER
    assert refused(installed, "list_tasks") == NEWER


def test_an_older_database_can_still_be_backed_up(on_sqlite: Installation, tmp_path: Path) -> None:
    """Before it is migrated is when a copy is needed."""
    done(on_sqlite, "migrate", "tuning", "0001", "--verbosity", "0")
    assert refused(on_sqlite, "list_tasks") == OLDER
    done(on_sqlite, "backup_db", tmp_path / "copy")
    assert _rows(tmp_path / "copy", "select count(*) from tuning_task") == [(0,)]


def test_a_database_without_tables_is_said_so(empty: Installation) -> None:
    assert refused(empty, "list_tasks") == OLDER


@pytest.mark.parametrize("words", [("run_worker",), ("list_tasks",)])
def test_a_data_folder_that_cannot_be_written_is_said_so(words: tuple[str, ...]) -> None:
    nowhere = Installation(Path("/proc"))
    try:
        code, out, err = nowhere.manage(*words)
    finally:
        nowhere.close()
    assert (code, out) == (2, "")
    assert err.startswith("AUTOTUNER_DATA_DIR /proc is not writable: ")
    assert "Traceback" not in err
