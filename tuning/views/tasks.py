"""All tasks: which there are, how far they are, and what came out."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from tuning.forms.listing import ListForm
from tuning.models import Task
from tuning.views.answers import valid


@require_GET
def tasks(request: HttpRequest) -> HttpResponse:
    """The list."""
    form = valid(ListForm(request.GET))
    return render(request, "tuning/tasks.html", {"page": form.paged(Task.objects.all(), per_page=25)})


@require_GET
def tasks_now(request: HttpRequest) -> HttpResponse:
    """The part of it that changes by itself."""
    return HttpResponse(status=204)
