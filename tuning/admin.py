"""Data editing for operators."""

from django.contrib import admin

from tuning.models import Experiment, LogLine, MeasurementRow, Task


@admin.register(Task)
class TaskAdmin(admin.ModelAdmin):
    """Tasks: to look at; what runs is changed by the runner alone."""

    list_display = ("name", "run", "status", "message", "created_at", "finished_at")
    list_filter = ("status",)
    search_fields = ("name",)
    readonly_fields = ("document_digest", "status", "message", "created_at", "started_at", "finished_at")


@admin.register(Experiment)
class ExperimentAdmin(admin.ModelAdmin):
    """Experiments of all tasks."""

    list_display = ("task", "number", "replicate", "status", "reason", "value", "feasible", "total_s")
    list_filter = ("status", "reason")
    list_select_related = ("task",)
    raw_id_fields = ("task",)


@admin.register(MeasurementRow)
class MeasurementAdmin(admin.ModelAdmin):
    """What was measured, by load point."""

    list_display = ("experiment", "scenario", "concurrency", "request_rate_per_s", "completed", "failed", "reason")
    list_select_related = ("experiment",)
    raw_id_fields = ("experiment",)


@admin.register(LogLine)
class LogLineAdmin(admin.ModelAdmin):
    """What engines, benchmarks and the runner said."""

    list_display = ("at", "task", "experiment", "source", "level", "text")
    list_filter = ("source", "level")
    list_select_related = ("task", "experiment")
    raw_id_fields = ("task", "experiment")
    show_full_result_count = False
