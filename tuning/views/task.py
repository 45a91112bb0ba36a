"""One task: what it is, how far it is, what it found so far, and its document."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from tuning.document.dumping import dump
from tuning.forms.experiments_table import ExperimentsTableForm
from tuning.models import Task
from tuning.overview.experiments_table import experiments_table
from tuning.overview.progress import Counts, document_of
from tuning.overview.results import Snapshot
from tuning.overview.standing import Standing
from tuning.overview.task import TASKS, changes, counts_and_standing, other_runs, task_now
from tuning.views.answers import valid
from tuning.views.live import LivePart, live

EVERY_S = 2


@require_safe
def task(request: HttpRequest, pk: int) -> HttpResponse:
    """The page of a task."""
    row = get_object_or_404(TASKS, pk=pk)
    form = _form(request, row)
    counts, standing = counts_and_standing(row)
    context = {
        "task": row,
        "tab": "overview",
        "now": _now_part(row, counts, standing).render(request),
        "experiments": _experiments_part(request, row, form, counts, standing).render(request),
        "snapshot": Snapshot.of(row, counts),
        "form": form,
        "choice": form.choice,
        "others": other_runs(row),
        "yaml": dump(document_of(row)),
    }
    return render(request, "tuning/task.html", context)


@live
def task_part(request: HttpRequest, pk: int) -> LivePart:
    """The part of it that tells how far it is."""
    row = get_object_or_404(TASKS, pk=pk)
    return _now_part(row, *counts_and_standing(row))


@live
def task_experiments(request: HttpRequest, pk: int) -> LivePart:
    """The part of it that lists its experiments."""
    row = get_object_or_404(TASKS, pk=pk)
    form = _form(request, row)
    return _experiments_part(request, row, form, *counts_and_standing(row))


@require_safe
def task_document(request: HttpRequest, pk: int) -> HttpResponse:
    """Its document as a file."""
    row = get_object_or_404(Task, pk=pk)
    answer = HttpResponse(dump(document_of(row)), content_type="application/yaml; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="task-{row.pk}.yaml"'
    return answer


def _form(request: HttpRequest, row: Task) -> ExperimentsTableForm:
    return valid(ExperimentsTableForm(request.GET, document_of(row)))


def _now_part(row: Task, counts: Counts, standing: Standing) -> LivePart:
    now = task_now(row, counts, standing)
    every_s = EVERY_S if now.changes else None
    return LivePart("task-now", reverse("task-now", args=[row.pk]), "tuning/_task_now.html", every_s, {"now": now})


def _experiments_part(
    request: HttpRequest, row: Task, form: ExperimentsTableForm, counts: Counts, standing: Standing
) -> LivePart:
    table = experiments_table(row, document_of(row), counts, standing, form.choice)
    url = f"{reverse('task-experiments', args=[row.pk])}?{request.GET.urlencode()}"
    context = {"task": row, "table": table, "page": table.page, "choice": form.choice, "sort": form.choice.sort}
    every_s = EVERY_S if changes(row, counts) else None
    version = (table.lines, table.segments, table.page.number, table.page.paginator.count, every_s)
    return LivePart("task-experiments", url.rstrip("?"), "tuning/_task_experiments.html", every_s, context, version)
