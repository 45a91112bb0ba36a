"""Whether everything is there that experiments need: each part is tried, nothing is taken for granted."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import Error, connection, transaction

from tuning.models import Slot, Worker
from tuning.runner.maintenance import living

BUSY_MS = 2000
"""How long the database may be locked by somebody else and still count as one that can be written."""
LEAST_FREE_BYTES = 500_000_000


@dataclass(frozen=True)
class Part:
    """Whether a part works, why not (in words that give nothing away), and its numbers."""

    name: str
    reason: str = ""
    numbers: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """For a program."""
        reason = {"reason": self.reason} if self.reason else {}
        return {"status": _status(not self.reason), **reason, **self.numbers}


@dataclass(frozen=True)
class Health:
    """All parts."""

    parts: tuple[Part, ...]

    @property
    def is_ok(self) -> bool:
        """Whether every part works."""
        return not any(part.reason for part in self.parts)

    def as_json(self) -> dict[str, object]:
        """For a program."""
        return {"status": _status(self.is_ok), **{part.name: part.as_json() for part in self.parts}}


def health(waiting: Callable[[], int], queue_errors: tuple[type[Exception], ...]) -> Health:
    """Try every part; `waiting` counts the messages in the queue, or raises one of `queue_errors`."""
    database = _database()
    return Health((database, _queue(waiting, queue_errors), _worker(database), _disk()))


def _database() -> Part:
    try:
        with _impatient(), transaction.atomic():
            Slot.objects.filter(pk=0).update(index=0)  # no row, but refused where nothing can be written
            transaction.set_rollback(True)
    except Error:
        connection.close()
        return Part("database", "the database cannot be written")
    return Part("database")


@contextmanager
def _impatient() -> Iterator[None]:
    """SQLite waits for somebody else's lock no longer than BUSY_MS, which is less than pages do."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        before = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {before}")


def _queue(waiting: Callable[[], int], errors: tuple[type[Exception], ...]) -> Part:
    try:
        return Part("queue", numbers={"waiting": waiting()})
    except errors:
        return Part("queue", "the queue does not answer")


def _worker(database: Part) -> Part:
    if database.reason:
        return Part("worker", "the database does not tell")
    try:
        alive = len(living(Worker.Kind.WORKER))
    except OSError:  # of a worker of this machine a lock in the data folder tells
        return Part("worker", "the data folder does not tell")
    return Part("worker", "" if alive else "no worker is running", {"alive": alive})


def _disk() -> Part:
    folder = Path(settings.DATA_DIR)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError:
        return Part("disk", "the data folder cannot be written")
    is_full = free < LEAST_FREE_BYTES
    least_mb = LEAST_FREE_BYTES // 1_000_000
    return Part("disk", f"less than {least_mb} MB are free" if is_full else "", {"free_mb": free // 1_000_000})


def _status(is_ok: bool) -> str:
    return "ok" if is_ok else "failing"
