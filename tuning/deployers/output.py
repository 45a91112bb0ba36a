"""What an engine prints: read without ever making it wait, cleaned, and handed on line by line."""

import codecs
import contextlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from tuning.hooks import LogSink

MAX_LINE = 8192
"""Characters of a line that are kept."""
MAX_WAITING = 20_000
"""Lines that may wait for a slow sink before the oldest are dropped."""
REMEMBERED = 400
"""Lines kept in memory, from which the end of the engine is explained."""

_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LEVEL = re.compile(
    r"^(?:\([^)]{0,80}\)\s*)?(?:\[[^\]]{0,80}\]\s*)*(CRITICAL|FATAL|ERROR|WARNING|WARN|INFO|DEBUG|TRACE)\b"
)
_GLOG = re.compile(r"^([IWEF])\d{4} \d\d:")
"""`W1123 18:28:00.297 ...`, as torch prints."""
_LEVELS = {
    "I": "info",
    "W": "warning",
    "E": "error",
    "F": "error",
    "CRITICAL": "error",
    "FATAL": "error",
    "ERROR": "error",
    "WARNING": "warning",
    "WARN": "warning",
    "INFO": "info",
    "DEBUG": "debug",
    "TRACE": "debug",
}
_ERROR = re.compile(r"^(Traceback \(most recent call last\)|([\w.]+\.)?\w*(Error|Exception)\b|.*: error: )")


def level_of(line: str) -> str:
    """The level that a line claims for itself (`INFO ...`, `(Worker pid=7) ERROR ...`); `info` when it claims none."""
    if match := _LEVEL.match(line) or _GLOG.match(line):
        return _LEVELS[match[1]]
    return "error" if _ERROR.match(line) else "info"


def clean(line: str) -> str:
    """Without colours and control characters, of a progress bar only the last state, and not too long."""
    states = [state for state in _ANSI.sub("", line).split("\r") if state.strip()]
    text = _CONTROL.sub("", states[-1]).rstrip() if states else ""
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]} ... ({len(text) - MAX_LINE} characters cut)"


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Cleaned lines of a stream of bytes; undecodable ones become the replacement character.

    A line without an end does not fill the memory: beyond eight times MAX_LINE it is cut into several.
    """
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    rest = ""
    for chunk in chunks:
        *complete, rest = (rest + decode(chunk)).split("\n")
        if len(rest) > 8 * MAX_LINE:
            complete, rest = [*complete, rest], ""
        yield from filter(None, map(clean, complete))
    if last := clean(rest + decode(b"", final=True)):
        yield last


class Output:
    """Reads a pipe to its end in one thread and feeds the sink in another.

    However slow the sink is, and whatever it raises, the pipe is read: when more than MAX_WAITING lines wait, the
    oldest are dropped and a line says how many. `secrets` are replaced by `***` in every line.
    """

    def __init__(self, pipe: IO[bytes], sink: LogSink, *, secrets: Iterable[str] = ()) -> None:
        self._pipe = pipe
        self._sink = sink
        self._secrets = tuple(secrets)
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._ended = False
        self._changed = threading.Condition()
        self._tail: deque[str] = deque(maxlen=REMEMBERED)
        self._threads = [
            threading.Thread(target=self._read, name="engine-output", daemon=True),
            threading.Thread(target=self._feed, name="engine-log", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def tail(self) -> list[str]:
        """The last REMEMBERED lines, oldest first."""
        with self._changed:
            return list(self._tail)

    def note(self, line: str) -> None:
        """Add a line of our own."""
        with self._changed:
            self._append(line)

    def wait_read(self, timeout_s: float) -> None:
        """Wait until the pipe has ended: every process that could write to it is gone."""
        self._threads[0].join(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` in all until everything is read and handed on."""
        self._threads[0].join(timeout_s)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._threads[1].join(timeout_s)

    def _read(self) -> None:
        with self._pipe as pipe:
            for line in lines_of(iter(lambda: _read_some(pipe), b"")):
                with self._changed:
                    self._append(self._masked(line))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _append(self, line: str) -> None:
        self._tail.append(line)
        self._waiting.append(line)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._changed.notify_all()

    def _masked(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line

    def _feed(self) -> None:
        while batch := self._next():
            for level, line in batch:
                _quietly(self._sink, level, line)

    def _next(self) -> list[tuple[str, str]]:
        """The lines that wait; an empty list when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            lines = [(level_of(line), line) for line in self._waiting]
            if self._dropped:
                lines.insert(0, ("warning", f"{self._dropped} lines of the engine were dropped: the log is too slow"))
            self._waiting.clear()
            self._dropped = 0
        return lines


def _read_some(pipe: IO[bytes]) -> bytes:
    read1: Callable[[int], bytes] = getattr(pipe, "read1")  # noqa: B009  -- a pipe of subprocess is a BufferedReader
    return read1(65536)


def _quietly(sink: LogSink, level: str, line: str) -> None:
    """A sink that fails (disk full) must not stop the reading: the engine would block on a full pipe."""
    with contextlib.suppress(Exception):
        sink(level, line)
