"""All tasks: which there are, how far they are, and what came out."""

from typing import Any

from django.db.models import Count, ExpressionWrapper, F, fields
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from tuning.forms.tasks import TaskListForm
from tuning.models import Task
from tuning.overview.actions import action_of
from tuning.overview.tasks import matching, with_cells
from tuning.overview.workers import worker_count
from tuning.views.answers import valid
from tuning.views.live import LivePart, live

PER_PAGE = 25
BATCH = ("start", "pause", "resume", "cancel", "retry", "delete")


@require_safe
def tasks(request: HttpRequest) -> HttpResponse:
    """The list."""
    form = valid(TaskListForm(request.GET))
    context = {"form": form, "batch": [action_of(word) for word in BATCH], "now": _now(request, form).render(request)}
    return render(request, "tuning/tasks.html", context)


@live
def tasks_now(request: HttpRequest) -> LivePart:
    """The part of it that changes by itself."""
    return _now(request, valid(TaskListForm(request.GET)))


def _now(request: HttpRequest, form: TaskListForm) -> LivePart:
    asked = f"?{request.GET.urlencode()}" if request.GET else ""
    url, page_url = reverse("tasks-now") + asked, reverse("tasks") + asked
    context = _context(form)
    lines = tuple((*_kept(line.task), line.counts, line.cells) for line in context["lines"])
    version = (lines, context["page"].number, context["statuses"], context["worker_count"] > 0)
    return LivePart("tasks-now", url, "tuning/_tasks.html", 5, context | {"page_url": page_url}, version)


def _kept(task: Task) -> tuple[object, ...]:
    """What the list shows of a row."""
    return task.pk, task.document_digest, task.status, task.message, task.best_value, task.best_ratio, task.finished_at


def _context(form: TaskListForm) -> dict[str, Any]:
    wanted = form.cleaned_data
    found = Task.objects.filter(matching(wanted["q"]))
    by_status = dict(found.order_by().values_list("status").annotate(Count("pk")))
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=fields.DurationField())
    rows = found.filter(status=wanted["status"]) if wanted["status"] else found
    page = form.paged(form.sorted(rows.annotate(took=took)), per_page=PER_PAGE)
    return {
        "page": page,
        "lines": with_cells(list(page)),
        "sort": wanted["sort"],
        "status": wanted["status"],
        "is_filtered": bool(wanted["q"] or wanted["status"]),
        "statuses": [(status, by_status.get(status, 0)) for status in Task.Status.values],
        "count": sum(by_status.values()),
        "worker_count": worker_count(),
    }
