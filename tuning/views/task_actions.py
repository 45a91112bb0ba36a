"""What an operator does with tasks: one, or several at a time."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_POST

from tuning.models import Task
from tuning.views.answers import operator_required


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Ask whether it is meant, or do it."""
    get_object_or_404(Task, pk=pk)
    return redirect("tasks")


@operator_required
@require_POST
def act_on_several(request: HttpRequest) -> HttpResponse:
    """Do one thing with each of the chosen tasks."""
    return redirect("tasks")
