"""`manage.py` as a person starts it: a process with a data folder of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runner.factories import processes_of
from tests.services.databases import Database, new_database

PROJECT = Path(__file__).parents[2]


class Installation:
    """A data folder, the commands that work on it, and a look into its database, which several hosts may share."""

    def __init__(self, folder: Path, database: Database | None = None) -> None:
        self.folder = folder
        self.database = database or new_database(folder)
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: Any) -> subprocess.Popen[str]:
        """Start `manage.py` with these arguments."""
        environment = {
            **os.environ,
            **self.database.environment,
            "AUTOTUNER_DATA_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "autotuner_site.settings",
        }
        process = subprocess.Popen(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def manage(self, *arguments: Any) -> tuple[int, str, str]:
        """Run `manage.py` to its end: exit code, stdout, stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    def document(self, text: str) -> Path:
        """A file with this text."""
        path = self.folder / "task.yaml"
        path.write_text(text)
        return path

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of its database, whichever that is: plain SQL, JSON comes as text."""
        return self.database.query(sql)

    def wait_for(self, sql: str) -> None:
        """Wait until a query has rows."""
        give_up = time.monotonic() + 60
        while not self.query(sql):
            assert time.monotonic() < give_up, sql
            assert self._started[-1].poll() is None, self._started[-1].communicate()
            time.sleep(0.01)

    def processes(self, role: str = "") -> list[Any]:
        """What carries its mark and lives: engines and load generators."""
        mark = self.folder / "instance"
        return processes_of(mark.read_text(), role) if mark.exists() else []

    def engines(self) -> list[Any]:
        """Engines that carry its mark and live."""
        return self.processes("engine")

    def close(self) -> None:
        """End whatever is left; it is an error when something that it started is among it."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()
        left = self.processes()
        for process in left:
            process.kill()
        self.database.close()
        assert left == []


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Installation]:
    """An installation without a database."""
    installation = Installation(tmp_path)
    yield installation
    installation.close()


@pytest.fixture
def installed(empty: Installation) -> Installation:
    """An installation with an empty database."""
    code, _, err = empty.manage("migrate", "--verbosity", "0")
    assert code == 0, err
    return empty
