"""Served trees of real processes: gunicorn with the real application, and a stand-in worker unless a test says else."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).parents[2]
LIMIT_S = 30.0
STAND_IN = (sys.executable, "-m", "tests.serving.program")
CSS = "static/admin/css/base.css"


class Served:
    """One start of `serve`, with what it prints, line by line and in the order of their arrival."""

    def __init__(self, folder: Path, command: tuple[str, ...], environment: dict[str, str]) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**variables(folder), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, pattern: str, count: int = 1) -> re.Match[str]:
        """The `count`-th line that matches; fails with all lines when it does not come."""
        give_up = time.monotonic() + LIMIT_S
        with self._changed:
            while True:
                found = [match for line in self.lines if (match := re.search(pattern, line))]
                if len(found) >= count:
                    return found[count - 1]
                if time.monotonic() > give_up or not self._reader.is_alive():
                    raise AssertionError(f"no line {count} with {pattern!r} in:\n{self.output}")
                self._changed.wait(0.2)

    def url(self) -> str:
        """Wait until the web server answers."""
        return self.wait_for_line(r"Web: (http://\S+)  Ctrl-C ends it")[1]

    def worker(self, count: int = 1) -> psutil.Process:
        """Wait for the `count`-th start of the worker."""
        return psutil.Process(int(self.wait_for_line(r"worker (\d+) runs", count)[1]))

    def web(self) -> psutil.Process:
        """The web server's first process."""
        (process,) = [child for child in self.children() if "gunicorn" in child.cmdline()]
        return process

    def children(self) -> list[psutil.Process]:
        """The children of the first process."""
        return psutil.Process(self.process.pid).children()

    def wait(self) -> int:
        """Wait for its end; the exit code. Its pipe is read to the end, so whoever held it is gone too."""
        code = self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        return code

    def end(self, number: signal.Signals) -> int:
        """Send it a signal, and wait for its end."""
        self.process.send_signal(number)
        return self.wait()

    def close(self) -> None:
        """Kill what is left of it."""
        self.process.kill()
        for process in members(self.folder):
            process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Stage:
    """Starts trees on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._all: list[Served] = []

    def start(self, *arguments: str, command: tuple[str, ...] = STAND_IN, **environment: str) -> Served:
        """Start `serve` with these arguments on a free port, with one web process."""
        chosen = [] if "--port" in arguments else ["--port", "0"]
        return self.run(*command, "--workers", "1", *chosen, *arguments, **environment)

    def run(self, *command: str, **environment: str) -> Served:
        """Start any command on this data folder."""
        served = Served(self.folder, command, environment)
        self._all.append(served)
        return served

    def members(self) -> list[psutil.Process]:
        """Every process of every tree that lives."""
        return members(self.folder)

    def close(self) -> None:
        for served in self._all:
            served.close()


def variables(folder: Path) -> dict[str, str]:
    """An environment with this data folder, its own files for database and queue, and the program's settings."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "HUEY_URL")}
    return {**kept, "AUTOTUNER_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "autotuner_site.settings"}


def members(folder: Path) -> list[psutil.Process]:
    """The living processes with this data folder in their environment."""
    return [process for process in psutil.process_iter() if lives(process) and _serves(process, folder)]


def lives(process: psutil.Process) -> bool:
    """Whether it runs; an orphan may be a zombie for a while, until the system's first process has looked at it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _serves(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.environ().get("AUTOTUNER_DATA_DIR") == str(folder)
    except psutil.Error:
        return False


def status(url: str, headers: dict[str, str] | None = None) -> int:
    """The status that a GET is answered with; redirects are not followed."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())
    try:
        with opener.open(urllib.request.Request(url, headers=headers or {}), timeout=LIMIT_S) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    give_up = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, to be copied."""
    folder = tmp_path_factory.mktemp("database")
    command = (sys.executable, "manage.py", "migrate", "--verbosity", "0")
    subprocess.run(command, cwd=PROJECT, env=variables(folder), check=True)
    return folder / "autotuner.sqlite3"


@pytest.fixture
def stage(tmp_path: Path, database: Path) -> Iterator[Stage]:
    """A data folder to serve from; everything that was started is gone afterwards."""
    yield from _set(tmp_path, database)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[Served]:
    """A tree that answers, for tests that leave it as it is."""
    for stage in _set(tmp_path_factory.mktemp("running"), database):
        served = stage.start()
        served.url()
        yield served


def _set(folder: Path, database: Path) -> Iterator[Stage]:
    shutil.copy(database, folder)
    stage = Stage(folder)
    try:
        yield stage
    finally:
        stage.close()
