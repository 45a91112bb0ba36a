"""The log of a task or of an experiment: as a page, in pieces for a page that is open, and as a file."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from tuning.forms.log import LogForm
from tuning.models import Experiment, Task
from tuning.overview import log
from tuning.overview.log import Owner, Slice
from tuning.views.answers import valid


@dataclass(frozen=True)
class LogView:
    """What templates/tuning/_log.html shows."""

    owner: Owner
    form: LogForm
    slice: Slice
    is_own_page: bool

    @property
    def of_task(self) -> bool:
        """Whether the lines belong to several experiments."""
        return isinstance(self.owner, Task)

    @property
    def label(self) -> str:
        """Whose log it is, in words."""
        return f"Log of task {self.owner}" if self.of_task else f"Log of {self.owner}"

    @property
    def page_url(self) -> str:
        """Its own page, at the end of the log."""
        return _url(self.owner, "log")

    @property
    def lines_url(self) -> str:
        """Where pieces of it are."""
        return _url(self.owner, "log-lines")

    @property
    def text_url(self) -> str:
        """Where all of it is, as text."""
        return _url(self.owner, "log-text")

    @property
    def newest_url(self) -> str:
        """The last wanted lines."""
        return self._at()

    @property
    def oldest_url(self) -> str:
        """The first wanted lines."""
        return self._at(after=0)

    @property
    def older_url(self) -> str:
        """The wanted lines before these."""
        return self._at(before=self.slice.first.id, number=self.slice.first.number)

    @property
    def newer_url(self) -> str:
        """The wanted lines after these."""
        return self._at(after=self.slice.last.id, number=self.slice.last.number)

    def _at(self, **cursor: int | None) -> str:
        """Its own page with the same filters, from a line on."""
        filters = {name: self.form.cleaned_data[name] for name in ("level", "source", "q")}
        query = {name: value for name, value in {**filters, **cursor}.items() if value not in ("", None)}
        return f"{self.page_url}?{urlencode(query)}" if query else self.page_url


def log_view(owner: Owner, request: HttpRequest) -> dict[str, Any]:
    """The context of `tuning/_log.html`: the end of the log of `owner`.

    On the log's own page the address says which lines; BadRequest when it holds nonsense.
    """
    is_own_page = request.path == _url(owner, "log")
    form = valid(LogForm(request.GET if is_own_page else {}, auto_id="log-%s"))
    return {"log": LogView(owner, form, _slice(owner, form), is_own_page)}


@require_safe
def task_log(request: HttpRequest, pk: int) -> HttpResponse:
    """The log of a task, with those of its experiments."""
    task = get_object_or_404(Task, pk=pk)
    return render(request, "tuning/task_log.html", {"task": task, **log_view(task, request)})


@require_safe
def task_log_lines(request: HttpRequest, pk: int) -> HttpResponse:
    """A piece of it."""
    return _lines(get_object_or_404(Task, pk=pk), request)


@require_safe
def task_log_text(request: HttpRequest, pk: int) -> HttpResponseBase:
    """All of it."""
    return _text(get_object_or_404(Task, pk=pk), f"task-{pk}-log.txt")


@require_safe
def experiment_log(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """The log of an experiment."""
    experiment = _experiment(pk, number)
    context = {"task": experiment.task, "experiment": experiment, **log_view(experiment, request)}
    return render(request, "tuning/experiment_log.html", context)


@require_safe
def experiment_log_lines(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """A piece of it."""
    return _lines(_experiment(pk, number), request)


@require_safe
def experiment_log_text(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    """All of it."""
    return _text(_experiment(pk, number), f"task-{pk}-experiment-{number}-log.txt")


def _experiment(pk: int, number: int) -> Experiment:
    return get_object_or_404(Experiment.objects.select_related("task"), task=pk, number=number)


def _url(owner: Owner, what: str) -> str:
    if isinstance(owner, Task):
        return reverse(f"task-{what}", args=[owner.pk])
    return reverse(f"experiment-{what}", args=[owner.task_id, owner.number])


def _slice(owner: Owner, form: LogForm) -> Slice:
    if (place := form.place("after")) is not None:
        read = log.latest if form.cleaned_data["skip"] else log.after
        return read(owner, place, form.wanted)
    if (place := form.place("before")) is not None:
        return log.before(owner, place, form.wanted)
    return log.newest(owner, form.wanted)


def _lines(owner: Owner, request: HttpRequest) -> HttpResponse:
    """204 when nothing came after the line that the reader saw last; otherwise lines as lists, see static/js/log.js."""
    form = valid(LogForm(request.GET))
    found = _slice(owner, form)
    after = form.place("after")
    if after is not None and found.last.id == after.id and found.is_growing:
        return HttpResponse(status=204)
    return JsonResponse(
        {
            "lines": [
                (
                    line.id,
                    line.number,
                    round(line.at.timestamp() * 1000),
                    line.level,
                    line.source,
                    line.experiment,
                    line.text,
                )
                for line in found.lines
            ],
            "first": found.first,
            "last": found.last,
            "older": found.has_older,
            "newer": found.has_newer,
            "growing": found.is_growing,
            "skipped": found.has_skipped,
        },
        json_dumps_params={"separators": (",", ":"), "ensure_ascii": False},
    )


def _text(owner: Owner, name: str) -> HttpResponseBase:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(log.text(owner), content_type="text/plain; charset=utf-8", headers=headers)
