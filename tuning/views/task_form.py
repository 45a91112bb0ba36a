"""Making a task, changing it, and making one like it: a form and its document as YAML beside each other."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from tuning.document.dumping import dump
from tuning.document.task import TaskDocument
from tuning.errors import ConflictError, DocumentError
from tuning.forms.document import (
    BLANK,
    EXAMPLES,
    DocumentForm,
    ExampleForm,
    Page,
    fresh,
    from_form,
    from_text,
    sheet_posted,
    suggestions,
    unreadable,
    uploaded,
)
from tuning.forms.merging import Sheet
from tuning.forms.parameters import KINDS, MAX_ROWS, Row
from tuning.models import Task
from tuning.queue import wake
from tuning.runner import lifecycle
from tuning.runner.intake import create
from tuning.views.answers import operator_required, valid

_REMOVE = re.compile(r"remove-([0-9]{1,4})")
_KEY = re.compile(r"[a-z0-9-]{1,40}")
SAVED = "saved-drafts"
MAX_SAVED = 20
_SAVING = ("create", "create-start", "create-yaml")


@dataclass(frozen=True)
class Purpose:
    """What the form is for. `key` names its draft; `save` makes or changes the task; of a new one, `example` or ""."""

    key: str
    title: str
    verb: str
    cancel: str
    save: Callable[[TaskDocument], Task]
    task: Task | None = None
    note: str = ""
    example: str | None = None


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def task_new(request: HttpRequest) -> HttpResponse:
    """A new task, from nothing or from an example."""
    example = valid(ExampleForm(request.GET)).cleaned_data["example"]
    # Each has a draft of its own: to look at an example takes nothing from what was typed before.
    key = f"new-{example}" if example else "new"
    purpose = Purpose(key, "New task", "Create", reverse("tasks"), create, example=example)
    text = (settings.BASE_DIR / "examples" / f"{example}.yaml").read_text() if example else BLANK
    return _answer(request, purpose, text)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def task_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Another document for a task."""
    task = get_object_or_404(Task, pk=pk)
    note = (
        "" if task.status == Task.Status.PENDING else f"{task} has begun; what you save becomes a new run of its name."
    )
    try:
        lifecycle.EDIT.check(task)
    except ConflictError as error:
        note = str(error)

    def save(document: TaskDocument) -> Task:
        return lifecycle.edit(task, document)

    purpose = Purpose(f"edit-{pk}", f"Edit {task}", "Save", reverse("task", args=[pk]), save, task, note)
    return _answer(request, purpose, dump(task.task_document))


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def task_duplicate(request: HttpRequest, pk: int) -> HttpResponse:
    """A task like another one, under a name that is free; it is made when the form is sent."""
    task = get_object_or_404(Task, pk=pk)
    purpose = Purpose(f"duplicate-{pk}", f"Duplicate {task}", "Create", reverse("task", args=[pk]), create, task)
    return _answer(request, purpose, dump(lifecycle.copy_of(task)))


@operator_required
@require_POST
def task_check(request: HttpRequest) -> JsonResponse:
    """What is wrong with the form as it is now, what it will cost, and what its other side would say."""
    posted = request.POST.dict()
    sheet = sheet_posted(posted)
    page = from_form(sheet)
    form = page.form
    answer: dict[str, Any] = {
        "errors": {name: list(found) for name, found in form.errors.items()},
        "row_errors": form.row_errors,
        "other_errors": form.other_errors,
        "yaml_errors": form.yaml_errors,
        "notes": [str(note) for note in page.checked.notes],
        "cost": render_to_string("tuning/_task_form_cost.html", {"page": page}),
        "yaml": form.sheet.yaml,
        "base": form.sheet.base,
        "readable": page.merged is not None,
    }
    if page.merged is not None and sheet.yaml != sheet.base:
        context = {"form": form, "kinds": KINDS, "max_rows": MAX_ROWS}
        answer["fields"] = dict(form.sheet.texts)
        answer["rows"] = render_to_string("tuning/_task_form_rows.html", context)
    return JsonResponse(answer)


def _answer(request: HttpRequest, purpose: Purpose, text: str) -> HttpResponse:
    if request.method != "POST":
        return _render(request, purpose, fresh(text))
    page = _posted(request)
    do = request.POST.get("do", "check")
    if do not in _SAVING or page.checked.document is None:
        return _render(request, purpose, page, is_told=do in (*_SAVING, "check", "fill"))
    try:
        task = purpose.save(page.checked.document)
    except ConflictError as error:
        messages.warning(request, str(error))
        return _render(request, purpose, page)
    done = "saved" if purpose.verb == "Save" else "made"
    messages.success(request, f"{task} is {done}{_started(request, task) if do == 'create-start' else ''}.")
    return _saved(request, purpose, task)


def _started(request: HttpRequest, task: Task) -> str:
    """Start what was saved; somebody else may have been faster."""
    try:
        lifecycle.start(task, wake)
    except ConflictError as error:
        messages.warning(request, str(error))
        return ""
    return " and started"


def _saved(request: HttpRequest, purpose: Purpose, task: Task) -> HttpResponse:
    """On to the task. The browser throws the drafts away that the cookie names: they are surely with us."""
    response = redirect("task", pk=task.pk)
    names = [name for name in request.COOKIES.get(SAVED, "").split(".") if _KEY.fullmatch(name)]
    kept = ".".join([*names, purpose.key][-MAX_SAVED:])
    response.set_cookie(SAVED, kept, max_age=86_400 * 30, samesite="Lax", secure=settings.TLS)
    return response


def _posted(request: HttpRequest) -> Page:
    """The page after what the pressed button does."""
    do = request.POST.get("do", "check")
    sheet = sheet_posted(request.POST.dict())
    file = request.FILES.get("file")
    if file is not None:
        try:
            text = uploaded(file)
        except DocumentError as error:
            return unreadable(sheet, error)
        page = from_text(text, sheet)
        # What was typed in the form is not what the file says: a person looks at it first.
        return page if do == "create-yaml" else replace(page, checked=replace(page.checked, document=None))
    if do in ("fill", "create-yaml"):
        return from_text(sheet.yaml, sheet)
    return from_form(_with_rows(sheet, do))


def _with_rows(sheet: Sheet, do: str) -> Sheet:
    """The same with a row more or less, when that is what the button does."""
    if do == "add-row" and len(sheet.rows.rows) < MAX_ROWS:
        return replace(sheet, rows=sheet.rows.with_empty())
    if match := _REMOVE.fullmatch(do):
        return replace(sheet, rows=sheet.rows.without(int(match[1])))
    return sheet


def _render(request: HttpRequest, purpose: Purpose, page: Page, *, is_told: bool = True) -> HttpResponse:
    """The page; without `is_told` nothing is said to be wrong with it."""
    if not is_told and page.merged is not None and not (page.merged.faults or page.merged.row_faults):
        page = replace(page, form=DocumentForm(page.form.sheet))
    context = {
        "purpose": purpose,
        "page": page,
        "form": page.form,
        "kinds": KINDS,
        "max_rows": MAX_ROWS,
        "empty_row": Row(),
        "flags": suggestions(),
        "is_told": is_told and request.method == "POST",
        "is_sent": request.method == "POST",
        "examples": EXAMPLES if purpose.example is not None else (),
        "example": purpose.example,
    }
    return render(request, "tuning/task_form.html", context)
