"""Run web server and worker as one tree of processes."""

import contextlib
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import OutputWrapper
from django.db import connection
from django.templatetags.static import static

from tuning.errors import ConflictError
from tuning.management.base import TunerCommand
from tuning.management.links import link
from tuning.management.supervision import Say
from tuning.management.supervision.child import Role
from tuning.management.supervision.tree import Plan, serve
from tuning.runner.access import first_operator

WEB_GRACE_S = 10.0
WORKER_GRACE_S = 30.0
"""Longer than the worker's own limit for handing back its work."""
WAIT_S = 30.0
"""How long what a killed `serve` left may take to end; for the same reason."""


class Command(TunerCommand):
    """`manage.py serve`.

    Exit 0 when it was asked to end; 1 when the port is taken, the data folder is served already, or what is left of a
    killed `serve` does not end: nothing was started then.
    """

    help = "Serve the web interface and run the worker until Ctrl-C, which ends both."
    worker = (sys.executable, "manage.py", "run_worker", "--with-parent")
    worker_grace_s = WORKER_GRACE_S
    wait_s = WAIT_S

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        parser.add_argument("--port", type=_whole(0, 65535), default=8000, help="0 takes any that is free")
        parser.add_argument("--workers", type=_whole(1, 64), default=2, metavar="N", help="web processes")
        parser.add_argument(
            "--with-parent",
            type=int,
            nargs="?",
            const=os.getppid(),
            metavar="PID",
            help="end when the parent process has gone; with its number no moment is too early for that",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        welcome = _welcome()
        connection.close()  # nothing here needs it for the rest of the day
        serve(self._plan(options, welcome), tell=_teller(self.stdout), warn=_teller(self.stderr))

    def _plan(self, options: dict[str, Any], welcome: Callable[[str], str]) -> Plan:
        return Plan(
            host=options["host"],
            port=options["port"],
            lock=settings.DATA_DIR / "serve.lock",
            web=lambda descriptor: _web(descriptor, options["workers"]),
            worker=Role("worker", self.worker, self.worker_grace_s, settings.BASE_DIR, environment=_parent()),
            probe=static("admin/css/base.css"),
            wait_s=self.wait_s,
            welcome=welcome,
            parent=options["with_parent"],
        )


def _welcome() -> Callable[[str], str]:
    """What to say below the address, made from it: how the first person signs in; nothing once somebody has."""
    try:
        user = first_operator()
    except ConflictError as error:
        advice = str(error)
        return lambda url: advice
    return lambda url: f"Sign in, once and within an hour: {link(user, url)}" if user else ""


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def _web(descriptor: int, workers: int) -> Role:
    return Role(
        name="web server",
        command=(
            *(sys.executable, "-m", "gunicorn", "--config", "python:autotuner_site.web"),
            *("--bind", f"fd://{descriptor}", "--workers", str(workers)),
        ),
        grace_s=WEB_GRACE_S,
        cwd=settings.BASE_DIR,
        descriptors=(descriptor,),
        environment=_parent(),
    )


def _parent() -> dict[str, str]:
    """Whose end the children watch for; asking for their parent's number themselves, they might be too late."""
    return {"SERVE_PID": str(os.getpid())}


def _teller(stream: OutputWrapper) -> Say:
    """Writes lines at once; a terminal that was closed does not keep the tree from ending in order."""

    def say(line: str) -> None:
        with contextlib.suppress(OSError):
            stream.write(line, style_func=str)  # not everything that is said on stderr is an error
            stream.flush()

    return say
