"""What a task found: its results, the data of its charts, and experiments side by side."""

from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from tuning.forms.results import MOST_COMPARED, PARTS, ChartForm, CompareForm, PartForm
from tuning.models import Task
from tuning.overview import findings, tables
from tuning.overview.axes import latency_axis, parameter_axes, throughput_axis
from tuning.overview.charts import chart_data
from tuning.overview.comparison import compare
from tuning.overview.results import Snapshot
from tuning.overview.summary import Summary
from tuning.views.answers import valid


@require_GET
def task_results(request: HttpRequest, pk: int) -> HttpResponse:
    """The results of a task."""
    task = get_object_or_404(Task, pk=pk)
    snapshot = Snapshot.of(task)
    context: dict[str, Any] = {"task": task, "snapshot": snapshot, "tab": "results"}
    if snapshot.rows:
        for part in PARTS:
            context |= _part(part, snapshot)
        context |= _charts(snapshot)
    return render(request, "tuning/results.html", context)


@require_GET
def task_results_part(request: HttpRequest, pk: int) -> HttpResponse:
    """One part of it, written anew when the data of the charts have changed."""
    part = valid(PartForm(request.GET)).cleaned_data["part"]
    task = get_object_or_404(Task, pk=pk)
    snapshot = Snapshot.of(task)
    if part == "first":
        return _first(snapshot)
    return render(request, f"tuning/_results_{part}.html", {"task": task, **_part(part, snapshot)})


def _first(snapshot: Snapshot) -> HttpResponse:
    """Have a page without results loaded again as soon as there are some, or will be none."""
    if snapshot.rows or snapshot.is_final:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return HttpResponse(status=204)


@require_GET
def task_charts(request: HttpRequest, pk: int) -> HttpResponse:
    """The data of its charts; 204 when there is nothing that the browser does not have."""
    form = valid(ChartForm(request.GET))
    data = chart_data(get_object_or_404(Task, pk=pk), form.known, points=form.points)
    return HttpResponse(status=204) if data is None else JsonResponse(data, json_dumps_params={"allow_nan": False})


@require_GET
def task_compare(request: HttpRequest, pk: int) -> HttpResponse:
    """Some of its experiments side by side."""
    numbers = valid(CompareForm(request.GET)).cleaned_data["experiment"]
    task = get_object_or_404(Task, pk=pk)
    try:
        comparison = compare(task, numbers)
    except LookupError as error:
        raise BadRequest(f"experiment: {error.args[0]}") from error
    return render(request, "tuning/compare.html", {"task": task, "comparison": comparison})


def _part(part: str, snapshot: Snapshot) -> dict[str, Any]:
    """What the template of a part shows."""
    match part:
        case "summary":
            return {"snapshot": snapshot, "summary": Summary.of(snapshot)}
        case "history":
            return {"snapshot": snapshot}
        case "points":
            return {"snapshot": snapshot, "points": tables.point_table(snapshot)}
        case _:
            ranked = tables.ranked_lines(snapshot)
            return {"snapshot": snapshot, "ranked": ranked, "axes": parameter_axes(snapshot.document)}


def _charts(snapshot: Snapshot) -> dict[str, Any]:
    """What the charts begin with."""
    return {
        "findings": findings.of_charts(snapshot),
        "slices": [(axis, findings.of_slice(snapshot, axis)) for axis in parameter_axes(snapshot.document)],
        "x_axis": latency_axis(snapshot),
        "y_axis": throughput_axis(snapshot),
        "most_compared": MOST_COMPARED,
    }
