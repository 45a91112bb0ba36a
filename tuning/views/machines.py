"""Workers and GPUs: who runs experiments, and on what."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from tuning.overview import machines as overview
from tuning.views.live import LivePart, live


@require_safe
def machines(request: HttpRequest) -> HttpResponse:
    """The page."""
    return render(request, "tuning/machines.html", {"now": _now().render(request)})


@live
def machines_now(request: HttpRequest) -> LivePart:
    """The part of it that changes by itself."""
    return _now()


def _now() -> LivePart:
    found = overview.machines()
    alive = sum(line.is_alive for machine in found for line in machine.workers)
    context = {"machines": found, "worker_count": alive}
    return LivePart("machines-now", reverse("machines-now"), "tuning/_machines.html", 5, context)
