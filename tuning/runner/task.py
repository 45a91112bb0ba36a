"""What a task does next: the experiments that its strategy asks for, or its end."""

import logging
from itertools import groupby

from django.db import IntegrityError, transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

from tuning.document.task import TaskDocument
from tuning.errors import Reason
from tuning.models import Experiment, Task
from tuning.runner import best, logs, slots
from tuning.runner.planner import Planned, Planner, Step
from tuning.runner.plans import Plans
from tuning.scoring.objectives import direction

logger = logging.getLogger(__name__)

SECONDS_PER_HOUR = 3600.0


def advance(pk: int, plans: Plans) -> None:
    """Make the next experiments of a running task, as many as may run at the same time, or end the task.

    Any number of callers may do so at once, in any process: each experiment is made once. Nothing happens when the task
    does not run, or when outcomes are needed first.
    """
    task = Task.objects.filter(pk=pk, status=Task.Status.RUNNING).first()
    if task is None:
        plans.forget(pk)
        return
    document = task.task_document
    if why := spent(task, document):
        _wind_up(task, why)
        return
    if why := _failures(task, document):
        _wind_up(task, why, Task.Status.FAILED)
        return
    with plans.of(task) as planner:
        step = _fill(task, document, planner)
        message = _search_end(planner, document)
    if step is Step.END and not _has_unfinished(task):
        _end(task, message)
        plans.forget(pk)


def _fill(task: Task, document: TaskDocument, planner: Planner) -> Step:
    """Make experiments until enough are under way, or there is a reason to wait or to end."""
    while len(planner.unfinished) < document.max_parallel:
        step = planner.next()
        if isinstance(step, Step):
            return step
        experiment = _create(task, planner.last_number + 1, step)
        if experiment is None:
            return Step.WAIT
        refuse_what_cannot_fit(experiment, document)
        planner.record(experiment)
    return Step.WAIT


def _create(task: Task, number: int, planned: Planned) -> Experiment | None:
    """The row of what is planned; None when somebody else made it, or the task runs no more."""
    try:
        with transaction.atomic():
            same = Task.objects.filter(pk=task.pk, status=Task.Status.RUNNING, revision=task.revision)
            if not same.select_for_update().exists():
                return None
            return Experiment.objects.create(
                task=task,
                number=number,
                replicate=planned.replicate,
                is_baseline=planned.is_baseline,
                parameters=planned.parameters,
                parameters_hash=planned.parameters_hash,
                gpus=planned.gpus,
            )
    except IntegrityError:
        return None


def refuse_what_cannot_fit(experiment: Experiment, document: TaskDocument) -> None:
    """Fail a pending experiment that would wait for ever."""
    if message := slots.problem(experiment, document):
        outcome = {"status": Experiment.Status.FAILED, "reason": Reason.INVALID_CONFIG, "message": message}
        pending = Experiment.objects.filter(pk=experiment.pk, status=Experiment.Status.PENDING)
        with transaction.atomic():
            task = best.lock(experiment.task_id)
            if pending.update(finished_at=timezone.now(), **outcome):
                best.note(task, experiment.parameters_hash, direction(document.objective))
        experiment.refresh_from_db()


def spent(task: Task, document: TaskDocument) -> str:
    """Which budget of time is used up, in a sentence; empty when none is."""
    budget = document.budget
    if budget.wall_clock_s is not None and task.worked_s > budget.wall_clock_s:
        return f"The wall-clock budget of {budget.wall_clock_s:g} s is used up."
    if budget.gpu_hours is not None and _gpu_hours(task) > budget.gpu_hours:
        return f"The budget of {budget.gpu_hours:g} GPU-hours is used up."
    return ""


def _gpu_hours(task: Task) -> float:
    spent = task.experiments.aggregate(gpu_s=Sum(F("spent_s") * F("gpus")))["gpu_s"]
    return float(spent or 0.0) / SECONDS_PER_HOUR


def _failures(task: Task, document: TaskDocument) -> str:
    """That too many experiments failed one after another, in the order of their numbers, whichever ended first.

    Those that never ran for want of slots, and those that somebody stopped, do not count. The failures stay in sight
    while later ones that run end.
    """
    most = document.budget.max_failures
    no_fault = Q(status=Experiment.Status.CANCELLED) | Q(status=Experiment.Status.FAILED, attempt=0)
    no_fault |= Q(status=Experiment.Status.FAILED, reason=Reason.CANCELLED)
    last = task.experiments.exclude(no_fault).order_by("-number").values_list("status", flat=True)
    runs = groupby(last[: most + document.max_parallel])
    if any(status == Experiment.Status.FAILED and len(list(run)) >= most for status, run in runs):
        return f"{most} experiments failed one after another."
    return ""


def _wind_up(task: Task, why: str, status: Task.Status | None = None) -> None:
    """Begin nothing more, and end once nothing runs."""
    unfinished = task.experiments.filter(status__in=Experiment.UNFINISHED)
    unfinished.filter(status=Experiment.Status.PENDING).update(
        status=Experiment.Status.CANCELLED, reason=Reason.CANCELLED, message=why, finished_at=timezone.now()
    )
    if not unfinished.exists():
        _end(task, why, status)


def _has_unfinished(task: Task) -> bool:
    return task.experiments.filter(status__in=Experiment.UNFINISHED).exists()


def _search_end(planner: Planner, document: TaskDocument) -> str:
    if planner.exhausted:
        return "Every configuration of the search space was tried."
    return f"The budget of {document.budget.experiments} configurations is used up."


def _end(task: Task, why: str, status: Task.Status | None = None) -> None:
    """Write the end of a running task and the reason; nothing happens when it does not run any more.

    Without a `status` it is completed when an experiment succeeded, and failed otherwise.
    """
    if status is None and not task.experiments.filter(status=Experiment.Status.SUCCESS).exists():
        why = f"No experiment succeeded. {why}"
        status = Task.Status.FAILED
    status = status or Task.Status.COMPLETED
    running = Task.objects.filter(pk=task.pk, status=Task.Status.RUNNING)
    if running.update(status=status, message=why, finished_at=timezone.now(), worker=None):
        logs.note(task, "info", f"{status}: {why}")
        logger.info("task %s %s: %s", task.pk, status, why)
