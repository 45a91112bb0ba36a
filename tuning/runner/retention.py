"""How much of the logs is kept: head and tail of each experiment, and nothing of tasks that ended long ago.

Lines are written as they come and deleted later, in chunks of short transactions: whoever reads meanwhile sees the
newest lines, and a process that is killed in between leaves a log that is only longer than it has to be.
"""

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from tuning.models import Experiment, LogLine, Task

HEAD_LINES = 5_000
TAIL_LINES = 5_000
SLACK_LINES = 1_000
"""Lines by which a log outgrows the cap before it is shortened, so that one deletion serves many lines."""
CHUNK_LINES = 5_000
"""Lines that one transaction deletes."""

ENDED = (Task.Status.COMPLETED, Task.Status.FAILED, Task.Status.CANCELLED)

_MARK = re.compile(r"\.\.\. (\d+) lines left out \.\.\.")


def mark(lines: int) -> str:
    """The text of the row that stands for `lines` others."""
    return f"... {lines} lines left out ..."


class Growth:
    """Knows which experiments' logs have outgrown the cap, without a query for each batch. Not for several threads."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._new: Counter[int] = Counter()

    def add(self, written: Counter[int]) -> None:
        """Take note of lines that were written: how many for which experiment."""
        self._new.update(written)

    def shorten(self, slack: int = SLACK_LINES) -> None:
        """Shorten the logs that are more than `slack` lines above the cap; raises what the database raises."""
        self._count()
        for experiment, rows in self._rows.items():
            if rows > HEAD_LINES + 1 + TAIL_LINES + slack:
                shorten(experiment)
                self._rows[experiment] = _lines_of(experiment).count()

    def _count(self) -> None:
        """Add what is new; at the first lines of an experiment, what earlier attempts left is counted with them."""
        for experiment, lines in self._new.items():
            known = self._rows.get(experiment)
            self._rows[experiment] = _lines_of(experiment).count() if known is None else known + lines
        self._new.clear()


def shorten(experiment: int) -> int:
    """Keep the first HEAD_LINES and the last TAIL_LINES of an experiment's log, and a mark that counts the others.

    The mark is the first row that was left out, so ids stay in order. Returns how many rows were deleted.
    """
    return _repeat(partial(_shorten_by_a_chunk, experiment))


def prune(days: float) -> int:
    """Delete the log lines of tasks that ended more than `days` ago; how many. 0 keeps all."""
    if not days:
        return 0
    ended = Task.objects.filter(status__in=ENDED, finished_at__lt=timezone.now() - timedelta(days=days))
    with_lines = ended.filter(Exists(LogLine.objects.filter(task=OuterRef("pk"))))
    tasks = list(with_lines.order_by("pk").values_list("pk", flat=True))
    return sum(_repeat(partial(_prune_a_chunk, ended.filter(pk=task), task)) for task in tasks)


def _lines_of(experiment: int) -> QuerySet[LogLine]:
    return LogLine.objects.filter(experiment=experiment).order_by("id")


def _repeat(delete_chunk: Callable[[], int]) -> int:
    """Call it until it deletes nothing more; how much it deleted in all."""
    return sum(iter(delete_chunk, 0))


def _shorten_by_a_chunk(experiment: int) -> int:
    lines = _lines_of(experiment)
    with transaction.atomic():
        # Where SQLite lets one writer in at a time, PostgreSQL has to be told that counting is one step.
        Experiment.objects.select_for_update(no_key=True).filter(pk=experiment).first()
        first = lines[HEAD_LINES : HEAD_LINES + 1].first()
        tail = lines.reverse().values_list("id", flat=True)[TAIL_LINES - 1 : TAIL_LINES].first()
        if first is None or tail is None:
            return 0
        deleted = _delete_first(lines.filter(id__gt=first.pk, id__lt=tail))
        if deleted:
            _count_in(first, deleted)
    return deleted


def _delete_first(lines: QuerySet[LogLine]) -> int:
    """Delete the first CHUNK_LINES of `lines`, which are ordered by id."""
    beyond = lines.values_list("id", flat=True)[CHUNK_LINES : CHUNK_LINES + 1].first()
    chunk = lines if beyond is None else lines.filter(id__lt=beyond)
    return chunk.order_by().delete()[0]


def _count_in(first: LogLine, deleted: int) -> None:
    """Have the first row that is left out say how many are."""
    found = _MARK.fullmatch(first.text) if first.source == LogLine.Source.RUNNER else None
    left_out = deleted + (int(found[1]) if found else 1)
    LogLine.objects.filter(pk=first.pk).update(text=mark(left_out), source=LogLine.Source.RUNNER, level="info")


def _prune_a_chunk(still_ended: QuerySet[Task], task: int) -> int:
    """Delete some lines of a task, unless it runs again."""
    with transaction.atomic():
        if not still_ended.select_for_update(no_key=True).first():
            return 0
        return _delete_first(LogLine.objects.filter(task=task).order_by("id"))
