"""Locks of the kernel on files: they end with the process that holds them, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from tuning.errors import ConflictError


@contextlib.contextmanager
def holding(path: Path, what: str) -> Iterator[None]:
    """Hold the lock on `path` and leave our process number in it; ConflictError names the process that has it."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("a+") as file:
        if not _lock(file.fileno()):
            file.seek(0)
            raise ConflictError(f"{what} is running already, as process {file.read().strip() or 'unknown'}.")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_held(path: Path) -> bool:
    """Whether some process holds the lock on `path`."""
    try:
        with path.open("r") as file:
            return not _lock(file.fileno())
    except FileNotFoundError:
        return False


def worker_lock(worker: str) -> Path:
    """The file that the process with this worker id holds as long as it lives."""
    return Path(settings.DATA_DIR) / "locks" / f"worker-{worker}"


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
