"""Who works on what: updates of which exactly one caller can win, and writes that only the winner can make."""

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from tuning.errors import ConflictError
from tuning.models import Experiment, Task


@contextmanager
def owning(task: Task) -> Iterator[None]:
    """Be the only process that runs `task`; ConflictError when another one does.

    The lock is the kernel's: it ends with the process, however that ends, so whoever gets it knows that rows which
    still look active belong to nobody.
    """
    folder = settings.DATA_DIR / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / f"task-{task.pk}").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"Task {task} is being run by another process; wait for it or stop it first."
            ) from error
        yield


def claim(experiment: Experiment) -> str | None:
    """Take a pending experiment for a new attempt; the claim when this caller got it, None when another one did."""
    mine = uuid.uuid4().hex
    taken = Experiment.objects.filter(pk=experiment.pk, status=Experiment.Status.PENDING).update(
        status=Experiment.Status.DEPLOYING,
        claim=mine,
        attempt=F("attempt") + 1,
        started_at=timezone.now(),
        **NOTHING_MEASURED,
    )
    if not taken:
        return None
    experiment.refresh_from_db()
    experiment.measurements.all().delete()
    return mine


NOTHING_MEASURED: dict[str, Any] = {
    "reason": "",
    "message": "",
    "handle": {},
    "command": [],
    "command_line": "",
    "value": None,
    "feasible": None,
    "violations": [],
    "missed": [],
    "engine_version": "",
    "load_point": None,
    "deploy_s": None,
    "ready_s": None,
    "benchmark_s": None,
    "remove_s": None,
    "total_s": None,
    "finished_at": None,
}


def write(experiment: Experiment, **columns: Any) -> None:
    """Change an active experiment; ConflictError, and nothing changed, when it is no longer this claim's."""
    mine = Experiment.objects.filter(pk=experiment.pk, claim=experiment.claim, status__in=Experiment.ACTIVE)
    if not mine.update(**columns):
        raise ConflictError(f"{experiment} was taken over by another attempt.")
    for name, value in columns.items():
        setattr(experiment, name, value)


def hand_back(experiments: Any) -> int:
    """Make experiments pending again whose attempt nobody works on any more; how many there were."""
    count: int = experiments.update(status=Experiment.Status.PENDING, claim="")
    return count
