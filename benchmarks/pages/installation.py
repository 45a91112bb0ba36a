"""Installations to measure: seeded data folders, a session in each, and the web server as `serve` runs it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

PROJECT = Path(__file__).parents[2]
READY_S = 60.0
SIGN_IN = """
import django; django.setup()
from django.contrib.auth.models import User
from django.test import Client
client = Client()
user, _ = User.objects.get_or_create(username="measured", is_superuser=True)
client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
print(client.cookies["sessionid"].value)
"""


@dataclass(frozen=True)
class Server:
    """A web server that answers at `port` of this machine, and the file into which it writes what goes wrong."""

    port: int
    session: str
    log: Path

    def connect(self) -> HTTPConnection:
        """A connection to it."""
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    @property
    def headers(self) -> dict[str, str]:
        """What a signed-in browser sends."""
        return {"Cookie": f"sessionid={self.session}", "Accept-Encoding": "gzip", "Accept": "text/html"}

    @property
    def locked(self) -> int:
        """How often the database was locked for too long, by its log."""
        return len(re.findall(r"database is locked", self.log.read_text()))


@contextmanager
def data_folder(kept: Path | None, *sizes: str) -> Iterator[Path]:
    """A data folder filled by `benchmarks.seed_history` with these options; `kept` is filled once and stays."""
    folder = kept or Path(tempfile.mkdtemp(prefix="autotuner-pages-"))
    try:
        if not (folder / "autotuner.sqlite3").exists():
            folder.mkdir(parents=True, exist_ok=True)
            python(folder, "-m", "benchmarks.seed_history", *sizes)
        python(folder, "manage.py", "migrate", "--verbosity", "0")
        yield folder
    finally:
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A data folder with a database without rows."""
    with tempfile.TemporaryDirectory(prefix="autotuner-pages-") as folder:
        python(Path(folder), "manage.py", "migrate", "--verbosity", "0")
        yield Path(folder)


def environment(folder: Path) -> dict[str, str]:
    """The variables by which a process works on this data folder."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "HUEY_URL")}
    settings = {"AUTOTUNER_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "autotuner_site.settings"}
    settings["AUTOTUNER_LOG_LEVEL"] = "ERROR"
    return {**inherited, **settings}


def python(folder: Path, *arguments: str, text: str = "") -> str:
    """Run Python on this data folder; what it printed."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment(folder), input=text, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Serve this data folder by the command and the settings of `manage.py serve`, without its worker."""
    session = python(folder, "-c", SIGN_IN).strip()
    log = folder / "web.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("w") as output:
        command = (
            *(sys.executable, "-m", "gunicorn", "--config", "python:autotuner_site.web"),
            *("--bind", f"fd://{listener.fileno()}", "--workers", "2"),
        )
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environment(folder),
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        server = Server(listener.getsockname()[1], session, log)
        try:
            _wait_for(server)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _wait_for(server: Server) -> None:
    give_up = time.monotonic() + READY_S
    while time.monotonic() < give_up:
        with suppress(OSError):
            connection = server.connect()
            connection.request("GET", "/sign-in")
            status = connection.getresponse().status
            connection.close()
            if status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(server.log.read_text())
