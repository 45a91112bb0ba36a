"""Where something is: tasks, experiments and parameters by their names."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """What was found."""
    return render(request, "tuning/search.html")
