"""A task's experiments and measurements as files."""

from collections.abc import Iterator

from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from tuning.models import Task
from tuning.overview.downloads import csv_lines, json_pieces


@require_GET
def task_json(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """Everything that was measured, as JSON."""
    return _file(json_pieces(get_object_or_404(Task, pk=pk)), "application/json", f"task-{pk}-results.json")


@require_GET
def task_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """One row for each load point of each experiment."""
    return _file(csv_lines(get_object_or_404(Task, pk=pk)), "text/csv; charset=utf-8", f"task-{pk}-results.csv")


def _file(pieces: Iterator[str], kind: str, name: str) -> StreamingHttpResponse:
    disposition = f'attachment; filename="{name}"'
    return StreamingHttpResponse(pieces, content_type=kind, headers={"Content-Disposition": disposition})
