"""Where something is: tasks, experiments and parameters by their names."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tuning.forms.listing import ListForm
from tuning.overview.search import find
from tuning.views.answers import valid


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """What was found."""
    words = valid(ListForm(request.GET)).cleaned_data["q"]
    return render(request, "tuning/search.html", {"q": words, "found": find(words)})
