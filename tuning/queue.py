"""The queue from outside: how the worker is woken, and what is said when it will not hear of it soon."""

import contextlib
import logging
import sqlite3

from huey.exceptions import HueyException

from tuning.models import Worker
from tuning.runner.maintenance import living

QUEUE_ERRORS: tuple[type[Exception], ...] = (HueyException, sqlite3.Error, OSError)
"""What Huey lets through when the queue does not answer."""

with contextlib.suppress(ImportError):
    from redis import RedisError

    QUEUE_ERRORS += (RedisError,)

logger = logging.getLogger(__name__)


def wake(task: int) -> None:
    """Wake the worker for a task whose row says already that it runs; without the queue it looks by itself, later."""
    try:
        from tuning import tasks  # noqa: PLC0415 - Huey opens its queue on import, and may find it locked

        tasks.wake(task)
    except QUEUE_ERRORS as error:
        logger.warning("the queue does not answer (%s); a worker finds task %s by itself within 30 s", error, task)


def waiting() -> int:
    """How many wake-ups no worker has taken yet; raises one of QUEUE_ERRORS when the queue does not answer."""
    from tuning import tasks  # noqa: PLC0415 - see above

    return tasks.waiting()


def who_runs_it() -> str:
    """What to know before one waits: that a worker will take a task up, or how to start one."""
    if living(Worker.Kind.WORKER):
        return "The worker takes it up now; `manage.py list_tasks` shows how it goes."
    return "No worker is running; start one with `manage.py run_worker`, or with `make serve`."
