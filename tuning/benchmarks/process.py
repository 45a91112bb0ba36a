"""Running a load generator as a child process that never outlives what it is for."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Self

from tuning.errors import BenchmarkError
from tuning.hooks import StopCheck

POLL_S = 0.1
TERM_GRACE_S = 1.0
KEPT_LINES = 50
PRIVATE = frozenset({"AUTOTUNER_SECRET_KEY", "DATABASE_URL", "HUEY_URL"})
"""Secrets of the tuner that are no business of a load generator."""
NO_MARKS: Mapping[str, str] = MappingProxyType({})


class Child:
    """A child in its own process group, without a shell, its output read line by line.

    Its standard input is a pipe that ends when this process does: the child must watch it, or be run by `guard`.
    `on_line` and, after the last line, `on_end` are called from a thread. Leaving the `with` block ends the whole
    group: TERM, then KILL after a second.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        on_line: Callable[[str], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._on_line = on_line
        self._on_end = on_end
        try:
            self._process = subprocess.Popen(
                command,
                env={name: value for name, value in env.items() if name not in PRIVATE},
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise BenchmarkError(f"{command[0]} cannot be started: {error.strerror}") from error
        assert self._process.stdout is not None  # noqa: S101
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        for raw in output:
            line = raw.decode(errors="replace").rstrip()
            self.lines.append(line)
            self._on_line(line)
        self._on_end()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def say(self, line: str) -> None:
        """Write one line to its standard input; lost when it has ended."""
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            # Past the buffer, whose rest would fail again when the pipe is closed.
            os.write(self._process.stdin.fileno(), f"{line}\n".encode())

    def wait(self, limit_s: float, stop: StopCheck) -> int | None:
        """The exit code; None when the child still runs after `limit_s` seconds. What `stop` raises passes through."""
        give_up_at = time.monotonic() + limit_s
        while (left_s := give_up_at - time.monotonic()) > 0:
            stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(min(POLL_S, left_s))
                self._reader.join(TERM_GRACE_S)
                return code
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """What the end of the `with` block does, for an owner who cannot use one; to be called once."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TERM_GRACE_S)
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the whole group; its leader may be gone already while others of it live."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
