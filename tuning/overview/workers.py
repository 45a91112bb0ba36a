"""Who runs experiments."""

from tuning.models import Worker
from tuning.runner.maintenance import living


def worker_count() -> int:
    """How many processes live that run experiments: a query, and a look at the lock file of each."""
    return len(living(Worker.Kind.WORKER, Worker.Kind.FOREGROUND))
