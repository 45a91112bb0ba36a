"""What an operator does with tasks: one, or several at a time."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from tuning.errors import ConflictError
from tuning.forms.tasks import BatchForm
from tuning.models import Task
from tuning.overview.actions import action_of, rule_of
from tuning.queue import wake
from tuning.runner import lifecycle
from tuning.runner.maintenance import contents_of
from tuning.views.answers import back, operator_required, valid


def _start(task: Task) -> str:
    lifecycle.start(task, wake)
    return f"{task} is started."


def _pause(task: Task) -> str:
    lifecycle.pause(task)
    return f"{task} is paused: what runs is finished, nothing more begins."


def _resume(task: Task) -> str:
    lifecycle.resume(task, wake)
    return f"{task} goes on."


def _cancel(task: Task) -> str:
    lifecycle.cancel(task)
    return f"{task} is cancelled: what runs is ended within seconds."


def _retry(task: Task) -> str:
    count = lifecycle.retry(task, wake)
    return f"{count} failed experiment{'s' if count != 1 else ''} of {task} will run again."


def _restart(task: Task) -> str:
    again = lifecycle.restart(task, wake)
    return f"{again} is started; the results so far are kept."


def _delete(task: Task) -> str:
    lost = f"{task} with {contents_of(task)}"
    lifecycle.delete(task)
    return f"Deleted: {lost}."


_DONE: dict[str, Callable[[Task], str]] = {
    "start": _start,
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "retry": _retry,
    "restart": _restart,
    "delete": _delete,
}


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Ask whether it is meant, or do it."""
    task = get_object_or_404(Task, pk=pk)
    if request.method != "POST":
        return _question(request, action, [task])
    try:
        messages.success(request, _DONE[action](task))
    except ConflictError as error:
        messages.warning(request, str(error))
    is_gone = action == "delete" and not Task.objects.filter(pk=pk).exists()
    return back(request, reverse("tasks") if is_gone else reverse("task", args=[pk]))


@operator_required
@require_POST
def act_on_several(request: HttpRequest) -> HttpResponse:
    """Do one thing with each of the chosen tasks; where something is lost, ask first."""
    form = BatchForm(request.POST)
    if "task" in form.errors and "task" not in request.POST:
        messages.warning(request, "No task is chosen.")
        return back(request, reverse("tasks"))
    wanted = valid(form).cleaned_data
    tasks = list(Task.objects.filter(pk__in=wanted["task"]).order_by("pk"))
    if action_of(wanted["action"]).asks and not wanted["sure"]:
        return _question(request, wanted["action"], tasks)
    _say(request, wanted["action"], tasks)
    return back(request, reverse("tasks"))


def _say(request: HttpRequest, word: str, tasks: list[Task]) -> None:
    """Do it with each, and say in one message what was done and what was refused."""
    done, refused = [], []
    for task in tasks:
        try:
            _DONE[word](task)
            done.append(str(task))
        except ConflictError as error:
            refused.append(str(error))
    what = rule_of(word).done
    text = f"{len(done)} of {len(tasks)} {what}{': ' if done else ''}{', '.join(done)}."
    level = messages.WARNING if refused or not done else messages.SUCCESS
    messages.add_message(request, level, " ".join([text, *refused]))


def _question(request: HttpRequest, word: str, tasks: list[Task]) -> HttpResponse:
    """The page that says what is lost; what cannot be done now is said before it is asked."""
    lines = [_line(word, task) for task in tasks]
    context: dict[str, Any] = {
        "action": action_of(word),
        "lines": lines,
        "possible": [line for line in lines if not line["refused"]],
        "is_one": len(tasks) == 1,
        "next": request.GET.get("next") or request.POST.get("next") or "",
    }
    return render(request, "tuning/task_action.html", context)


def _line(word: str, task: Task) -> dict[str, Any]:
    refused = ""
    try:
        rule_of(word).check(task)
    except ConflictError as error:
        refused = str(error)
    return {"task": task, "refused": refused, "lost": _lost(word, task)}


def _lost(word: str, task: Task) -> str:
    """What this does, in a sentence."""
    if word == "delete":
        return f"Lost for ever: {contents_of(task)}."
    if word == "cancel":
        running = task.experiments.filter(status__in=("deploying", "benchmarking")).count()
        lost = f"What {running} running experiment{'s' if running != 1 else ''} measured so far is lost. "
        return f"{lost if running else ''}What has finished is kept, and it can be resumed."
    if word == "retry":
        failed = task.experiments.filter(status="failed").count()
        return f"{failed} failed experiment{'s' if failed != 1 else ''} will run again; why they failed is forgotten."
    if word == "restart":
        return "A new run begins from the first experiment; the results of this one are kept."
    return ""
