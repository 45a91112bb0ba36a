"""A small installation that has worked without trouble, and ways to add trouble to its database."""

import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.chaos import audit
from benchmarks.chaos.checks import Evidence
from benchmarks.chaos.installation import Installation
from benchmarks.chaos.watch import Sightings

TASK = "grid 1"
CONFIGURATIONS = ("a", "b", "c")
LEASE_S = 3.0


class History:
    """An installation on which the undisturbed task 1 and then task 2 have run, and what a run would know of it."""

    def __init__(self, folder: Path) -> None:
        self.installation = Installation(folder, LEASE_S)
        with audit.connected(self.installation.database) as connection:
            self.connection = connection
            for index in range(3):
                self._insert("tuning_slot", node="here", index=index, device=str(index))
            for task in (1, 2):
                self._insert("tuning_task", id=task, name=TASK, run=task, status="running")
                for number, configuration in enumerate(CONFIGURATIONS, start=1):
                    self.experiment(task, number, configuration)
                connection.execute("UPDATE tuning_task SET status = 'completed' WHERE id = ?", (task,))
        self.installation.log.touch()
        self.evidence = Evidence(
            folder,
            len(CONFIGURATIONS),
            LEASE_S,
            undisturbed={TASK: {number: f"{name}/0" for number, name in enumerate(CONFIGURATIONS, start=1)}},
            undisturbed_tasks=1,
            wanted={1: "running", 2: "running"},
            seen=Sightings(looks=1, engines={(1, 1)}),
        )

    def experiment(self, task: int, number: int, configuration: str) -> None:
        """One that goes from pending to success."""
        row = 10 * task + number
        self._insert(
            "tuning_experiment", id=row, task_id=task, number=number, parameters_hash=configuration, status="pending"
        )
        claim = f"claim {row}"
        for status in ("deploying", "benchmarking", "success"):
            self.change(row, status=status, claim=claim, attempt=1)

    def change(self, row: int, **columns: Any) -> None:
        """An UPDATE of an experiment."""
        names = ", ".join(f"{name} = ?" for name in columns)
        with audit.connected(self.installation.database) as connection:
            connection.execute(f"UPDATE tuning_experiment SET {names} WHERE id = ?", (*columns.values(), row))  # noqa: S608

    def execute(self, statement: str, *values: Any) -> None:
        """Any statement."""
        with audit.connected(self.installation.database) as connection:
            connection.execute(statement, values)

    def take(self, row: int, attempt: int = 1) -> str:
        """Have an experiment of task 2 begun once more, as if it had never been; the claim."""
        self.execute("DELETE FROM chaos_audit WHERE experiment = ?", row)
        self.execute("DROP TRIGGER IF EXISTS chaos_status")
        self.change(row, status="pending", claim="")
        with audit.connected(self.installation.database) as connection:
            for trigger in audit.triggers(connection):
                if "TRIGGER chaos_status " in trigger:
                    connection.execute(trigger)
        claim = f"claim {row} again"
        self.change(row, status="deploying", claim=claim, attempt=attempt)
        return claim

    def _insert(self, table: str, **columns: Any) -> None:
        """A row in which every column that must have a value has an empty one of its type."""
        found = self.connection.execute(f"PRAGMA table_info({table})").fetchall()
        empty = {row["name"]: _empty(row["name"], row["type"]) for row in found if row["notnull"] and not row["pk"]}
        values = {**empty, **columns}
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608


def _empty(name: str, kind: str) -> Any:
    if kind.startswith(("varchar", "text")):
        return "{}" if name in ("parameters", "handle", "document") else "[]" if name in ("command", "missed") else ""
    if kind.startswith("datetime"):
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    return 0


def copy(folder: Path, to: Path) -> History:
    """The history on a copy of an empty installation."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return History(to)
