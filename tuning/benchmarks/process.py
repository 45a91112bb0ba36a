"""Running a load generator as a child process that never outlives its load point."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from tuning.errors import BenchmarkError
from tuning.hooks import StopCheck

POLL_S = 0.1
TERM_GRACE_S = 1.0
KEPT_LINES = 50


class Child:
    """A child in its own process group, without a shell, its output read line by line.

    Its standard input is a pipe that nobody writes to and that ends when this process does: the child must watch it, or
    be run by `guard`. Leaving the `with` block ends the whole group: TERM, then KILL after a second.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        on_line: Callable[[str], None],
    ) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._on_line = on_line
        try:
            self._process = subprocess.Popen(
                command,
                env=dict(env),
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
