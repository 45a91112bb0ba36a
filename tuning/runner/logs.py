"""Log lines on their way into the database: gathered, cleaned, and written in batches by one thread."""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from tuning.deployers.output import clean
from tuning.hooks import LogSink
from tuning.models import Experiment, LogLine, Task
from tuning.runner.retention import SLACK_LINES, Growth
from tuning.runner.secrets import Masker

BATCH_LINES = 100
"""Waiting lines that wake the writer."""
FLUSH_S = 0.5
WRITE_LINES = 1_000
"""Lines of one transaction at most: others want to write, too."""
MAX_WAITING_CHARS = 32 * 1024 * 1024
"""What may wait for the database before the oldest lines are dropped; each line counts LINE_CHARS more than it has."""
LINE_CHARS = 200
MAX_LINE = 4096
CUT_MARK = " ... [cut]"

logger = logging.getLogger(__name__)

Mirror = Callable[[LogLine], None]


class LogBuffer:
    """Takes lines from any thread and writes them in batches: at `BATCH_LINES`, every `FLUSH_S` seconds, at `flush`.

    A database that refuses (disk full, locked for too long) never stops an experiment: the lines wait, the oldest are
    dropped when they become too many, and how many is reported once it takes lines again. `mirror` sees each line at
    once, from the thread that it came from.
    """

    def __init__(self, task: Task, mirror: Mirror | None = None) -> None:
        self._task = task
        self._mirror = mirror
        self._mask = Masker()
        self._waiting = _Waiting()
        self._growth = Growth()
        self._refused = False
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._wake.set()
        self._thread.join()

    def sink(self, source: LogLine.Source, experiment: Experiment | None = None) -> LogSink:
        """A function that takes the lines of one source.

        Lines of an experiment belong to the attempt whose claim it carries now: once another one has taken over, they
        are dropped. For an experiment without a claim there is no such fence.
        """
        number, claim = (experiment.pk, experiment.claim) if experiment else (None, "")

        def write(level: str, text: str) -> None:
            for part in _lines_of(text, self._mask):
                line = _Line(timezone.now(), level, source, part, number, claim)
                if self._mirror:
                    self._mirror(LogLine(task=self._task, experiment=experiment, **line.columns))
                self._add(line)

        return write

    def flush(self) -> None:
        """Write all that was given so far; to be called outside of transactions, which the writer would wait for."""
        with self._writing:
            left = len(self._waiting)
            while left > 0 and self._write(min(left, WRITE_LINES)):
                left -= WRITE_LINES

    def _add(self, line: "_Line") -> None:
        with self._lock:
            self._waiting.append(line)
            full = len(self._waiting) >= BATCH_LINES
        if full:
            self._wake.set()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._wake.wait(FLUSH_S)
                self._wake.clear()
                self.flush()
                self._shorten(SLACK_LINES)
                if self._refused:
                    self._closing.wait(FLUSH_S)
            self.flush()
            self._shorten(slack=0)
            self._report_loss()
        finally:
            connection.close()

    def _write(self, most: int) -> bool:
        """Write the oldest `most` lines; False when the database refuses, and they go on waiting."""
        with self._lock:
            lines, dropped = self._waiting.take(most), self._waiting.dropped
        try:
            written = _insert(self._task, lines, dropped)
        except (OperationalError, InterfaceError) as error:
            self._wait_with(lines, error)
            return False
        except DatabaseError as error:
            self._give_up(lines, error)
            return True
        self._refused = False
        self._growth.add(Counter(row.experiment_id for row in written if row.experiment_id))
        if written:
            with self._lock:
                self._waiting.dropped -= dropped
        return True

    def _wait_with(self, lines: list["_Line"], error: Error) -> None:
        connection.close_if_unusable_or_obsolete()
        if not self._refused:
            logger.error("log lines of %s have to wait: %s", self._task, error)
        self._refused = True
        with self._lock:
            self._waiting.put_back(lines)

    def _give_up(self, lines: list["_Line"], error: Error) -> None:
        """Drop lines that the database will never take, which would stand in the way of all others."""
        logger.error("%d log lines of %s cannot be written and are lost: %s", len(lines), self._task, error)
        with self._lock:
            self._waiting.dropped += len(lines)

    def _shorten(self, slack: int) -> None:
        if self._refused:
            return
        try:
            with self._writing:
                self._growth.shorten(slack)
        except Error as error:
            connection.close_if_unusable_or_obsolete()
            logger.warning("the log of an experiment of %s could not be shortened yet: %s", self._task, error)

    def _report_loss(self) -> None:
        with self._lock:
            lost = self._waiting.dropped + len(self._waiting)
        if lost:
            logger.error("%d log lines of %s could not be written and are lost", lost, self._task)


def note(task: Task, level: str, text: str) -> None:
    """Write what the runner says about a task at once, for code without a buffer.

    A task that is gone needs no note; a database that refuses is reported on the console, and nothing is raised.
    """
    parts = _lines_of(text, Masker())
    lines = [_Line(timezone.now(), level, LogLine.Source.RUNNER, part, None, "") for part in parts]
    try:
        _insert(task, lines, 0)
    except Error as error:
        logger.error("a note on %s could not be written and is lost: %s: %s", task, error, text)


class _Line(NamedTuple):
    """One line that waits, and the claim under which it was said."""

    at: datetime
    level: str
    source: LogLine.Source
    text: str
    experiment: int | None
    claim: str

    @property
    def columns(self) -> dict[str, Any]:
        return {"at": self.at, "level": self.level, "source": self.source, "text": self.text}


class _Waiting:
    """Lines that wait, oldest first; never more than MAX_WAITING_CHARS. Whoever uses it holds a lock."""

    def __init__(self) -> None:
        self._lines: deque[_Line] = deque()
        self._chars = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._lines)

    def append(self, line: _Line) -> None:
        self._lines.append(line)
        self._chars += len(line.text) + LINE_CHARS
        self._drop_oldest()

    def put_back(self, lines: list[_Line]) -> None:
        """Take lines again that were taken out of it."""
        self._lines.extendleft(reversed(lines))
        self._chars += sum(len(line.text) + LINE_CHARS for line in lines)
        self._drop_oldest()

    def take(self, most: int) -> list[_Line]:
        """Take out the oldest `most` lines."""
        return [self._pop() for _ in range(min(most, len(self._lines)))]

    def _drop_oldest(self) -> None:
        while self._chars > MAX_WAITING_CHARS:
            self._pop()
            self.dropped += 1

    def _pop(self) -> _Line:
        line = self._lines.popleft()
        self._chars -= len(line.text) + LINE_CHARS
        return line


def _insert(task: Task, lines: list[_Line], dropped: int) -> list[LogLine]:
    """Write the lines of attempts that still hold their claims, and before them how many were dropped.

    The claims are read in the same transaction, and on PostgreSQL locked by it, so that none is lost in between.
    """
    with transaction.atomic():
        claims = _claims(task, {line.experiment for line in lines})
        rows = [
            LogLine(task_id=task.pk, experiment_id=line.experiment, **line.columns)
            for line in lines
            if line.claim in ("", claims.get(line.experiment)) and line.experiment in claims
        ]
        if rows and dropped:
            rows.insert(0, _note_of_loss(rows[0], dropped))
        return LogLine.objects.bulk_create(rows)


def _claims(task: Task, experiments: set[int | None]) -> dict[int | None, str]:
    """The claims of those experiments that still exist; None, for the task itself, when that does."""
    rows = Experiment.objects.select_for_update(no_key=True).filter(pk__in=experiments - {None}).order_by("pk")
    claims: dict[int | None, str] = dict(rows.values_list("pk", "claim"))
    tasks = Task.objects.select_for_update(no_key=True).filter(pk=task.pk)
    if None in experiments and tasks.values_list("pk").first():
        claims[None] = ""
    return claims


def _note_of_loss(before: LogLine, dropped: int) -> LogLine:
    text = f"{dropped} log lines could not be written and are lost"
    return LogLine(task_id=before.task_id, at=before.at, level="error", source=LogLine.Source.RUNNER, text=text)


def _lines_of(text: str, mask: Masker) -> Iterator[str]:
    """The lines of `text` as they are kept: clean, without secrets, none of them empty or too long."""
    # A secret may have several lines itself, so it is looked for before these are told apart.
    parts = [text] if text.isprintable() else map(clean, mask(_storable(text)).split("\n"))
    for part in parts:
        if part.strip():
            yield _cut(mask(part))


def _storable(text: str) -> str:
    """`text` without the lone surrogates by which Python keeps undecodable bytes, and which no database takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - len(CUT_MARK)] + CUT_MARK
