"""What an operator does with tasks: one, or several at a time."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from tuning.errors import ConflictError
from tuning.forms.tasks import BatchForm
from tuning.models import Task
from tuning.overview.actions import action_of, consequence, rule_of
from tuning.queue import wake
from tuning.runner import lifecycle
from tuning.runner.maintenance import contents_of
from tuning.views.answers import back, is_ours, operator_required, valid

MOST_NAMED = 10
"""Tasks that a message names; of more it says how many they are."""


@dataclass(frozen=True)
class _Done:
    """What was done, in a sentence, and the page that shows it."""

    text: str
    page: str


def _start(task: Task) -> _Done:
    lifecycle.start(task, wake)
    return _Done(f"{task} is started.", _page(task))


def _pause(task: Task) -> _Done:
    lifecycle.pause(task)
    return _Done(f"{task} is paused: what runs is finished, nothing more begins.", _page(task))


def _resume(task: Task) -> _Done:
    lifecycle.resume(task, wake)
    return _Done(f"{task} goes on.", _page(task))


def _cancel(task: Task) -> _Done:
    lifecycle.cancel(task)
    return _Done(f"{task} is cancelled: what runs is ended within seconds.", _page(task))


def _retry(task: Task) -> _Done:
    count = lifecycle.retry(task, wake)
    return _Done(f"{count} failed experiment{'s' if count != 1 else ''} of {task} will run again.", _page(task))


def _restart(task: Task) -> _Done:
    again = lifecycle.restart(task, wake)
    return _Done(f"{again} is started; the results so far are kept.", _page(again))


def _delete(task: Task) -> _Done:
    lost = f"{task} with {contents_of(task)}"
    lifecycle.delete(task)
    return _Done(f"Deleted: {lost}.", reverse("tasks"))


def _page(task: Task) -> str:
    return reverse("task", args=[task.pk])


_DONE: dict[str, Callable[[Task], _Done]] = {
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
    if request.method == "POST" and action == "delete" and not _exists(pk):
        messages.warning(request, f"There is no task {pk} any more.")  # the button was pressed twice
        return back(request, reverse("tasks"))
    task = get_object_or_404(Task, pk=pk)
    if request.method != "POST":
        return _question(request, action, [task])
    try:
        done = _DONE[action](task)
    except ConflictError as error:
        messages.warning(request, str(error))
        return back(request, _page(task) if _exists(pk) else reverse("tasks"))
    messages.success(request, done.text)
    return back(request, done.page)


def _exists(pk: int) -> bool:
    return Task.objects.filter(pk=pk).exists()


@operator_required
@require_POST
def act_on_several(request: HttpRequest) -> HttpResponse:
    """Do one thing with each of the chosen tasks; where something is lost, ask first."""
    form = BatchForm(request.POST)
    if "task" in form.errors and "task" not in request.POST:
        messages.warning(request, "No task is selected.")
        return back(request, reverse("tasks"))
    wanted = valid(form).cleaned_data
    tasks = list(Task.objects.filter(pk__in=wanted["task"]).order_by("pk"))
    if tasks and action_of(wanted["action"]).asks and not wanted["sure"]:
        return _question(request, wanted["action"], tasks)
    _say(request, wanted["action"], tasks, missing=len(wanted["task"]) - len(tasks))
    return back(request, reverse("tasks"))


def _say(request: HttpRequest, word: str, tasks: list[Task], *, missing: int) -> None:
    """Do it with each, and say in one message what was done and what was refused."""
    done, refused = [], []
    for task in tasks:
        try:
            _DONE[word](task)
            done.append(str(task))
        except ConflictError as error:
            refused.append(str(error))
    if missing:
        refused.append(f"{missing} of them do{'es' if missing == 1 else ''} not exist any more.")
    names = f": {', '.join(_some(done))}" if done else ""
    text = f"{len(done)} of {len(tasks) + missing} {rule_of(word).done}{names}."
    level = messages.WARNING if refused else messages.SUCCESS
    messages.add_message(request, level, " ".join([text, *_some(refused)]))


def _some(texts: list[str]) -> list[str]:
    """The first of them, and how many more there are."""
    more = len(texts) - MOST_NAMED
    return texts if more <= 0 else [*texts[:MOST_NAMED], f"and {more} more"]


def _question(request: HttpRequest, word: str, tasks: list[Task]) -> HttpResponse:
    """The page that says what is lost; what cannot be done now is said before it is asked."""
    lines = [consequence(word, task) for task in tasks]
    wanted = request.GET.get("next") or request.POST.get("next") or ""
    is_one = len(tasks) == 1
    context = {
        "action": action_of(word),
        "lines": lines,
        "possible": [line for line in lines if not line.refused],
        "is_one": is_one,
        "next": wanted if is_ours(request, wanted) else "",
        "elsewhere": _page(tasks[0]) if is_one else reverse("tasks"),
    }
    return render(request, "tuning/task_action.html", context)
