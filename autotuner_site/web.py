"""Settings of the web server: `python -m gunicorn --config python:autotuner_site.web --bind ADDRESS`."""

import os
import signal
import threading
import time
from pathlib import Path

wsgi_app = "autotuner_site.wsgi"
worker_class = "gthread"
workers = 2
threads = 4
# Each process loads the application itself, so no connection to the database is ever shared across a fork.
preload_app = False
timeout = 60
graceful_timeout = 5
keepalive = 5
accesslog = None
loglevel = os.environ.get("AUTOTUNER_LOG_LEVEL", "WARNING").lower()
# Signs of life are written to a file; on a disk that is busy they would come late, and a healthy process be killed.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes a private file in it
# It would be one and the same file below the home folder for every installation of a user.
control_socket_disable = True

WATCH_S = 0.5


def when_ready(server: object) -> None:
    """End with the process that started this one, when that has left its number in SERVE_PID."""
    if parent := os.environ.get("SERVE_PID"):
        threading.Thread(target=_end_with, args=(int(parent),), name="parent watch", daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os.kill(os.getpid(), signal.SIGTERM)
