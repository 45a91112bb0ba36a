"""The engines that run now, and how one of them is stopped."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from tuning.errors import ConflictError
from tuning.models import Experiment
from tuning.overview import deployments as overview
from tuning.runner import lifecycle
from tuning.views.answers import back, operator_required
from tuning.views.live import LivePart, live


@require_safe
def deployments(request: HttpRequest) -> HttpResponse:
    """The page."""
    return render(request, "tuning/deployments.html", {"now": _now().render(request)})


@live
def deployments_now(request: HttpRequest) -> LivePart:
    """The part of it that changes by itself."""
    return _now()


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def deployment_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the experiment with this id, which runs, is to be stopped, or do it."""
    rows = Experiment.objects.select_related("task")
    if request.method != "POST":
        row = get_object_or_404(rows, pk=pk, status__in=Experiment.ACTIVE)
        return render(request, "tuning/deployment_stop.html", {"experiment": row, "next": request.GET.get("next", "")})
    row = get_object_or_404(rows, pk=pk)
    try:
        lifecycle.stop(row, request.user.get_username())
        messages.success(
            request, f"Experiment {row.number} of {row.task} is stopped: its engine is removed within seconds."
        )
    except ConflictError as error:
        messages.warning(request, str(error))
    return back(request, reverse("deployments"))


def _now() -> LivePart:
    context = {"deployments": overview.deployments(), "kept": overview.kept_slots()}
    return LivePart("deployments-now", reverse("deployments-now"), "tuning/_deployments.html", 5, context)
