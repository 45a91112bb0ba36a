"""Run experiments until asked to end."""

import logging
import os
import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import Error, connection
from huey.consumer import Consumer
from huey.contrib.djhuey import HUEY

from tuning import tasks
from tuning.management.base import TunerCommand
from tuning.models import Slot, Task
from tuning.queue import QUEUE_ERRORS
from tuning.runner import locks
from tuning.runner.access import clear_sessions
from tuning.runner.instance import instance_id
from tuning.runner.reconcile import Action, reconcile, recover
from tuning.runner.retention import prune

logger = logging.getLogger("tuning.worker")

LOOK_S = 0.5
NOT_NOW: tuple[type[Exception], ...] = (Error, *QUEUE_ERRORS)
RECONCILE_S = 30.0
STOP_S = 25.0
"""How long the experiments may take to be handed back; supervisors must wait longer."""


class Command(TunerCommand):
    """`manage.py run_worker`: one per data folder. SIGTERM or Ctrl-C hands its work back; exit code 0 then."""

    help = "Run the experiments of all started tasks, as many at a time as there are slots."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--with-parent", action="store_true", help="end when the process that started it ends")

    def handle(self, *args: Any, with_parent: bool, **options: Any) -> None:
        if not os.environ.get("AUTOTUNER_LOG_LEVEL"):
            logging.getLogger("tuning").setLevel(logging.INFO)
        ending = _Ending(_parent() if with_parent else None)
        with locks.holding(Path(settings.DATA_DIR) / "worker.lock", "A worker on this data folder"), tasks.worker:
            _Loop(ending).run()


def _parent() -> int:
    """Whose end is watched for: `serve` leaves its number, which we might ask for too late."""
    return int(os.environ.get("SERVE_PID") or os.getppid())


class _Ending:
    """Whether this process is to end: since a signal that came after this was made, or with its parent."""

    def __init__(self, parent: int | None) -> None:
        self._parent = parent
        self._asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._asked.set())

    def wait(self, limit_s: float) -> bool:
        """Wait up to `limit_s`; whether it is time."""
        return self._asked.wait(limit_s) or self._parent not in (None, os.getppid())


class _Consumer(Consumer):  # type: ignore[misc]  # Huey has no types
    """Huey's consumer without its signal handlers: `_Ending` has its own."""

    def _set_signal_handlers(self) -> None:
        pass


class _Loop:
    """The consumer of the queue, and what is looked after meanwhile."""

    def __init__(self, ending: _Ending) -> None:
        self._ending = ending
        self._slots = Slot.objects.filter(node=instance_id()).count()
        self._consumer = _Consumer(
            HUEY,
            workers=self._slots + 1,
            worker_type="thread",
            max_delay=1.0,
            periodic=False,
            shutdown_timeout=STOP_S,
        )

    def run(self) -> None:
        """Work until a signal, or the parent's end."""
        self._safely(self._put_right)
        self._consumer.start()
        logger.info("worker %s runs up to %s experiments at a time", os.getpid(), self._slots)
        self._look_after()
        logger.info("worker %s hands its work back", os.getpid())
        tasks.worker.stop()
        self._consumer.stop(graceful=True)

    def _look_after(self) -> None:
        """Recover what others lost as soon as it can be known, put everything right now and then."""
        put_right_at = time.monotonic() + RECONCILE_S
        recover_s = min(RECONCILE_S, settings.AUTOTUNER_LEASE_S / 10)
        recover_at = 0.0
        while not self._ending.wait(LOOK_S):
            now = time.monotonic()
            if now < recover_at:
                continue
            recover_at = now + recover_s
            if self._safely(self._recover) or now >= put_right_at:
                self._safely(self._put_right)
                put_right_at = now + RECONCILE_S

    def _safely(self, do: Callable[[], bool]) -> bool:
        """A database or a queue that is locked or away for a while is no reason to end."""
        try:
            return do()
        except NOT_NOW as error:
            logger.warning("not now: %s", error)
            connection.close()
            return False

    def _recover(self) -> bool:
        """Whether anything had been lost; our own leases are fresh before it is looked for."""
        tasks.worker.beat()
        return bool(_log(recover()))

    def _put_right(self) -> bool:
        tasks.worker.beat()
        actions = _log(reconcile())
        for pk in Task.objects.filter(status=Task.Status.RUNNING, worker=None).values_list("pk", flat=True):
            tasks.wake(pk)
        prune(settings.AUTOTUNER_LOG_RETENTION_DAYS)
        clear_sessions()
        return bool(actions)


def _log(actions: list[Action]) -> list[Action]:
    for action in actions:
        logger.warning("%s", action)
    return actions
