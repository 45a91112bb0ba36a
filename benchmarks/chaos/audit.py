"""Triggers in the database of the run: every change is written down, whichever process makes it.

The product knows nothing of them. Times are those of the machine's clock, which no process can move for SQLite.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ACTIVE = ("deploying", "benchmarking")
FINISHED = ("success", "failed")
ENDED = (*FINISHED, "cancelled")
_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_NOT_OURS = ("id", "worker_id")
"""Deleting a worker sets its column to null, whatever the status."""

TABLE = """
CREATE TABLE chaos_audit (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, what TEXT NOT NULL, experiment INTEGER, task INTEGER,
    old TEXT, new TEXT, old_claim TEXT, new_claim TEXT, attempt INTEGER, losses INTEGER, worker TEXT, reason TEXT,
    detail TEXT)
"""


def install(database: Path) -> None:
    """Write down every change of experiments, slots and tasks from now on."""
    with connected(database) as connection:
        connection.execute(TABLE)
        for trigger in triggers(connection):
            connection.execute(trigger)


@contextmanager
def connected(database: Path, timeout_s: float = 60.0) -> Iterator[sqlite3.Connection]:
    """A connection that begins transactions only when told to; rows by column name."""
    connection = sqlite3.connect(database, timeout=timeout_s, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()


def triggers(connection: sqlite3.Connection) -> Iterator[str]:
    """The statements that make them."""
    changed = _changed_columns(connection, "tuning_experiment")
    active = str(ACTIVE)
    yield _trigger(
        "status",
        "AFTER UPDATE ON tuning_experiment WHEN OLD.status != NEW.status OR OLD.claim != NEW.claim",
        _experiment("''"),
    )
    yield _trigger(
        "changed",
        "AFTER UPDATE ON tuning_experiment "
        f"WHEN OLD.status = NEW.status AND OLD.status NOT IN {active} AND {changed} != ''",
        _experiment(changed),
    )
    yield _trigger(
        "foreign handle",
        "AFTER UPDATE OF handle ON tuning_experiment WHEN NEW.handle != OLD.handle AND NEW.handle != '{}' "
        "AND json_extract(NEW.handle, '$.marks.AUTOTUNER_ATTEMPT') != CAST(NEW.attempt AS TEXT)",
        _experiment("NEW.handle"),
    )
    yield _trigger("created", "AFTER INSERT ON tuning_experiment", "NEW.id, NEW.task_id" + ", NULL" * 9)
    yield _trigger("deleted", "AFTER DELETE ON tuning_experiment", "OLD.id, OLD.task_id" + ", NULL" * 9)
    not_running = (
        "EXISTS (SELECT 1 FROM tuning_experiment e WHERE e.id = NEW.experiment_id AND "
        "(e.status = 'pending' OR e.reason = 'lost_worker'))"
    )
    yield _trigger(
        "late line",
        f"AFTER INSERT ON tuning_logline WHEN NEW.experiment_id IS NOT NULL AND {not_running}",
        "NEW.experiment_id, NEW.task_id" + ", NULL" * 8 + ", NEW.text",
    )
    yield _trigger(
        "late measurement",
        "AFTER INSERT ON tuning_measurementrow WHEN NOT EXISTS (SELECT 1 FROM tuning_experiment e "
        "WHERE e.id = NEW.experiment_id AND e.status = 'benchmarking')",
        "NEW.experiment_id" + ", NULL" * 10,
    )
    yield _trigger(
        "slot",
        "AFTER UPDATE OF claim ON tuning_slot WHEN OLD.claim != NEW.claim",
        "NULL, NULL, NULL, NULL, OLD.claim, NEW.claim, NULL, NULL, NULL, NULL, NEW.device",
    )
    yield _trigger(
        "task",
        "AFTER UPDATE OF status ON tuning_task WHEN OLD.status != NEW.status",
        "NULL, NEW.id, OLD.status, NEW.status" + ", NULL" * 6 + ", NEW.message",
    )


def _trigger(what: str, event: str, values: str) -> str:
    name = "chaos_" + what.replace(" ", "_")
    return f"CREATE TRIGGER {name} {event} BEGIN INSERT INTO chaos_audit SELECT NULL, {_NOW}, '{what}', {values}; END"


def _experiment(detail: str) -> str:
    return (
        "NEW.id, NEW.task_id, OLD.status, NEW.status, OLD.claim, NEW.claim, NEW.attempt, "
        f"NEW.losses - OLD.losses, NEW.worker_id, NEW.reason, {detail}"
    )


def _changed_columns(connection: sqlite3.Connection, table: str) -> str:
    """An expression: the names of the columns that an UPDATE changed."""
    columns = [row["name"] for row in connection.execute(f"PRAGMA table_info({table})")]
    differs = "CASE WHEN OLD.{0} IS NOT NEW.{0} THEN '{0} ' ELSE '' END"
    return "(" + " || ".join(differs.format(name) for name in columns if name not in _NOT_OURS) + ")"
