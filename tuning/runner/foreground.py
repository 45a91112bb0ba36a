"""One task in the foreground: this process is its only worker, and shows how it goes."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from django.db import connection

from tuning.errors import ConflictError
from tuning.models import Experiment, Task, Worker
from tuning.runner import lifecycle
from tuning.runner.dispatch import go_on
from tuning.runner.experiment import Watcher
from tuning.runner.logs import Mirror
from tuning.runner.plans import Plans
from tuning.runner.reconcile import is_dead, reconcile, recover
from tuning.runner.worker import WorkerProcess

LOOK_S = 0.5
"""How often a look is taken, while nothing happens here, whether the task was cancelled or a slot has become free."""


@dataclass(frozen=True)
class Progress:
    """Where a task stands: which experiment of how many (at most) is in which phase, and the best one so far."""

    experiment: Experiment
    phase: str
    experiments: int
    best: Experiment | None


class TaskRun:
    """Runs a task to its end, or goes on with one that was interrupted.

    Setting `cancel` cancels the task, which can be gone on with later. `progress` and `mirror` are called from the
    threads that run the experiments.
    """

    def __init__(
        self,
        task: Task,
        *,
        cancel: threading.Event | None = None,
        progress: Callable[[Progress], None] = lambda progress: None,
        mirror: Mirror | None = None,
    ) -> None:
        self._task = task
        self._cancel = cancel or threading.Event()
        self._progress = progress
        self._watcher = Watcher(self._show, mirror, self._cancel.is_set)
        self._plans = Plans()
        self._worker = WorkerProcess(Worker.Kind.FOREGROUND)
        self._running: dict[int, Future[bool]] = {}
        self._happened = threading.Event()

    def run(self) -> None:
        """Run it to an end that is written on its row; ConflictError when another process has it for itself.

        What `progress` or the database raise passes through, with nothing left running; the task can be gone on with.
        """
        with self._worker, self._owning():
            reconcile()
            self._begin()
            with ThreadPoolExecutor(self._task.task_document.max_parallel) as pool, self._stopping():
                self._work(pool)

    @contextlib.contextmanager
    def _owning(self) -> Iterator[None]:
        """Have the task for ourselves: background workers leave it alone meanwhile."""
        owner = self._task.worker
        if owner and not is_dead(owner):
            raise ConflictError(f"Task {self._task} is being run by {owner}; wait for it or stop it first.")
        ours = Task.objects.filter(pk=self._task.pk)
        if not ours.filter(worker=owner).update(worker=self._worker.id):
            raise ConflictError(f"Task {self._task} is being run by another process; wait for it or stop it first.")
        try:
            yield
        finally:
            ours.filter(worker=self._worker.id).update(worker=None)
            self._task.refresh_from_db()

    def _begin(self) -> None:
        self._task.refresh_from_db()
        match self._task.status:
            case Task.Status.PENDING:
                lifecycle.start(self._task, wake=lambda pk: None)
            case Task.Status.PAUSED | Task.Status.CANCELLED:
                lifecycle.resume(self._task, wake=lambda pk: None)

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        """Have the experiments that still run handed back when something goes wrong."""
        try:
            yield
        finally:
            self._worker.stop()

    def _work(self, pool: ThreadPoolExecutor) -> None:
        """Begin what can be begun, again and again, until the task runs no more and nothing of it does."""
        while True:
            if self._cancel.is_set():
                self._cancel_task()
            go_on([self._task.pk], self._plans, lambda pk: self._submit(pool, pk), worker=self._worker.id)
            if not self._running and not self._is_running():
                return
            if not self._running:
                recover()  # what is waited for may be with a worker that is gone
            self._happened.wait(LOOK_S)
            self._happened.clear()
            self._collect()

    def _cancel_task(self) -> None:
        with contextlib.suppress(ConflictError):
            lifecycle.cancel(self._task)
        self._worker.wake()

    def _is_running(self) -> bool:
        return Task.objects.filter(pk=self._task.pk, status=Task.Status.RUNNING).exists()

    def _submit(self, pool: ThreadPoolExecutor, pk: int) -> None:
        if pk not in self._running:
            self._running[pk] = pool.submit(self._run, pk)

    def _collect(self) -> None:
        """Forget what has ended, and pass on what it raised."""
        for pk in [pk for pk, future in self._running.items() if future.done()]:
            self._running.pop(pk).result()

    def _run(self, pk: int) -> bool:
        """Run one experiment in a thread of the pool, whose database connection ends with it."""
        try:
            return self._worker.run(pk, self._watcher)
        finally:
            connection.close()
            self._happened.set()

    def _show(self, experiment: Experiment, phase: str) -> None:
        with self._plans.of(self._task) as planner:
            experiments, best = max(planner.experiments, experiment.number), planner.best
        self._progress(Progress(experiment, phase, experiments, best))
