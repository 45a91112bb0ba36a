"""What the dashboard shows: what runs now, on what, and what came out lately."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Count, Max
from django.utils import timezone

from tuning.models import Experiment, Task
from tuning.overview.progress import outcome, time_left_s
from tuning.overview.tasks import TaskLine, with_cells

LATELY = timedelta(hours=24)
MOST_TASKS = 10
MOST_BARS = 200
MOST_LANES = 12
LANE = 38
WIDTH = 960.0
HOURS = 24
GRID = tuple((round(WIDTH * hour / HOURS, 1), HOURS - hour) for hour in range(0, HOURS + 1, 6))
"""Where the lines of hours are, and how many hours ago that is."""


@dataclass(frozen=True)
class UnderWay:
    """A task that runs or is paused; `left_s` is how long it will take, roughly."""

    line: TaskLine
    left_s: float | None


@dataclass(frozen=True)
class Failure:
    """A reason, how many experiments failed for it lately, and the last one of them."""

    reason: str
    count: int
    latest: Experiment


@dataclass(frozen=True)
class Bar:
    """An experiment on the timeline: where it begins and how long it is, of WIDTH."""

    task: int
    number: int
    outcome: str
    start: float
    length: float
    started_at: datetime

    @property
    def look(self) -> str:
        """The name of its style."""
        return "running" if self.outcome in Experiment.ACTIVE else self.outcome


@dataclass(frozen=True)
class Lane:
    """The bars of one task, and how far down they are."""

    task: int
    title: str
    top: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Timeline:
    """The experiments of the last 24 hours; `is_cut` when there were more than are shown."""

    lanes: tuple[Lane, ...]
    until: datetime
    is_cut: bool

    @property
    def height(self) -> int:
        """Of all lanes."""
        return len(self.lanes) * LANE

    @property
    def box(self) -> str:
        """The view box: the lanes, and a line for the hours below."""
        return f"0 0 {WIDTH:g} {self.height + 22}"

    @property
    def count(self) -> int:
        """How many experiments are shown."""
        return sum(len(lane.bars) for lane in self.lanes)


@dataclass(frozen=True)
class Disk:
    """Bytes of the disk that the data folder is on, and of the database; None where that is a server."""

    used_bytes: int
    total_bytes: int
    database_bytes: int | None

    @property
    def percent(self) -> int:
        """How full the disk is."""
        return round(100 * self.used_bytes / max(1, self.total_bytes))


def under_way() -> list[UnderWay]:
    """The tasks that run or are paused, the latest first; a query for each that runs, of at most MOST_TASKS."""
    wanted = Task.objects.filter(status__in=(Task.Status.RUNNING, Task.Status.PAUSED)).order_by("-started_at")
    lines = with_cells(list(wanted[:MOST_TASKS]))
    return [UnderWay(line, _left_s(line)) for line in lines]


def _left_s(line: TaskLine) -> float | None:
    return time_left_s(line.task, line.counts) if line.task.status == Task.Status.RUNNING else None


def outcomes_lately() -> dict[str, int]:
    """How many experiments ended lately, by status: one query."""
    lately = Experiment.objects.filter(finished_at__gt=timezone.now() - LATELY).order_by()
    return dict(lately.values_list("status").annotate(Count("pk")))


def failures() -> list[Failure]:
    """Why experiments failed lately, the most frequent reason first: two queries."""
    since = timezone.now() - LATELY
    failed = Experiment.objects.filter(status=Experiment.Status.FAILED, finished_at__gt=since).order_by()
    counted = list(failed.values_list("reason").annotate(count=Count("pk"), last=Max("pk")))
    latest = Experiment.objects.select_related("task").defer("task__document", "parameters", "command")
    rows = latest.in_bulk([last for _, _, last in counted])
    found = [Failure(reason, count, rows[last]) for reason, count, last in counted if last in rows]
    return sorted(found, key=lambda failure: (-failure.count, failure.reason))


def timeline() -> Timeline:
    """Two queries: what ended lately, and what runs."""
    # Whole minutes, so that a page that asks again gets the same picture for a while.
    until = timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    since = until - LATELY
    columns = ("task", "task__name", "number", "status", "feasible", "started_at", "finished_at")
    begun = Experiment.objects.filter(started_at__isnull=False)
    ended = begun.filter(finished_at__gt=since).order_by("-finished_at").values_list(*columns)[: MOST_BARS + 1]
    active = begun.filter(status__in=Experiment.ACTIVE).order_by("task_id", "number").values_list(*columns)[:MOST_BARS]
    rows = [*active, *ended]
    lanes: dict[int, list[Bar]] = {}
    titles: dict[int, str] = {}
    for task, name, number, status, feasible, started_at, finished_at in rows[:MOST_BARS]:
        titles[task] = name
        start, end = _place(started_at, since), _place(finished_at or until, since)
        bar = Bar(task, number, outcome(status, feasible), start, round(max(3.0, end - start), 1), started_at)
        lanes.setdefault(task, []).append(bar)
    shown = sorted(lanes, reverse=True)[:MOST_LANES]
    drawn = tuple(Lane(task, titles[task], index * LANE, tuple(lanes[task])) for index, task in enumerate(shown))
    return Timeline(drawn, until, is_cut=len(rows) > MOST_BARS or len(lanes) > MOST_LANES)


def _place(at: datetime, since: datetime) -> float:
    share = (at - since) / LATELY
    return round(WIDTH * min(1.0, max(0.0, share)), 1)


def totals() -> dict[str, int]:
    """Tasks and experiments by status, of all time; from indexes, but too long for a part that asks often."""
    experiments = dict(Experiment.objects.order_by().values_list("status").annotate(Count("pk")))
    return {
        "tasks": Task.objects.count(),
        "experiments": sum(experiments.values()),
        "success": experiments.get(Experiment.Status.SUCCESS, 0),
        "failed": experiments.get(Experiment.Status.FAILED, 0),
    }


def disk() -> Disk:
    """How full the disk of the data folder is; no folder is walked."""
    usage = shutil.disk_usage(settings.DATA_DIR)
    size = _database_bytes() if connection.vendor == "sqlite" else None
    return Disk(usage.used, usage.total, size)


def _database_bytes() -> int:
    name = Path(connection.settings_dict["NAME"])
    files: Sequence[Path] = [name, name.with_name(f"{name.name}-wal")]
    return sum(file.stat().st_size for file in files if file.is_file())
