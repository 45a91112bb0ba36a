"""A look at the rows for operators; the commands, the pages and the runner change them."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tuning.models import Experiment, LogLine, MeasurementRow, Slot, Task, Worker
from tuning.overview.counting import CappedPaginator

admin.site.site_header = "Inference Autotuner: data"
admin.site.site_title = "Inference Autotuner"
admin.site.index_title = "Rows, users and groups"
admin.site.site_url = "/"


class LookOnly(admin.ModelAdmin):
    """Rows that are shown and never changed: what changes them has to ask first whether it may.

    No list counts all of its rows.
    """

    show_full_result_count = False
    paginator = CappedPaginator
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


def _task_link(task: Task) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("task", args=[task.pk]), task)


def _experiment_link(experiment: Experiment | None) -> SafeString | str:
    if experiment is None:
        return "-"
    address = reverse("experiment", args=[experiment.task_id, experiment.number])
    return format_html('<a href="{}">{}</a>', address, experiment)


@admin.register(Task)
class TaskAdmin(LookOnly):
    """Tasks, the newest first."""

    list_display = ("name", "run", "status", "finished", "failed", "best_value", "best_ratio", "created_at", "page")
    list_filter = ("status", "created_at")
    search_fields = ("name", "message")
    date_hierarchy = "created_at"
    readonly_fields = ("finished", "failed", "page")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        """Without the documents; the experiments are counted with the page that is shown."""
        rows = super().get_queryset(request).select_related("worker", "best")
        return rows.defer("best__parameters", "best__command")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with what its tasks have: one query for all that are shown."""
        shown = super().get_changelist_instance(request)
        shown.result_list = _counted(list(shown.result_list))
        return shown

    @admin.display(description="finished")
    def finished(self, task: Task) -> int:
        """Experiments with an outcome."""
        return int(vars(_counted([task])[0])["finished_count"])

    @admin.display(description="failed")
    def failed(self, task: Task) -> int:
        """Experiments that failed."""
        return int(vars(_counted([task])[0])["failed_count"])

    @admin.display(description="page")
    def page(self, task: Task) -> SafeString:
        """Where it is shown with its results."""
        return _task_link(task)


def _counted(tasks: list[Task]) -> list[Task]:
    """The same tasks with `finished_count` and `failed_count`; those that have them are left as they are."""
    unknown = [task for task in tasks if "finished_count" not in vars(task)]
    if unknown:
        finished = Count("pk", filter=Q(status__in=Experiment.FINISHED))
        failed = Count("pk", filter=Q(status=Experiment.Status.FAILED))
        rows = Experiment.objects.filter(task__in=[task.pk for task in unknown]).order_by()
        counts = {
            pk: (done, bad) for pk, done, bad in rows.values_list("task").annotate(finished=finished, failed=failed)
        }
        for task in unknown:
            done, bad = counts.get(task.pk, (0, 0))
            vars(task).update(finished_count=done, failed_count=bad)
    return tasks


@admin.register(Experiment)
class ExperimentAdmin(LookOnly):
    """Experiments of all tasks."""

    list_display = (
        "task",
        "number",
        "replicate",
        "status",
        "attempt",
        "reason",
        "value",
        "feasible",
        "total_s",
        "page",
    )
    list_filter = ("status", "reason")
    list_select_related = ("task",)
    search_fields = ("task__name",)
    readonly_fields = ("measurements_count", "page")
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Experiment]:
        """With what a page shows, in one query."""
        return super().get_queryset(request).select_related("task", "worker").defer("task__document")

    @admin.display(description="load points measured")
    def measurements_count(self, experiment: Experiment) -> int:
        """How many load points were measured."""
        return experiment.measurements.count()

    @admin.display(description="page")
    def page(self, experiment: Experiment) -> SafeString | str:
        """Where it is shown with its measurements and its log."""
        return _experiment_link(experiment)


@admin.register(MeasurementRow)
class MeasurementAdmin(LookOnly):
    """What was measured, by load point."""

    list_display = (
        "experiment",
        "scenario",
        "concurrency",
        "request_rate_per_s",
        "completed",
        "failed",
        "reason",
        "page",
    )
    list_select_related = ("experiment",)
    readonly_fields = ("page",)
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[MeasurementRow]:
        """With its experiment."""
        return super().get_queryset(request).select_related("experiment")

    @admin.display(description="page")
    def page(self, row: MeasurementRow) -> SafeString | str:
        """The page of its experiment."""
        return _experiment_link(row.experiment)


@admin.register(LogLine)
class LogLineAdmin(LookOnly):
    """What engines, benchmarks and the runner said, the newest first; the page of a task or experiment searches it."""

    list_display = ("at", "task", "experiment", "source", "level", "text", "page")
    list_select_related = ("task", "experiment")
    readonly_fields = ("page",)
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LogLine]:
        """With what it belongs to."""
        return super().get_queryset(request).select_related("task", "experiment").defer("task__document")

    @admin.display(description="page")
    def page(self, line: LogLine) -> SafeString | str:
        """The page of what it belongs to."""
        return _experiment_link(line.experiment) if line.experiment else _task_link(line.task)


@admin.register(Worker)
class WorkerAdmin(LookOnly):
    """Processes that run experiments."""

    list_display = ("pid", "host", "kind", "node", "started_at", "seen_at")
    list_filter = ("kind",)
    search_fields = ("host", "node")


@admin.register(Slot)
class SlotAdmin(LookOnly):
    """Where experiments run, and who has it."""

    list_display = ("node", "index", "gpu", "name", "claim", "foreign", "used_mib", "utilisation_percent", "read_at")
    list_filter = ("node",)
    search_fields = ("name", "node")
