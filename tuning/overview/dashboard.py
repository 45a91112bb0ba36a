"""What the dashboard shows: what runs now, on what, and what came out lately."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Count, Max, Q
from django.utils import timezone

from tuning.models import Experiment, Slot, Task
from tuning.overview.progress import time_left_s
from tuning.overview.tasks import TaskLine, slot_holders, with_cells
from tuning.overview.timeline import LATELY

MOST_TASKS = 8
MOST_SLOTS = 16
STALE = timedelta(minutes=1)
"""Age from which what was read of a GPU says when."""


@dataclass(frozen=True)
class Going:
    """A task that runs or is paused; `left_s` is how long it will take, roughly."""

    line: TaskLine
    left_s: float | None


@dataclass(frozen=True)
class UnderWay:
    """The latest tasks that run or are paused, at most MOST_TASKS; `is_cut` when there are more."""

    tasks: tuple[Going, ...]
    is_cut: bool

    @property
    def running(self) -> int:
        """How many experiments of theirs run now."""
        return sum(each.line.counts.running for each in self.tasks)


@dataclass(frozen=True)
class Failure:
    """A reason, how many experiments failed for it lately, and the last one of them."""

    reason: str
    count: int
    latest: Experiment

    @property
    def words(self) -> str:
        """The reason as one would say it."""
        return self.reason.replace("_", " ").capitalize() or "No reason was kept"


@dataclass(frozen=True)
class SlotLine:
    """A slot and the experiment that has it; what its GPU does, as far as it was read."""

    slot: Slot
    holder: Experiment | None

    @property
    def is_free(self) -> bool:
        """Whether an experiment could have it."""
        return not self.slot.claim and not self.slot.foreign

    @property
    def title(self) -> str:
        """The GPU with its number, or the slot with its own."""
        if self.slot.gpu is None:
            return f"Slot {self.slot.index}"
        return f"GPU {self.slot.gpu}: {self.slot.name}" if self.slot.name else f"GPU {self.slot.gpu}"

    @property
    def memory_percent(self) -> float | None:
        """How full its memory is."""
        used, there_is = self.slot.used_mib, self.slot.memory_mib
        return None if used is None or not there_is else round(min(100.0, 100 * used / there_is), 1)

    @property
    def memory_gib(self) -> tuple[float, float] | None:
        """In use, and altogether."""
        used, there_is = self.slot.used_mib, self.slot.memory_mib
        return None if used is None or not there_is else (used / 1024, there_is / 1024)

    @property
    def is_stale(self) -> bool:
        """Whether nobody has read the GPU for a while, so that it may do something else now."""
        return self.slot.read_at is not None and timezone.now() - self.slot.read_at > STALE


@dataclass(frozen=True)
class Slots:
    """The first slots, at most MOST_SLOTS, and how many there are and are free altogether."""

    lines: tuple[SlotLine, ...]
    total: int
    free: int

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.total - len(self.lines)


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


def under_way() -> UnderWay:
    """What runs or is paused: three queries, and one more for each task that runs."""
    wanted = Task.objects.filter(status__in=(Task.Status.RUNNING, Task.Status.PAUSED)).order_by("-started_at", "-pk")
    found = list(wanted[: MOST_TASKS + 1])
    going = tuple(Going(line, _left_s(line)) for line in with_cells(found[:MOST_TASKS]))
    return UnderWay(going, is_cut=len(found) > MOST_TASKS)


def is_new() -> bool:
    """Whether nobody has made a task yet."""
    return not Task.objects.exists()


def _left_s(line: TaskLine) -> float | None:
    return time_left_s(line.task, line.counts) if line.task.status == Task.Status.RUNNING else None


def slots() -> Slots:
    """Where experiments run, and which: three queries."""
    counted = Slot.objects.aggregate(total=Count("pk"), free=Count("pk", filter=Q(claim="", foreign="")))
    holders = slot_holders()
    lines = tuple(SlotLine(slot, holders.get(slot.claim)) for slot in Slot.objects.all()[:MOST_SLOTS])
    return Slots(lines, counted["total"], counted["free"])


def outcomes_lately() -> dict[str, int]:
    """How many experiments succeeded and failed lately: one query, answered from an index."""
    since = timezone.now() - LATELY
    ended = Experiment.objects.filter(status__in=Experiment.FINISHED, finished_at__gt=since).order_by()
    return dict(ended.values_list("status").annotate(Count("pk")))


def failures() -> list[Failure]:
    """Why experiments failed lately, the most frequent reason first: two queries."""
    since = timezone.now() - LATELY
    failed = Experiment.objects.filter(status=Experiment.Status.FAILED).order_by()
    counted = failed.filter(finished_at__gt=since).values_list("reason").annotate(Count("pk"), Max("finished_at"))
    ends = {reason: (count, last) for reason, count, last in counted}
    rows = failed.filter(finished_at__in=[last for _, last in ends.values()]).select_related("task")
    latest = {(row.reason, row.finished_at): row for row in rows.defer("task__document", "parameters", "command")}
    found = [
        Failure(reason, count, latest[reason, last])
        for reason, (count, last) in ends.items()
        if (reason, last) in latest  # it may be retried in between
    ]
    return sorted(found, key=lambda failure: (-failure.count, failure.reason))


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
