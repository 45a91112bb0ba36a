"""The page of one experiment: what was run, how long it took, what was measured, and why it failed."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from tuning.models import Experiment
from tuning.overview.experiment import ExperimentPage
from tuning.views.live import LivePart, live
from tuning.views.log import log_view


@require_safe
def experiment(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """The page of experiment `number` of the task with id `pk`."""
    row = _found(pk, number)
    page = ExperimentPage(row)
    context = {"experiment": row, "task": row.task, "page": page, "now": _now(page).render(request)}
    return render(request, "tuning/experiment.html", {**context, **log_view(row, request)})


@live
def experiment_now(request: HttpRequest, pk: int, number: int) -> LivePart:
    """The part of it that changes by itself."""
    return _now(ExperimentPage(_found(pk, number)))


def _found(pk: int, number: int) -> Experiment:
    return get_object_or_404(Experiment.objects.select_related("task", "worker"), task_id=pk, number=number)


def _now(page: ExperimentPage) -> LivePart:
    row = page.experiment
    every_s = 2 if row.status in Experiment.UNFINISHED else None
    url = reverse("experiment-now", args=[row.task_id, row.number])
    context = {
        "page": page,
        "experiment": row,
        "task": row.task,
        "can_stop": row.status in Experiment.ACTIVE and not row.reason,
        "page_url": reverse("experiment", args=[row.task_id, row.number]),
    }
    return LivePart("experiment-now", url, "tuning/_experiment.html", every_s, context)
