"""A look at the rows for operators; the commands and the runner change them."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from tuning.models import Experiment, LogLine, MeasurementRow, Slot, Task, Worker


class LookOnly(admin.ModelAdmin):
    """Rows that are shown and never changed: what changes them has to ask first whether it may."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


@admin.register(Task)
class TaskAdmin(LookOnly):
    """Tasks, the newest first."""

    list_display = ("name", "run", "status", "message", "worker", "created_at", "finished_at")
    list_filter = ("status",)
    list_select_related = ("worker",)
    search_fields = ("name",)


@admin.register(Experiment)
class ExperimentAdmin(LookOnly):
    """Experiments of all tasks."""

    list_display = ("task", "number", "replicate", "status", "attempt", "reason", "value", "feasible", "total_s")
    list_filter = ("status", "reason")
    list_select_related = ("task",)


@admin.register(MeasurementRow)
class MeasurementAdmin(LookOnly):
    """What was measured, by load point."""

    list_display = ("experiment", "scenario", "concurrency", "request_rate_per_s", "completed", "failed", "reason")
    list_select_related = ("experiment",)


@admin.register(LogLine)
class LogLineAdmin(LookOnly):
    """What engines, benchmarks and the runner said."""

    list_display = ("at", "task", "experiment", "source", "level", "text")
    list_filter = ("source", "level")
    list_select_related = ("task", "experiment")
    show_full_result_count = False


@admin.register(Worker)
class WorkerAdmin(LookOnly):
    """Processes that run experiments."""

    list_display = ("pid", "host", "kind", "node", "started_at", "seen_at")
    list_filter = ("kind",)


@admin.register(Slot)
class SlotAdmin(LookOnly):
    """Where experiments run, and who has it."""

    list_display = ("node", "index", "gpu", "name", "claim", "foreign")
    list_filter = ("node",)
