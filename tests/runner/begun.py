"""An experiment that a worker runs in a thread, long enough for a test to act meanwhile."""

import threading
from typing import Any

from django.db import connection

from tests.runner.factories import SLOW, experiment, running
from tuning.models import Experiment
from tuning.runner.experiment import Watcher
from tuning.runner.worker import WorkerProcess

LONG: dict[str, Any] = {"requests": 400}
"""A load of ten seconds with SLOW: a test ends it sooner."""


class Begun:
    """An experiment that is run in a thread."""

    def __init__(self, worker: WorkerProcess, row: Experiment) -> None:
        self._loaded = threading.Event()
        self._result: list[bool] = []
        self._worker, self._pk = worker, row.pk
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Begun":
        self._thread.start()
        assert self._loaded.wait(timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()
        self._thread.join()

    def result(self) -> bool:
        """What `run` returned."""
        self._thread.join()
        (result,) = self._result
        return result

    def _run(self) -> None:
        try:
            self._result.append(self._worker.run(self._pk, Watcher(self._changed)))
        finally:
            connection.close()

    def _changed(self, row: Experiment, phase: str) -> None:
        if phase.startswith("load"):
            self._loaded.set()


def long() -> Experiment:
    """A pending experiment of a running task whose load takes ten seconds."""
    return experiment(running(fixed=SLOW, workload=LONG), parameters={**SLOW, "simulate-time-scale": 0.02})
