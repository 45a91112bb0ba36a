"""Starts real simulated engines for the tests."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0


class EngineProcess:
    """A running engine on a free port. Its log is collected line by line."""

    def __init__(self, *flags: str, model: str = "sim", startup_s: float = 0.0) -> None:
        arguments = [model, "--port", "0", "--simulate-startup-s", str(startup_s), *flags]
        self._process = launch(*arguments)
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """Wait until a line of the log matches; fails with the log when the process ends before."""
        deadline = time.monotonic() + DEADLINE_S
        with self._changed:
            while True:
                for line in self.lines:
                    if match := re.search(pattern, line):
                        return match
                left = deadline - time.monotonic()
                if left < 0 or not self._reader.is_alive():
                    raise AssertionError(f"no line matches {pattern!r} in:\n{self.log}")
                self._changed.wait(min(left, 0.5))

    def url(self) -> str:
        """Wait until the engine is ready and return its address."""
        return self.wait_for_line(r"running on (http://\S+)")[1]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        code = self._process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()


def launch(*arguments: str) -> subprocess.Popen[str]:
    """`python -m simulated_engine serve ...` with its stderr in a pipe."""
    command = [sys.executable, "-m", "simulated_engine", "serve", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def run(*arguments: str) -> tuple[int, str]:
    """Run a command line that ends by itself; exit code and stderr."""
    with launch(*arguments) as process:
        try:
            _, log = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
        return process.returncode, log


async def post(url: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON body of a request with a JSON body."""
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as response:
        return response.status, await response.json()


def words(count: int) -> str:
    """A prompt of ``count`` tokens."""
    return " ".join(["word"] * count)
