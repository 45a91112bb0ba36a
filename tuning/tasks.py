"""What the queue carries: wake-ups with an id. The rows are the truth; a message too many, or lost, does no harm."""

from huey.contrib.djhuey import HUEY, db_task

from tuning.models import Experiment, Worker
from tuning.runner.dispatch import go_on
from tuning.runner.plans import Plans
from tuning.runner.worker import WorkerProcess

worker = WorkerProcess(Worker.Kind.WORKER)
"""This process as a worker, once `run_worker` has entered it."""
plans = Plans()


@db_task()
def run_experiment(pk: int) -> None:
    """Run one experiment, then see what comes next."""
    if worker.run(pk):
        task = Experiment.objects.filter(pk=pk).values_list("task", flat=True)
        go_on(list(task), plans, run_experiment)


@db_task()
def wake(task: int) -> None:
    """Go on with a task that was started, resumed or found idle."""
    go_on([task], plans, run_experiment)


def waiting() -> int:
    """How many messages nobody has taken yet."""
    return int(HUEY.pending_count())
