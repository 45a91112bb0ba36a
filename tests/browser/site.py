"""An installation that is served: its own data folder, `manage.py serve` with its worker, and a look into both."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.runner.factories import processes_of, sections
from tests.serving.conftest import PROJECT, Served, members, variables

WAIT_S = 60.0
SLOTS = "3"
"""Experiments that run at once: a task that a test keeps running is not in the way of another one."""


@dataclass(frozen=True)
class Template:
    """A data folder with an empty database but for its users, and the session of each of them by name."""

    folder: Path
    sessions: dict[str, str]


def new_template(folder: Path, *, people: bool = True) -> Template:
    """Make a data folder that installations are copied from; without `people` nobody can sign in."""
    _python(folder, "manage.py", "migrate", "--verbosity", "0")
    lines = _python(folder, "-m", "tests.browser.people").splitlines() if people else []
    return Template(folder, dict(line.split() for line in lines))


class Site:
    """A copy of a template that can be served, stopped and served again at the same address.

    `start` makes it answer; `url` has no slash at its end. `close` ends what runs by SIGTERM, as a person would, and it
    is an error when anything is left after that.
    """

    def __init__(self, template: Template, folder: Path) -> None:
        self.folder = folder
        self.sessions = template.sessions
        self.url = ""
        self._served: Served | None = None
        shutil.copytree(template.folder, folder, dirs_exist_ok=True)

    def start(self) -> None:
        """Serve it, and wait until it answers."""
        port = str(urlsplit(self.url).port or 0)
        command = (sys.executable, "manage.py", "serve", "--workers", "1", "--port", port)
        self._served = Served(self.folder, command, {"AUTOTUNER_SLOTS": SLOTS})
        self.url = self._served.url().rstrip("/")

    @property
    def output(self) -> str:
        """What `serve` has printed so far."""
        return self._served.output if self._served else ""

    def printed(self, pattern: str) -> str:
        """The first group of the first line of `serve` that matches, once there is one."""
        assert self._served is not None
        return str(self._served.wait_for_line(pattern)[1])

    def stop(self) -> None:
        """End web server and worker by SIGTERM, and wait for their end."""
        if self._served is not None:
            served, self._served = self._served, None
            try:
                assert served.end(signal.SIGTERM) == 0, served.output
            finally:
                served.close()

    def close(self) -> None:
        """Stop it; nothing that it started may live on."""
        try:
            self.stop()
        finally:
            left = [*members(self.folder), *self._engines()]
            for process in left:
                process.kill()
        assert left == []

    def manage(self, *arguments: Any) -> str:
        """Run `manage.py` to its end; what it printed. It is an error when it fails."""
        return _python(self.folder, "manage.py", *map(str, arguments))

    def shell(self, code: str) -> str:
        """Run Python code inside of the installation, with Django set up; what it printed."""
        return _python(self.folder, "-c", f"import django; django.setup()\n{code}")

    def seed(self, *sizes: Any) -> None:
        """Fill it by benchmarks/seed_history.py with these options, and end what would be running."""
        _python(self.folder, "-m", "benchmarks.seed_history", *map(str, sizes))
        self.shell(
            "from tuning.models import Experiment, Task\n"
            "Experiment.objects.filter(status='benchmarking').update(status='cancelled', reason='cancelled')\n"
            "Task.objects.filter(status='running').update(status='cancelled', message='It was cancelled.')"
        )

    def submit(self, document: str | dict[str, Any] | None = None, *, start: bool = True, **changes: Any) -> int:
        """Make a task of a document (or of the quick one of tests/runner/factories.py with `changes`); its id."""
        plan = sections(**changes) if document is None else document
        path = self.folder / "task.yaml"
        path.write_text(plan if isinstance(plan, str) else yaml.safe_dump(plan, sort_keys=False))
        said = self.manage("submit_task", path, *([] if start else ["--no-start"]))
        return int(said.removeprefix("Task ").partition(":")[0])

    def finished(self, document: str | dict[str, Any] | None = None, **changes: Any) -> int:
        """Submit a task, and wait until it is completed; its id."""
        task = self.submit(document, **changes)
        self.wait_for_status(task, "completed")
        return task

    def wait_for_status(self, task: int, status: str) -> None:
        """Wait until a task is in this state."""
        self.wait_for("select 1 from tuning_task where id = ? and status = ?", task, status)

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of its database; JSON comes as text."""
        with closing(sqlite3.connect(f"file:{self.folder / 'autotuner.sqlite3'}?mode=ro", uri=True, timeout=20)) as db:
            return db.execute(sql, values).fetchall()

    def wait_for(self, sql: str, *values: Any) -> None:
        """Wait until a query has rows."""
        give_up = time.monotonic() + WAIT_S
        while not self.query(sql, *values):
            assert time.monotonic() < give_up, f"{sql} {values}\n{self.output}"
            time.sleep(0.02)

    def _engines(self) -> list[Any]:
        mark = self.folder / "instance"
        return processes_of(mark.read_text()) if mark.exists() else []


def _python(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, **variables(folder)}
    command = (sys.executable, *arguments)
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
