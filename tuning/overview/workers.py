"""Who runs experiments."""

from tuning.models import Worker
from tuning.runner.maintenance import living


def worker_count() -> int:
    """How many workers live: two queries at most, and a look at the lock file of each.

    A command that runs one task in the foreground is none: no other task gets on by it.
    """
    return len(living(Worker.Kind.WORKER))
