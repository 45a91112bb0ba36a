"""What runs now, on what, and what came out and failed lately."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from tuning.models import Experiment
from tuning.overview import dashboard as read
from tuning.overview.tasks import slots_with_holders
from tuning.overview.workers import worker_count
from tuning.views.live import LivePart


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """The first page."""
    context = {
        "now": _now().render(request),
        "lately": _lately().render(request),
        "totals": read.totals(),
        "disk": read.disk(),
    }
    return render(request, "tuning/dashboard.html", context)


@require_safe
def dashboard_now(request: HttpRequest) -> HttpResponse:
    """What runs, and on what."""
    return _now().answer(request)


@require_safe
def dashboard_lately(request: HttpRequest) -> HttpResponse:
    """The last 24 hours."""
    return _lately().answer(request)


def _now() -> LivePart:
    return LivePart("dashboard-now", reverse("dashboard-now"), "tuning/_dashboard.html", 5, _state())


def _lately() -> LivePart:
    context = {"timeline": read.timeline(), "grid": read.GRID, "failures": read.failures(), "width": read.WIDTH}
    return LivePart("dashboard-lately", reverse("dashboard-lately"), "tuning/_dashboard_lately.html", 10, context)


def _state() -> dict[str, Any]:
    outcomes = read.outcomes_lately()
    slots = slots_with_holders()
    return {
        "worker_count": worker_count(),
        "slots": slots,
        "free": sum(not slot.claim and not slot.foreign for slot, _ in slots),
        "under_way": read.under_way(),
        "succeeded": outcomes.get(Experiment.Status.SUCCESS, 0),
        "failed": outcomes.get(Experiment.Status.FAILED, 0),
    }
