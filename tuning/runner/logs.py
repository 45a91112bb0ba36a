"""Log lines on their way into the database: gathered, cleaned, and written in batches by one thread."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from django.db import DatabaseError, connection
from django.utils import timezone

from tuning.hooks import LogSink
from tuning.models import Experiment, LogLine, Task
from tuning.runner.secrets import Masker

BATCH_LINES = 100
FLUSH_S = 0.5
MAX_LINE = 4096
CUT_MARK = " ... [cut]"

logger = logging.getLogger(__name__)

Mirror = Callable[[LogLine], None]


class LogBuffer:
    """Takes lines from any thread and writes them in batches: at `BATCH_LINES`, every `FLUSH_S` seconds, at `flush`.

    A database that refuses (disk full, locked for too long) never stops an experiment: the lines are counted, dropped
    and reported once it takes lines again. `mirror` sees each line at once, from the thread that it came from.
    """

    def __init__(self, task: Task, mirror: Mirror | None = None) -> None:
        self._task = task
        self._mirror = mirror
        self._mask = Masker()
        self._lines: list[LogLine] = []
        self._dropped = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._wake.set()
        self._thread.join()

    def sink(self, source: LogLine.Source, experiment: Experiment | None = None) -> LogSink:
        """A function that takes the lines of one source."""

        def write(level: str, text: str) -> None:
            self._add(source, experiment, level, text)

        return write

    def flush(self) -> None:
        """Write all that was given so far."""
        with self._writing:
            with self._lock:
                lines, self._lines = self._lines, []
            if lines:
                self._write(lines)

    def _add(self, source: LogLine.Source, experiment: Experiment | None, level: str, text: str) -> None:
        text = _cut(self._mask(_storable(text)))
        line = LogLine(task=self._task, experiment=experiment, at=timezone.now(), level=level, source=source, text=text)
        if self._mirror:
            self._mirror(line)
        with self._lock:
            self._lines.append(line)
            full = len(self._lines) >= BATCH_LINES
        if full:
            self._wake.set()

    def _run(self) -> None:
        try:
            while not self._closed:
                self._wake.wait(FLUSH_S)
                self._wake.clear()
                self.flush()
            self.flush()
        finally:
            connection.close()

    def _write(self, lines: list[LogLine]) -> None:
        note = [self._note_of_loss(lines[0])] if self._dropped else []
        try:
            LogLine.objects.bulk_create([*note, *lines])
        except DatabaseError as error:
            self._dropped += len(lines)
            logger.error("log lines of %s could not be written and are lost: %s", self._task, error)
        else:
            self._dropped = 0

    def _note_of_loss(self, before: LogLine) -> LogLine:
        text = f"{self._dropped} log lines could not be written and are lost"
        return LogLine(task=self._task, at=before.at, level="error", source=LogLine.Source.RUNNER, text=text)


def _storable(text: str) -> str:
    """`text` without what no database takes: NUL, and the lone surrogates by which Python keeps undecodable bytes."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - len(CUT_MARK)] + CUT_MARK
