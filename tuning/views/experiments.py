"""Experiments of all tasks."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from tuning.forms.experiments import ExperimentListForm
from tuning.forms.listing import PER_PAGE
from tuning.models import Task
from tuning.overview.counting import CappedPaginator
from tuning.overview.experiments import lines, matching
from tuning.views.answers import valid
from tuning.views.live import LivePart, live

FILTERS = ("q", "status", "reason", "outcome", "task")


@require_safe
def experiments(request: HttpRequest) -> HttpResponse:
    """The list."""
    form = valid(ExperimentListForm(request.GET))
    task = Task.objects.filter(pk=form.cleaned_data["task"]).first() if form.cleaned_data["task"] else None
    context = {"form": form, "task": task, "now": _now(request, form).render(request)}
    return render(request, "tuning/experiments.html", context)


@live
def experiments_now(request: HttpRequest) -> LivePart:
    """The part of it that changes by itself."""
    return _now(request, valid(ExperimentListForm(request.GET)))


def _now(request: HttpRequest, form: ExperimentListForm) -> LivePart:
    query = request.GET.copy()
    query.pop("seen", None)
    url = reverse("experiments-now") + (f"?{query.urlencode()}" if query else "")
    return LivePart("experiments-now", url, "tuning/_experiments.html", 5, _context(form))


def _context(form: ExperimentListForm) -> dict[str, Any]:
    wanted = form.cleaned_data
    page = CappedPaginator(form.sorted(matching(wanted)), PER_PAGE).get_page(wanted["page"] or 1)
    return {
        "page": page,
        "lines": list(lines(page.object_list)),
        "sort": wanted["sort"],
        "is_filtered": any(wanted[name] for name in FILTERS),
    }
