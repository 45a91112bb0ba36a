"""The experiments of the last 24 hours as bars by time, in a lane for each task."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from tuning.models import Experiment, Task
from tuning.overview.progress import outcome

LATELY = timedelta(hours=24)
MOST_BARS = 200
MOST_LANES = 8
LOOKS = ("feasible", "infeasible", "failed", "cancelled", "running")
SHORTEST = 0.4
"""Percent of the width that a bar has at least, or nobody would see it."""
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
SPANS = (
    (_HOUR, 15 * _MINUTE),
    (3 * _HOUR, _HOUR),
    (6 * _HOUR, 2 * _HOUR),
    (12 * _HOUR, 3 * _HOUR),
    (LATELY, 6 * _HOUR),
)
"""How far back a timeline may go, and how far apart its lines are then."""
_LABELLED = (30.0, 84.0)
"""Percent of the width between which a line has a label: at the edges are those of the edges."""


class _Row(NamedTuple):
    task: int
    name: str
    run: int
    number: int
    status: str
    feasible: bool | None
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Bar:
    """An experiment: where it begins and how long it is, in percent of the width."""

    number: int
    outcome: str
    start: float
    length: float

    @property
    def look(self) -> str:
        """The name of its style, which has a shape and a colour."""
        return "running" if self.outcome in Experiment.ACTIVE else self.outcome


@dataclass(frozen=True)
class Lane:
    """The bars of one task, the earliest first."""

    task: int
    title: str
    bars: tuple[Bar, ...]

    @property
    def said(self) -> str:
        """What became of its experiments, in words."""
        looks = [bar.look for bar in self.bars]
        return ", ".join(f"{looks.count(word)} {word}" for word in LOOKS if word in looks)


@dataclass(frozen=True)
class Tick:
    """A line at a full hour, or a quarter of one; `x` in percent of the width. Near the edges it has no label."""

    x: float
    at: datetime
    is_labelled: bool


@dataclass(frozen=True)
class Timeline:
    """From `since` to now, with as many hours as are needed, 24 at most; `is_cut` when there was more to show."""

    lanes: tuple[Lane, ...] = ()
    ticks: tuple[Tick, ...] = ()
    hours: int = 24
    is_cut: bool = False

    @property
    def count(self) -> int:
        """How many experiments are shown."""
        return sum(len(lane.bars) for lane in self.lanes)


def timeline() -> Timeline:
    """Two queries: what runs, and what ended lately."""
    rows = [*_running(), *_ended()]
    shown = rows[:MOST_BARS]
    if not shown:
        return Timeline()
    span, step = _span(min(row.started_at for row in shown))
    until = _until(span)
    lanes = _lanes(shown, until - span, span)
    is_cut = len(rows) > MOST_BARS or len(lanes) > MOST_LANES
    return Timeline(lanes[:MOST_LANES], tuple(_ticks(until - span, span, step)), span // _HOUR, is_cut)


def _running() -> Iterator[_Row]:
    return _rows(Experiment.objects.filter(status__in=Experiment.ACTIVE).order_by("task_id", "number"))


def _ended() -> Iterator[_Row]:
    return _rows(Experiment.objects.filter(finished_at__gt=timezone.now() - LATELY).order_by("-finished_at"))


def _rows(experiments: "QuerySet[Experiment]") -> Iterator[_Row]:
    columns = ("task", "task__name", "task__run", "number", "status", "feasible", "started_at", "finished_at")
    return (_Row(*row) for row in experiments.filter(started_at__isnull=False).values_list(*columns)[: MOST_BARS + 1])


def _span(earliest: datetime) -> tuple[timedelta, timedelta]:
    age = timezone.now() - earliest
    return next((each for each in SPANS if age < each[0]), SPANS[-1])


def _until(span: timedelta) -> datetime:
    """Now, a little rounded up: a page that asks again gets the same picture for a while."""
    grain = span / 240
    epoch = timezone.now().timestamp() / grain.total_seconds()
    return datetime.fromtimestamp(math.ceil(epoch) * grain.total_seconds(), tz=timezone.get_default_timezone())


def _lanes(rows: list[_Row], since: datetime, span: timedelta) -> tuple[Lane, ...]:
    tasks: dict[int, list[_Row]] = {}
    for row in rows:
        tasks.setdefault(row.task, []).append(row)
    newest = sorted(tasks.items(), reverse=True)
    return tuple(Lane(task, str(Task(name=of[0].name, run=of[0].run)), _bars(of, since, span)) for task, of in newest)


def _bars(rows: list[_Row], since: datetime, span: timedelta) -> tuple[Bar, ...]:
    def place(at: datetime) -> float:
        return 100 * min(1.0, max(0.0, (at - since) / span))

    bars = []
    for row in sorted(rows, key=lambda row: row.started_at):
        start, end = place(row.started_at), place(row.finished_at or since + span)
        length = max(SHORTEST, end - start)
        word = outcome(row.status, row.feasible)
        bars.append(Bar(row.number, word, round(min(start, 100 - length), 2), round(length, 2)))
    return tuple(bars)


def _ticks(since: datetime, span: timedelta, step: timedelta) -> Iterator[Tick]:
    step_s = step.total_seconds()
    first = math.ceil(since.timestamp() / step_s)
    for number in range(first, first + span // step + 1):
        at = datetime.fromtimestamp(number * step_s, tz=since.tzinfo)
        x = 100 * ((at - since) / span)
        if x <= 100:
            yield Tick(round(x, 2), at, is_labelled=_LABELLED[0] <= x <= _LABELLED[1])
