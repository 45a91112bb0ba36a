"""Pieces of the log of a task or of an experiment, cut by the ids of lines; see `Slice`.

The work for one piece is bounded, however long the log is and however few of its lines are wanted: at most
`SCAN_LINES` lines are looked at, of which at most `LINES` are given. Every query walks along an index that begins with
the task or the experiment.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from tuning.models import Experiment, LogLine, Task

LINES = 500
"""Lines of one piece at most."""
SCAN_LINES = 20_000
"""Lines that are looked at for one piece, when only some are wanted."""
COUNTED_LINES = 500_000
"""The longest log of which the lines are numbered."""
TEXT_LINES = 2_000
"""Lines that are read at once for a download."""
MAX_ID = 2**63 - 1
SETTLING = timedelta(seconds=5)
"""A task's end is written to its row before it is written to its log."""

LEVELS = ("debug", "info", "warning", "error")
ENDED = (Task.Status.COMPLETED, Task.Status.FAILED, Task.Status.CANCELLED)

Owner = Task | Experiment
"""What has a log; that of a task holds those of its experiments."""


class Line(NamedTuple):
    """A line; `number` counts from 1 in the whole log, `experiment` is None where the line is the task's own."""

    id: int
    number: int | None
    at: datetime
    level: str
    source: str
    experiment: int | None
    text: str


class Place(NamedTuple):
    """A line's id and its number in the whole log, None where nobody has counted; (0, 0) is before the first line."""

    id: int
    number: int | None


START = Place(0, 0)


@dataclass(frozen=True)
class Wanted:
    """Which lines: at least of this level, of this source, with this text in any case; empty: all."""

    level: str = ""
    source: str = ""
    text: str = ""

    @property
    def is_all(self) -> bool:
        """Whether no line is left out."""
        return self == Wanted()

    def of(self, lines: "QuerySet[LogLine]") -> "QuerySet[LogLine]":
        """Those of `lines` that are wanted."""
        if self.level:
            lines = lines.filter(level__in=LEVELS[LEVELS.index(self.level) :])
        if self.source:
            lines = lines.filter(source=self.source)
        return lines.filter(text__icontains=self.text) if self.text else lines


ALL = Wanted()


@dataclass(frozen=True)
class Slice:
    """Lines in the order of their ids, without a gap between the places `first` and `last`, which were looked at.

    `has_older` and `has_newer` say whether there may be more beyond, `is_growing` whether lines may still be written;
    the latter was known before the lines were read, so that the last ones cannot slip through in between. With
    `has_skipped` it begins later than where it was asked to.
    """

    lines: list[Line]
    first: Place
    last: Place
    has_older: bool
    has_newer: bool
    is_growing: bool
    has_skipped: bool = False


def is_growing(owner: Owner) -> bool:
    """Whether lines may still be written, judged by the row as it was read."""
    if isinstance(owner, Experiment):
        waits = owner.status == Experiment.Status.PENDING and owner.task.status not in ENDED
        return waits or owner.status in Experiment.ACTIVE
    if owner.status not in ENDED or (owner.finished_at and timezone.now() - owner.finished_at < SETTLING):
        return True
    return Experiment.objects.filter(task=owner, status__in=Experiment.ACTIVE).exists()


def newest(owner: Owner, wanted: Wanted = ALL) -> Slice:
    """The end of the log."""
    return _end(owner, START, wanted, is_growing=is_growing(owner))


def before(owner: Owner, place: Place, wanted: Wanted = ALL) -> Slice:
    """What comes before a line; its end, when that is much."""
    return _before(owner, place, wanted, has_newer=True, is_growing=is_growing(owner))


def after(owner: Owner, place: Place, wanted: Wanted = ALL) -> Slice:
    """What comes after a line; its beginning, when that is much."""
    return _after(owner, place, wanted, is_growing=is_growing(owner))


def latest(owner: Owner, place: Place, wanted: Wanted = ALL) -> Slice:
    """What comes after a line or, when that is more than one piece, the end of the log only."""
    growing = is_growing(owner)
    most = _most(wanted)
    if _lines_of(owner).filter(id__gt=place.id).order_by("id")[most : most + 1].exists():
        return replace(_end(owner, place, wanted, is_growing=growing), has_skipped=True)
    return _after(owner, place, wanted, is_growing=growing)


def _after(owner: Owner, place: Place, wanted: Wanted, *, is_growing: bool) -> Slice:
    window = _Window.of(_lines_of(owner).filter(id__gt=place.id).order_by("id"), place, 1, wanted)
    first, last = window.places or (place, place)
    return Slice(window.lines, first, last, has_older=place.id > 0, has_newer=window.goes_on, is_growing=is_growing)


def text(owner: Owner) -> Iterator[str]:
    """The whole log as it is now, as text, in pieces of many lines."""
    last = _lines_of(owner).order_by("-id").values_list("id", flat=True).first() or 0
    place = 0
    while rows := list(
        _lines_of(owner).filter(id__gt=place, id__lte=last).order_by("id").values_list(*_COLUMNS)[:TEXT_LINES]
    ):
        yield "".join(_as_text(*row) for row in rows)
        place = rows[-1][0]


_COLUMNS = ("id", "at", "level", "source", "experiment__number", "text")


@dataclass(frozen=True)
class _Window:
    """The lines that were looked at from one place on in one direction, and those of them that were wanted."""

    lines: list[Line]
    places: tuple[Place, Place] | None
    goes_on: bool

    @classmethod
    def of(cls, lines: "QuerySet[LogLine]", place: Place, step: int, wanted: Wanted) -> "_Window":
        """`lines` are ordered away from `place`; `step` is what their numbers grow by."""
        most = _most(wanted)
        ids = list(lines.values_list("id", flat=True)[: most + 1])
        if not ids:
            return cls([], None, goes_on=False)
        seen = ids[:most]
        rows = list(wanted.of(_between(lines, seen[0], seen[-1])).values_list(*_COLUMNS)[:LINES])
        if len(rows) == LINES:
            seen = seen[: seen.index(rows[-1][0]) + 1]
        numbers = _numbers(seen, place, step)
        found = [Line(row[0], numbers.get(row[0]), *row[1:]) for row in rows]
        ends = Place(seen[0], numbers.get(seen[0])), Place(seen[-1], numbers.get(seen[-1]))
        return cls(found[::step], (ends[::step][0], ends[::step][1]), goes_on=len(ids) > len(seen))


def _end(owner: Owner, since: Place, wanted: Wanted, *, is_growing: bool) -> Slice:
    """The end of the log, whose lines are counted from a place on."""
    new = _lines_of(owner).filter(id__gt=since.id)
    last = new.order_by("-id").values_list("id", flat=True).first()
    if last is None:
        return Slice([], since, since, has_older=False, has_newer=False, is_growing=is_growing)
    count = 0 if since.number is None else new.filter(id__lte=last).order_by()[: COUNTED_LINES + 1].count()
    is_counted = since.number is not None and count <= COUNTED_LINES
    end = Place(last + 1, (since.number or 0) + count + 1 if is_counted else None)
    return _before(owner, end, wanted, has_newer=False, is_growing=is_growing)


def _before(owner: Owner, place: Place, wanted: Wanted, *, has_newer: bool, is_growing: bool) -> Slice:
    window = _Window.of(_lines_of(owner).filter(id__lt=place.id).order_by("-id"), place, -1, wanted)
    first, last = window.places or (place, place)
    return Slice(window.lines, first, last, has_older=window.goes_on, has_newer=has_newer, is_growing=is_growing)


def _most(wanted: Wanted) -> int:
    """How many lines are looked at for one piece."""
    return LINES if wanted.is_all else SCAN_LINES


def _lines_of(owner: Owner) -> "QuerySet[LogLine]":
    if isinstance(owner, Experiment):
        return LogLine.objects.filter(experiment=owner)
    return LogLine.objects.filter(task=owner)


def _between(lines: "QuerySet[LogLine]", one: int, other: int) -> "QuerySet[LogLine]":
    return lines.filter(id__gte=min(one, other), id__lte=max(one, other))


def _numbers(ids: list[int], place: Place, step: int) -> dict[int, int]:
    """The numbers of lines that follow `place`; none where its own is not known."""
    if place.number is None:
        return {}
    return {pk: place.number + step * (index + 1) for index, pk in enumerate(ids)}


def _as_text(_: int, at: datetime, level: str, source: str, experiment: int | None, words: str) -> str:
    said_by = f"{source} {experiment}" if experiment else source
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} {level:7} {said_by:13} {words}\n"
