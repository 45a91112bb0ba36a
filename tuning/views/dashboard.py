"""What runs now, on what, and what came out and failed lately."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from tuning.forms.dashboard import PartForm
from tuning.models import Experiment
from tuning.overview import dashboard as read
from tuning.overview.timeline import timeline
from tuning.overview.workers import worker_count
from tuning.views.answers import valid
from tuning.views.live import LivePart, live

EVERY_S = 5


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """The first page."""
    context = {
        **{name: _part(name).render(request) for name in _PARTS},
        "totals": read.totals(),
        "disk": read.disk(),
    }
    return render(request, "tuning/dashboard.html", context)


@live
def dashboard_now(request: HttpRequest) -> LivePart:
    """A part of it: what runs, on what, or what came out in the last 24 hours."""
    return _part(valid(PartForm(request.GET)).cleaned_data["part"])


def _part(name: str) -> LivePart:
    template, context = _PARTS[name]
    url = f"{reverse('dashboard-now')}?part={name}"
    return LivePart(f"dashboard-{name}", url, template, EVERY_S, context())


def _now() -> dict[str, Any]:
    outcomes, under_way = read.outcomes_lately(), read.under_way()
    return {
        "worker_count": worker_count(),
        "under_way": under_way,
        "is_new": not under_way.tasks and read.is_new(),
        "succeeded": outcomes.get(Experiment.Status.SUCCESS, 0),
        "failed": outcomes.get(Experiment.Status.FAILED, 0),
    }


def _slots() -> dict[str, Any]:
    return {"slots": read.slots()}


def _lately() -> dict[str, Any]:
    return {"timeline": timeline(), "failures": read.failures()}


_PARTS = {
    PartForm.NOW: ("tuning/_dashboard.html", _now),
    PartForm.SLOTS: ("tuning/_dashboard_slots.html", _slots),
    PartForm.LATELY: ("tuning/_dashboard_lately.html", _lately),
}
