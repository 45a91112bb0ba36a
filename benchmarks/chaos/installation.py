"""An installation of the product in a folder of its own: its commands, its processes and its end."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.chaos import audit
from tests.fakes import nvml

ROOT = Path(__file__).parents[2]
GPUS = ("0", "1", "2")
COMMAND_S = 60.0
"""Twice what a command may have to wait for the database, and some."""
STOP_S = 60.0


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said."""

    code: int
    text: str


class Installation:
    """`manage.py serve` on a data folder, on a machine that seems to have three GPUs."""

    def __init__(self, folder: Path, lease_s: float) -> None:
        self.folder = folder
        self.lease_s = lease_s
        self.database = folder / "autotuner.sqlite3"
        self.queue = folder / "huey.sqlite3"
        self.log = folder / "serve.log"
        self._gpus = folder / "gpus.json"
        self._serve: subprocess.Popen[bytes] | None = None
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "HUEY_URL")},
            "AUTOTUNER_DATA_DIR": str(folder),
            "AUTOTUNER_LEASE_S": f"{lease_s:g}",
            "AUTOTUNER_GPUS": "all",
            "DJANGO_SETTINGS_MODULE": "benchmarks.chaos.settings",
            nvml.VARIABLE: str(self._gpus),
        }

    def set_up(self) -> None:
        """Make database, audit and GPUs."""
        self.fill({})
        self.expect("migrate", "--verbosity", "0")
        self.expect("reconcile")
        audit.install(self.database)

    def fill(self, pids: dict[str, int]) -> None:
        """Have these GPUs filled by these processes, and the others by nobody."""
        gpus = [
            {
                "uuid": f"GPU-{number}",
                "processes": [{"pid": pids[number], "used_mib": 40960}] if number in pids else [],
            }
            for number in GPUS
        ]
        nvml.write(self._gpus, gpus)

    def manage(self, *arguments: str) -> Answer:
        """Run a command of the product to its end; code 124 when it takes too long."""
        command = [sys.executable, "manage.py", *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=COMMAND_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer(124, f"{' '.join(arguments)} took longer than {COMMAND_S:g} s")
        return Answer(done.returncode, done.stdout.strip())

    def expect(self, *arguments: str) -> None:
        """Run a command that must succeed."""
        answer = self.manage(*arguments)
        if answer.code:
            raise RuntimeError(f"manage.py {' '.join(arguments)} ended with {answer.code}: {answer.text}")

    def submit(self, document: dict[str, object]) -> Answer:
        """Submit and start a task."""
        path = self.folder / "document.json"
        path.write_text(json.dumps(document))
        return self.manage("submit_task", str(path))

    def start(self) -> None:
        """Start web server and worker, on a free port."""
        with self.log.open("ab") as log:
            self._serve = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--port", "0", "--workers", "1"],
                cwd=ROOT,
                env={**self._environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> int:
        """Ask everything to end; the exit code of `serve`, -9 when it had to be killed."""
        if self._serve is None:
            return 0
        self._serve.send_signal(signal.SIGTERM)
        try:
            return self._serve.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._serve.kill()
            return self._serve.wait()

    def kill_serve(self) -> None:
        """Kill the supervisor; the children are left to themselves."""
        if self._serve is not None:
            self._serve.kill()
            self._serve.wait()

    def kill(self) -> None:
        """End whatever is left, however this run ended."""
        self.kill_serve()
        for process in [*self.members(), *self.marked()]:
            with contextlib.suppress(psutil.Error):
                process.kill()

    @property
    def instance(self) -> str:
        """The mark of everything that this installation starts."""
        return (self.folder / "instance").read_text()

    def worker(self) -> psutil.Process | None:
        """The worker, unless it is just being started again."""
        return self._child("run_worker")

    def web(self) -> psutil.Process | None:
        """The web server's first process."""
        return self._child("gunicorn")

    def _child(self, word: str) -> psutil.Process | None:
        assert self._serve is not None  # noqa: S101 - it was started
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self._serve.pid).children():
                if lives(process) and word in process.cmdline():
                    return process
        return None

    def members(self) -> list[psutil.Process]:
        """The living processes that work on this data folder, commands included."""
        return [one for one in everybody() if environment(one).get("AUTOTUNER_DATA_DIR") == str(self.folder)]

    def marked(self) -> list[psutil.Process]:
        """The living processes that bear the mark of this installation."""
        return [one for one in everybody() if environment(one).get("AUTOTUNER_INSTANCE") == self.instance]

    def left_over(self) -> list[str]:
        """What `marked` finds, in words."""
        return [f"process {one.pid}: {' '.join(_arguments(one))[:200]}" for one in self.marked()]

    def web_answers(self, limit_s: float) -> bool:
        """Whether the web server answers a request, however often it has to be tried."""
        give_up = time.monotonic() + limit_s
        while time.monotonic() < give_up:
            if self._asked(give_up - time.monotonic()):
                return True
            time.sleep(0.1)
        return False

    def _asked(self, limit_s: float) -> bool:
        found = re.findall(r"Web: http://([\d.]+):(\d+)/", self.log.read_text())
        if not found:
            return False
        host, port = found[-1]
        connection = http.client.HTTPConnection(host, int(port), timeout=max(0.1, limit_s))
        try:
            connection.request("HEAD", "/static/admin/css/base.css")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def everybody() -> Iterator[psutil.Process]:
    """Every living process but this one."""
    for process in psutil.process_iter():
        if process.pid != os.getpid() and lives(process):
            yield process


def lives(process: psutil.Process) -> bool:
    """Whether it runs: a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def environment(process: psutil.Process) -> dict[str, str]:
    """What it was started with; empty when it is gone or somebody else's."""
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_for(condition: Callable[[], bool], limit_s: float, every_s: float = 0.2) -> bool:
    """Wait until something is true; False when it is not in time."""
    give_up = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(every_s)
    return True
