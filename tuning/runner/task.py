"""One task from its beginning, or from where it stopped, to its end."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Sum
from django.utils import timezone

from tuning.deployers.registry import deployer_for
from tuning.errors import AutotunerError, Cancelled, ConflictError, Reason
from tuning.models import Experiment, LogLine, Task
from tuning.runner import claims
from tuning.runner.experiment import ExperimentRun, Surroundings, results_folder
from tuning.runner.logs import LogBuffer, Mirror
from tuning.runner.planner import Planned, Planner
from tuning.scoring.objectives import Reference

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Where a task stands: which experiment of how many (at most) is in which phase, and the best one so far."""

    experiment: Experiment
    phase: str
    experiments: int
    best: Experiment | None


class TaskRun:
    """Runs a task in the foreground, one experiment after another."""

    def __init__(
        self,
        task: Task,
        *,
        cancel: threading.Event | None = None,
        progress: Callable[[Progress], None] = lambda progress: None,
        mirror: Mirror | None = None,
    ) -> None:
        self._task = task
        self._document = task.task_document
        self._deployer = deployer_for(self._document.deployment.mode)
        self._cancel = cancel or threading.Event()
        self._progress = progress
        self._mirror = mirror
        self._ends_at = float("inf")
        self._logs: LogBuffer

    def run(self) -> None:
        """Run it to an end that is written on its row; ConflictError when another process runs it already.

        Setting `cancel` ends the running experiment and then the task; both can be gone on with later, and so can a
        task that was interrupted by whatever else this raises.
        """
        with claims.owning(self._task), LogBuffer(self._task, self._mirror) as self._logs:
            self._say = self._logs.sink(LogLine.Source.RUNNER)
            try:
                status, message = self._run_all()
            except AutotunerError as error:
                self._end(Task.Status.CANCELLED, f"Interrupted: {error}")
                raise
            self._end(status, message)

    def _run_all(self) -> tuple[Task.Status, str]:
        self._recover()
        self._begin()
        return self._work(Planner(self._document, self._task.experiments.order_by("number")))

    def _end(self, status: Task.Status, message: str) -> None:
        self._say("info", f"{status}: {message}")
        self._logs.flush()
        self._save(status=status, message=message, finished_at=timezone.now())

    def _recover(self) -> None:
        """Remove what an earlier process left running, and take up the experiments that it did not finish."""
        for experiment in self._task.experiments.exclude(handle={}).filter(status__in=Experiment.ACTIVE):
            self._say("warning", f"{experiment} was interrupted; removing what is left of its engine")
            self._deployer.remove(experiment.handle, grace_s=self._document.limits.stop_s)
        unfinished = self._task.experiments.filter(status__in=[*Experiment.ACTIVE, Experiment.Status.CANCELLED])
        if count := claims.hand_back(unfinished):
            self._say("info", f"going on with {count} unfinished experiment{'s' if count > 1 else ''}")

    def _begin(self) -> None:
        self._save(
            status=Task.Status.RUNNING, message="", started_at=self._task.started_at or timezone.now(), finished_at=None
        )
        if self._document.budget.wall_clock_s is not None:
            spent = self._task.experiments.aggregate(spent=Sum("total_s"))["spent"] or 0.0
            self._ends_at = time.monotonic() + self._document.budget.wall_clock_s - spent

    def _work(self, planner: Planner) -> tuple[Task.Status, str]:
        """Run experiments until there is a reason to end; the task's final status and that reason."""
        while True:
            if self._cancel.is_set():
                return Task.Status.CANCELLED, "Cancelled; run it again to go on."
            if time.monotonic() > self._ends_at:
                return self._ended(f"The wall-clock budget of {self._document.budget.wall_clock_s:g} s is used up.")
            if self._too_many_failures():
                failures = self._document.budget.max_failures
                return Task.Status.FAILED, f"{failures} experiments failed one after another."
            experiment = self._next(planner)
            if experiment is None:
                return self._ended(self._search_end(planner))
            self._run(experiment, planner)
            planner.record(experiment)

    def _next(self, planner: Planner) -> Experiment | None:
        pending = self._task.experiments.filter(status=Experiment.Status.PENDING).order_by("number").first()
        if pending:
            return pending
        planned = planner.next()
        return self._create(planned, planner) if planned else None

    def _create(self, planned: Planned, planner: Planner) -> Experiment:
        last = self._task.experiments.order_by("-number").first()
        experiment = Experiment.objects.create(
            task=self._task,
            number=last.number + 1 if last else 1,
            replicate=planned.replicate,
            is_baseline=planned.is_baseline,
            parameters=planned.parameters,
            parameters_hash=planned.parameters_hash,
            gpus=planned.gpus,
        )
        planner.record(experiment)
        return experiment

    def _run(self, experiment: Experiment, planner: Planner) -> None:
        if claims.claim(experiment) is None:
            raise ConflictError(f"{experiment} of {self._task} is being run by another process.")
        self._tidy(experiment)

        best = planner.best

        def changed(experiment: Experiment, phase: str) -> None:
            self._progress(Progress(experiment, phase, max(planner.experiments, experiment.number), best))

        around = Surroundings(self._document, self._logs, self._stop, changed, self._reference())
        run = ExperimentRun(experiment, around)
        try:
            run.run()
        except AutotunerError:
            raise
        except Exception as error:  # the one place that must outlive any defect: the other experiments go on
            logger.exception("%s of %s", experiment, self._task)
            run.finish(
                status=Experiment.Status.FAILED,
                reason=Reason.INTERNAL_ERROR,
                message=f"A defect of the tuner: {type(error).__name__}: {error}",
            )

    def _tidy(self, experiment: Experiment) -> None:
        """Have the folder of raw results fresh, so that nothing of an earlier life can be read."""
        shutil.rmtree(results_folder(experiment), ignore_errors=True)

    def _stop(self) -> None:
        if self._cancel.is_set():
            raise Cancelled("Cancelled.")
        if time.monotonic() > self._ends_at:
            raise Cancelled("The task's wall-clock budget is used up.")

    def _reference(self) -> Reference | None:
        """The baseline, or the first success where there is none: what `balanced` compares with."""
        successes = self._task.experiments.filter(status=Experiment.Status.SUCCESS)
        first = successes.order_by("-is_baseline", "number").first()
        if first is None:
            return None
        return Reference(tuple(row.to_measurement() for row in first.measurements.order_by("index")), first.gpus)

    def _too_many_failures(self) -> bool:
        finished = self._task.experiments.filter(status__in=Experiment.FINISHED).order_by("-finished_at", "-number")
        last = list(finished.values_list("status", flat=True)[: self._document.budget.max_failures])
        return len(last) == self._document.budget.max_failures and set(last) == {Experiment.Status.FAILED}

    def _search_end(self, planner: Planner) -> str:
        if planner.exhausted:
            return "Every configuration of the search space was tried."
        return f"The budget of {self._document.budget.experiments} configurations is used up."

    def _ended(self, why: str) -> tuple[Task.Status, str]:
        if self._task.experiments.filter(status=Experiment.Status.SUCCESS).exists():
            return Task.Status.COMPLETED, why
        return Task.Status.FAILED, f"No experiment succeeded. {why}"

    def _save(self, **columns: object) -> None:
        for name, value in columns.items():
            setattr(self._task, name, value)
        self._task.save(update_fields=list(columns))
