"""One process of the tree: started, started again whenever it ends, and ended with all that it has started."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tuning.management.supervision import Say

POLL_S = 0.02
GONE_S = 5.0
"""How long processes that were killed may take to vanish."""


@dataclass(frozen=True)
class Role:
    """What a process of the tree is.

    `grace_s` is how long it may take to end when it is asked to; `descriptors` are the open files that it inherits.
    """

    name: str
    command: tuple[str, ...]
    grace_s: float
    cwd: Path
    descriptors: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Backoff:
    """How long to wait before something that ended is started again.

    Not at all the first time, then 1, 2, 4 s and so on up to `longest_s`, for as long as it lives less than
    `steady_s` seconds each time.
    """

    steady_s: float = 5.0
    longest_s: float = 30.0
    ends: int = 0

    def after(self, lived_s: float) -> float:
        """Seconds to wait now that it has ended after `lived_s` seconds."""
        self.ends = 1 if lived_s >= self.steady_s else self.ends + 1
        return 0.0 if self.ends == 1 else min(2.0 ** min(self.ends - 2, 16), self.longest_s)


class Child:
    """A process in a session of its own, so that Ctrl-C on the terminal does not reach it.

    It is waited for only after its group was looked at: until then the kernel gives its number to nobody else.
    """

    def __init__(self, role: Role, say: Say, backoff: Backoff | None = None) -> None:
        self.role = role
        self._say = say
        self._backoff = backoff or Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._due_at = time.monotonic()

    @property
    def due_in_s(self) -> float | None:
        """Seconds until it will be started; None while it runs."""
        return None if self._process else self._due_at - time.monotonic()

    def look(self) -> None:
        """Start it when it is time; notice that it has ended, and say so."""
        if self._process and _has_ended(self._process.pid):
            self._again(self._bury(self._process))
        if not self._process and time.monotonic() >= self._due_at:
            self._start()

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process alone; what it has started is its own affair."""
        if self._process:
            os.kill(self._process.pid, signal.SIGTERM)

    def is_gone(self) -> bool:
        """Whether it has ended; what is left of its group is killed then."""
        if self._process and _has_ended(self._process.pid):
            self._bury(self._process)
        return self._process is None

    def kill(self) -> None:
        """End it at once with everything that it has started; does nothing when it is gone."""
        if not self._process:
            return
        # Engines have sessions of their own: only their descent tells whose they are, and only while it lives.
        started = _descendants(self._process.pid)
        _signal_group(self._process.pid)
        _kill(started)
        self._bury(self._process)

    def _start(self) -> None:
        self._started_at = time.monotonic()
        try:
            self._process = subprocess.Popen(
                self.role.command,
                cwd=self.role.cwd,
                env={**os.environ, **self.role.environment},
                stdin=subprocess.DEVNULL,
                pass_fds=self.role.descriptors,
                start_new_session=True,
            )
        except OSError as error:
            self._again(f"could not be started ({error})")

    def _again(self, what: str) -> None:
        delay_s = self._backoff.after(time.monotonic() - self._started_at)
        self._due_at = time.monotonic() + delay_s
        self._say(f"The {self.role.name} {what}; it is started again {f'in {delay_s:g} s' if delay_s else 'now'}.")

    def _bury(self, process: subprocess.Popen[bytes]) -> str:
        _signal_group(process.pid)
        code = process.wait()
        _wait_for_group(process.pid)
        self._process = None
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"(process {process.pid}) {how}"


def _has_ended(pid: int) -> bool:
    """Whether a child that was not waited for yet is a zombie."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _signal_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS denies it when only a zombie is left
        os.killpg(pid, signal.SIGKILL)


def _kill(processes: Collection[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=GONE_S)


def _wait_for_group(pid: int) -> None:
    """Wait until nobody of a killed group is left; those that hang in the kernel are not waited for."""
    give_up = time.monotonic() + GONE_S
    while _group_lives(pid) and time.monotonic() < give_up:
        time.sleep(POLL_S)


def _group_lives(number: int) -> bool:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == number and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
