"""Plants what must never be there, after a run: whoever counts has to find it."""

import os
import sys
from collections.abc import Callable

from benchmarks.chaos import audit
from benchmarks.chaos.checks import Evidence
from benchmarks.chaos.installation import Installation, wait_for

FOUND_S = 10.0


def duplicate(installation: Installation, evidence: Evidence) -> None:
    """A second row of an experiment; the table is made without the constraints that refuse it."""
    _execute(
        installation,
        "CREATE TABLE copy AS SELECT * FROM tuning_experiment",
        "DROP TABLE tuning_experiment",
        "ALTER TABLE copy RENAME TO tuning_experiment",
        "INSERT INTO tuning_experiment SELECT * FROM tuning_experiment ORDER BY id LIMIT 1",
    )


def rewrite(installation: Installation, evidence: Evidence) -> None:
    """A finished experiment gets another value."""
    _execute(installation, "UPDATE tuning_experiment SET spent_s = spent_s + 1 WHERE status = 'success'")


def lose(installation: Installation, evidence: Evidence) -> None:
    """An experiment has no outcome."""
    _execute(
        installation,
        "DROP TRIGGER chaos_status",
        "UPDATE tuning_experiment SET status = 'pending', value = NULL "
        "WHERE id = (SELECT max(id) FROM tuning_experiment WHERE status = 'success')",
    )


def slot(installation: Installation, evidence: Evidence) -> None:
    """A slot is held by nobody."""
    _execute(installation, "UPDATE tuning_slot SET claim = 'nobody' WHERE \"index\" = 0")


def worker(installation: Installation, evidence: Evidence) -> None:
    """A worker that is no more is in the database."""
    _execute(
        installation,
        "INSERT INTO tuning_worker (id, kind, node, host, pid, lease_until, started_at, seen_at) "
        "VALUES ('ghost', 'worker', 'here', 'here', 1, 0, datetime('now'), datetime('now'))",
    )


def state(installation: Installation, evidence: Evidence) -> None:
    """A task is not what the operator asked for."""
    evidence.wanted[max(evidence.wanted)] = "paused"


def visit(installation: Installation, evidence: Evidence) -> None:
    """A task tried another configuration."""
    _execute(
        installation,
        "DROP TRIGGER chaos_changed",
        "UPDATE tuning_experiment SET parameters_hash = 'another' WHERE id = (SELECT max(id) FROM tuning_experiment)",
    )


def orphan(installation: Installation, evidence: Evidence) -> None:
    """A process with our marks lives on."""
    marks = {"AUTOTUNER_INSTANCE": installation.instance, "AUTOTUNER_TASK": "1", "AUTOTUNER_EXPERIMENT": "1"}
    sleeper = [sys.executable, "-c", "import signal; signal.pause()"]
    os.posix_spawn(
        sys.executable, sleeper, {**os.environ, **marks, "AUTOTUNER_ATTEMPT": "1", "AUTOTUNER_ROLE": "engine"}
    )
    wait_for(lambda: bool(installation.marked()), FOUND_S)
    evidence.left += installation.left_over()


SABOTAGES: dict[str, Callable[[Installation, Evidence], None]] = {
    one.__name__: one for one in (duplicate, rewrite, lose, slot, worker, state, visit, orphan)
}


def _execute(installation: Installation, *statements: str) -> None:
    with audit.connected(installation.database) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA legacy_alter_table = ON")
        for statement in statements:
            connection.execute(statement)
