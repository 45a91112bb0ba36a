"""What a task found: its results, the data of its charts, and experiments side by side."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from tuning.models import Task


@require_GET
def task_results(request: HttpRequest, pk: int) -> HttpResponse:
    """The results of a task."""
    return render(request, "tuning/results.html", {"task": get_object_or_404(Task, pk=pk)})


@require_GET
def task_charts(request: HttpRequest, pk: int) -> HttpResponse:
    """The data of its charts."""
    get_object_or_404(Task, pk=pk)
    return JsonResponse({})


@require_GET
def task_compare(request: HttpRequest, pk: int) -> HttpResponse:
    """Some of its experiments side by side."""
    return render(request, "tuning/results.html", {"task": get_object_or_404(Task, pk=pk)})
