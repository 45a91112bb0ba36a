"""The engines that run now."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from tuning.views.live import LivePart


@require_safe
def deployments(request: HttpRequest) -> HttpResponse:
    """The page."""
    return render(request, "tuning/deployments.html", {"now": _now().render(request)})


@require_safe
def deployments_now(request: HttpRequest) -> HttpResponse:
    """The part of it that changes by itself."""
    return _now().answer(request)


def _now() -> LivePart:
    return LivePart("deployments-now", reverse("deployments-now"), "tuning/_deployments.html", 5)
