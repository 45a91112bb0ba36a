"""One task: what it is, how far it is, what it found so far, and its document."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from tuning.document.dumping import dump
from tuning.models import Task
from tuning.views.live import LivePart


@require_GET
def task(request: HttpRequest, pk: int) -> HttpResponse:
    """The page of a task."""
    row = get_object_or_404(Task, pk=pk)
    return render(request, "tuning/task.html", {"task": row, "now": _now(row).render(request), "tab": "overview"})


@require_GET
def task_now(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of it that tells how far it is."""
    return _now(get_object_or_404(Task, pk=pk)).answer(request)


@require_GET
def task_experiments(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of it that lists its experiments."""
    return _now(get_object_or_404(Task, pk=pk)).answer(request)


@require_GET
def task_document(request: HttpRequest, pk: int) -> HttpResponse:
    """Its document as a file."""
    row = get_object_or_404(Task, pk=pk)
    answer = HttpResponse(dump(row.task_document), content_type="application/yaml; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="task-{row.pk}.yaml"'
    return answer


def _now(row: Task) -> LivePart:
    return LivePart("task-now", "", "tuning/_task_now.html", None, {"task": row})
