"""One `serve` for a data folder, and none while processes of the last one still end."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tuning.errors import AutotunerError, ConflictError
from tuning.management.supervision import Say
from tuning.management.supervision.signals import END, Signals

POLL_S = 0.1


class ServeLock:
    """A kernel lock on a file that holds the number of the process that serves.

    Its descriptor is passed on to the children. They keep the lock when their parent is killed, until the last of
    them has ended; the number in the file tells the one case from the other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AutotunerError(f"{path} cannot be opened: {error.strerror}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    def acquire(self, signals: Signals, say: Say, limit_s: float) -> bool:
        """Take the lock, waiting for what a killed `serve` left; False when a signal asks to end meanwhile.

        ConflictError when another process serves, or when what is left does not end within `limit_s` seconds.
        """
        give_up = time.monotonic() + limit_s
        said = False
        while not self._try():
            self._check_owner_gone()
            if time.monotonic() > give_up:
                raise ConflictError(f"Processes of a killed serve hold {self._path} and do not end: {self._holders()}.")
            if not said:
                say("The last serve was killed and its processes are still ending; waiting for them.")
                said = True
            if signals.next(POLL_S) in END:
                return False
        return True

    def _try(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode(), 0)
        return True

    def _check_owner_gone(self) -> None:
        text = os.pread(self.descriptor, 32, 0).decode("ascii", "replace").strip()
        # A number that has become ours was somebody else's before: in a new container they begin anew.
        if text.isdecimal() and int(text) != os.getpid() and _lives(int(text)):
            raise ConflictError(f"{self._path.parent} is already served by process {text}.")

    def _holders(self) -> str:
        others = (process for process in psutil.process_iter() if process.pid != os.getpid())
        return ", ".join(str(process.pid) for process in others if _has_open(process, self._path)) or "unknown"


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _has_open(process: psutil.Process, path: Path) -> bool:
    try:
        return any(Path(file.path) == path for file in process.open_files())
    except psutil.Error:
        return False
