"""A process that runs experiments: its sign of life, what it holds, and how all of it ends."""

import contextlib
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from tuning.deployers.base import Owner, Role
from tuning.document.goals import ObjectiveName
from tuning.errors import AutotunerError, LeaseLost, Reason
from tuning.models import Experiment, Worker
from tuning.runner import clock, leases, locks, slots
from tuning.runner.experiment import NOBODY, ExperimentRun, Surroundings, Watcher, results_folder
from tuning.runner.instance import instance_id
from tuning.runner.leases import Lease
from tuning.runner.logs import LogBuffer
from tuning.runner.reconcile import MAX_LOSSES
from tuning.scoring.objectives import Reference

logger = logging.getLogger(__name__)

BEAT_S = 1.0
"""How often leases are renewed, at least, and cancellations noticed."""


class WorkerProcess:
    """This process as a worker: entered, it shows that it lives; left, it holds nothing any more.

    Several threads may `run` experiments at the same time.
    """

    def __init__(self, kind: Worker.Kind) -> None:
        self.id = uuid.uuid4().hex
        self._kind = kind
        self._leases: dict[str, Lease] = {}
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)
        self._lock = contextlib.ExitStack()
        self._shown = 0.0

    def __enter__(self) -> Self:
        for name in Owner("", 0, 0, 0).environment(Role.LOAD):
            os.environ.pop(name, None)  # of an engine from whose shell this process was started
        self._lock.enter_context(locks.holding(locks.worker_lock(self.id), "This worker"))
        slots.register()
        self._show_life()
        self._lock.enter_context(slots.watched())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._wake.set()
        self._thread.join()
        Worker.objects.filter(pk=self.id).delete()
        locks.worker_lock(self.id).unlink(missing_ok=True)
        self._lock.close()

    def stop(self) -> None:
        """Have every running experiment handed back soon; nothing new is taken."""
        self._stopping.set()

    def wake(self) -> None:
        """Look at once whether something was cancelled."""
        self._wake.set()

    def run(self, pk: int, watcher: Watcher = NOBODY) -> bool:
        """Take the experiment with this id and run it to an end that is on its row; False when it was not to be had."""
        if self._stopping.is_set():
            return False
        lease = leases.take(pk, worker=self.id)
        if lease is None:
            return False
        with self._holding(lease), LogBuffer(lease.experiment.task, watcher.mirror) as logs:
            self._run(lease, Surroundings(logs, self._stopping.is_set, watcher, _reference(lease)))
        return True

    def beat(self) -> None:
        """Renew what is held, and notice what was cancelled."""
        with self._changing:
            held = list(self._leases.values())
        if held:
            leases.renew(held)
        if time.monotonic() > self._shown + settings.AUTOTUNER_LEASE_S / 4:
            self._show_life()

    def _run(self, lease: Lease, around: Surroundings) -> None:
        shutil.rmtree(results_folder(lease.experiment), ignore_errors=True)  # nothing of an earlier life can be read
        run = ExperimentRun(lease, around)
        try:
            run.run()
        except LeaseLost as error:
            logger.warning("%s of %s: %s", lease.experiment, lease.experiment.task, error)
        except AutotunerError:
            raise
        except (OperationalError, InterfaceError) as error:
            _run_again(run, lease, " ".join(str(error).split()))
        except Exception as error:  # the one place that must outlive any defect: the other experiments go on
            logger.exception("%s of %s", lease.experiment, lease.experiment.task)
            message = f"A defect of the tuner: {type(error).__name__}: {error}"
            with contextlib.suppress(LeaseLost):
                run.finish(status=Experiment.Status.FAILED, reason=Reason.INTERNAL_ERROR, message=message)

    @contextlib.contextmanager
    def _holding(self, lease: Lease) -> Iterator[None]:
        with self._changing:
            self._leases[lease.claim] = lease
        try:
            yield
        finally:
            with self._changing:
                del self._leases[lease.claim]

    def _live(self) -> None:
        try:
            while not self._closed.is_set():
                self._wake.wait(min(BEAT_S, settings.AUTOTUNER_LEASE_S / 3))
                self._wake.clear()
                self._beat_safely()
        finally:
            connection.close()

    def _beat_safely(self) -> None:
        try:
            self.beat()
        except Error as error:
            logger.warning("no sign of life could be written: %s", error)
            connection.close()

    def _show_life(self) -> None:
        self._shown = time.monotonic()
        with transaction.atomic():  # see Lease.renew
            columns = {"lease_until": clock.lease_end(clock.reading()), "seen_at": timezone.now()}
            if not Worker.objects.filter(pk=self.id).update(**columns):
                identity = {"kind": self._kind, "node": instance_id(), "host": socket.gethostname(), "pid": os.getpid()}
                Worker.objects.create(pk=self.id, **identity, **columns)


def _run_again(run: ExperimentRun, lease: Lease, error: str) -> None:
    """The database was away, which says nothing of the configuration; it counts as a loss, so that it ends some day."""
    logger.warning("%s of %s: the database refused: %s", lease.experiment, lease.experiment.task, error)
    connection.close()
    losses = lease.experiment.losses + 1
    with contextlib.suppress(LeaseLost):
        if losses < MAX_LOSSES:
            lease.give_back(losses=losses)
        else:
            message = f"The database refused during {losses} attempts: {error}"
            run.finish(status=Experiment.Status.FAILED, reason=Reason.INTERNAL_ERROR, message=message)


def _reference(lease: Lease) -> Reference | None:
    """The baseline, or the first success where there is none: what `balanced` compares with."""
    if lease.document.objective.name is not ObjectiveName.BALANCED:
        return None
    successes = Experiment.objects.filter(task=lease.experiment.task_id, status=Experiment.Status.SUCCESS)
    first = successes.order_by("-is_baseline", "number").first()
    if first is None:
        return None
    return Reference(tuple(row.to_measurement() for row in first.measurements.order_by("index")), first.gpus)
