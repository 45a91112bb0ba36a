"""What is kept: tasks, their experiments, what was measured, and what was said meanwhile."""

import dataclasses
import json
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from tuning.document.task import TaskDocument
from tuning.document.workload import LoadPoint
from tuning.errors import Reason
from tuning.scoring.metrics import LATENCIES, Distribution, Measurement


class Worker(models.Model):
    """A living process that runs experiments: a worker, or a command that runs one task in the foreground."""

    class Kind(models.TextChoices):
        WORKER = "worker"
        FOREGROUND = "foreground"

    id = models.CharField(primary_key=True, max_length=32)
    kind = models.CharField(max_length=20, choices=Kind)
    node = models.CharField(max_length=40, help_text="The installation whose machine it works on.")
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    lease_until = models.FloatField(help_text="Reading of the lease clock until which it counts as alive.")
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["started_at"]

    def __str__(self) -> str:
        return f"{self.kind} {self.pid} on {self.host}"


class Task(models.Model):
    """One tuning job.

    pending -> running <-> paused, running -> completed | failed | cancelled; a cancelled one may be resumed and goes on
    where it stopped.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        RUNNING = "running"
        PAUSED = "paused"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    name = models.CharField(max_length=200)
    run = models.PositiveIntegerField(default=1, help_text="Counts tasks of the same name; earlier results are kept.")
    document = models.JSONField(help_text="The task document, as it was accepted.")
    document_digest = models.CharField(max_length=64)
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    message = models.TextField(blank=True, help_text="Why it ended, in a sentence.")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    worker = models.ForeignKey(
        Worker, null=True, blank=True, on_delete=models.SET_NULL, help_text="The foreground process that has it alone."
    )
    revision = models.PositiveIntegerField(default=0, help_text="Grows when finished experiments are taken up again.")
    worked_s = models.FloatField(default=0.0, help_text="Seconds in which somebody worked on it.")
    ticked = models.FloatField(null=True, blank=True, help_text="Reading of the lease clock when they were counted.")
    best = models.ForeignKey(
        "Experiment",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The first experiment of the best feasible configuration so far.",
    )
    best_value = models.FloatField(null=True, blank=True, help_text="Its objective, over all its replicates.")
    best_ratio = models.FloatField(null=True, blank=True, help_text="How many times better than the baseline.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "run"], name="task_name_run")]
        permissions = [("operate", "May create tasks and change what they do")]
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return self.name if self.run == 1 else f"{self.name} (run {self.run})"

    @property
    def task_document(self) -> TaskDocument:
        """The document as typed values."""
        return TaskDocument.model_validate_json(json.dumps(self.document))

    @property
    def is_finished(self) -> bool:
        """Whether it ended by itself."""
        return self.status in (self.Status.COMPLETED, self.Status.FAILED)


class Experiment(models.Model):
    """One configuration, deployed and measured once.

    pending -> deploying -> benchmarking -> success | failed | cancelled. Whoever works on it holds `claim`, which is
    new for every attempt: a write that names another claim changes nothing.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        DEPLOYING = "deploying"
        BENCHMARKING = "benchmarking"
        SUCCESS = "success"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ACTIVE = (Status.DEPLOYING, Status.BENCHMARKING)
    UNFINISHED = (Status.PENDING, *ACTIVE)
    FINISHED = (Status.SUCCESS, Status.FAILED)

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="experiments")
    number = models.PositiveIntegerField(help_text="Position within the task, from 1.")
    replicate = models.PositiveIntegerField(default=0, help_text="0, 1 ...: the same configuration again.")
    is_baseline = models.BooleanField(default=False)
    parameters = models.JSONField(default=dict)
    parameters_hash = models.CharField(max_length=64, help_text="Equal for equal command lines.")
    gpus = models.PositiveIntegerField(default=1, help_text="GPUs that the configuration needs: its world size.")
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    reason = models.CharField(max_length=30, blank=True, choices=[(reason.value, reason.value) for reason in Reason])
    message = models.TextField(blank=True, help_text="Why it failed, in a sentence.")
    attempt = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(default=0, help_text="Attempts of which the worker was lost.")
    claim = models.CharField(max_length=32, blank=True, help_text="Of the present or the last attempt.")
    worker = models.ForeignKey(Worker, null=True, blank=True, on_delete=models.SET_NULL)
    lease_until = models.FloatField(null=True, blank=True, help_text="Reading of the lease clock.")
    spent_s = models.FloatField(default=0.0, help_text="Seconds of all attempts together.")
    handle = models.JSONField(default=dict, help_text="By which its engine can be found and removed.")
    command = models.JSONField(default=list, help_text="The argument list that started the engine.")
    command_line = models.TextField(blank=True, help_text="The line that starts the same server; without secrets.")
    value = models.FloatField(null=True, blank=True, help_text="The objective in its natural unit.")
    feasible = models.BooleanField(null=True, blank=True)
    violations = models.JSONField(default=list, help_text="Relative excess over each SLO item, in a fixed order.")
    missed = models.JSONField(default=list, help_text="The SLO items that were missed, in words.")
    engine_version = models.CharField(max_length=100, blank=True)
    load_point = models.PositiveIntegerField(null=True, blank=True, help_text="Index of the one that decided.")
    deploy_s = models.FloatField(null=True, blank=True)
    ready_s = models.FloatField(null=True, blank=True)
    benchmark_s = models.FloatField(null=True, blank=True)
    remove_s = models.FloatField(null=True, blank=True)
    total_s = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="experiment_number"),
            models.UniqueConstraint(fields=["task", "parameters_hash", "replicate"], name="experiment_configuration"),
            models.CheckConstraint(
                condition=Q(status="success") | Q(value__isnull=True), name="only_success_has_a_value"
            ),
        ]
        # Claims and recovery look at the few unfinished rows only, however long the history is.
        # Pages look at what finished last, of all or of one outcome, and count outcomes by task.
        indexes = [
            models.Index(fields=["status", "task"], name="experiment_status"),
            models.Index(fields=["task", "status", "feasible"], name="experiment_outcome"),
            models.Index(fields=["finished_at"], name="experiment_finished"),
            models.Index(fields=["status", "finished_at"], name="experiment_status_finished"),
            models.Index(fields=["total_s"], name="experiment_duration"),
            models.Index(fields=["reason", "finished_at"], condition=~Q(reason=""), name="experiment_reason"),
        ]
        ordering: ClassVar = ["task", "number"]

    def __str__(self) -> str:
        return f"experiment {self.number}"

    @property
    def is_finished(self) -> bool:
        """Whether it has an outcome."""
        return self.status in self.FINISHED


class Slot(models.Model):
    """A place for one experiment, or for a part of one: a GPU, or a share of a machine without GPUs.

    Held by the claim of an experiment's attempt, whose lease is the slot's too; free when there is none.
    """

    node = models.CharField(max_length=40)
    index = models.PositiveIntegerField(help_text="Position on its node, from 0.")
    gpu = models.PositiveIntegerField(null=True, blank=True, help_text="The GPU's number in PCI order.")
    device = models.CharField(max_length=100, blank=True, help_text="What CUDA_VISIBLE_DEVICES takes; empty: no GPU.")
    name = models.CharField(max_length=200, blank=True)
    claim = models.CharField(max_length=32, blank=True)
    foreign = models.TextField(blank=True, help_text="Who else fills it, in words.")
    used_mib = models.PositiveIntegerField(null=True, blank=True, help_text="GPU memory in use.")
    memory_mib = models.PositiveIntegerField(null=True, blank=True, help_text="GPU memory that there is.")
    utilisation_percent = models.FloatField(null=True, blank=True, help_text="Share of time with a kernel on the GPU.")
    temperature_c = models.FloatField(null=True, blank=True)
    power_w = models.FloatField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True, help_text="When the GPU was read last.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "index"], name="slot_of_node")]
        ordering: ClassVar = ["node", "index"]

    def __str__(self) -> str:
        return self.name or f"slot {self.index}"


class MeasurementRow(models.Model):
    """What was measured at one load point of an experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="measurements")
    index = models.PositiveIntegerField(help_text="Position of the load point in the workload, from 0.")
    scenario = models.CharField(max_length=100)
    concurrency = models.PositiveIntegerField(null=True, blank=True)
    request_rate_per_s = models.FloatField(null=True, blank=True)
    window_s = models.FloatField()
    completed = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()
    output_tokens_per_s = models.FloatField()
    input_tokens_per_s = models.FloatField()
    requests_per_s = models.FloatField()
    goodput_requests_per_s = models.FloatField()
    ttft_ms = models.JSONField(null=True, blank=True)
    tpot_ms = models.JSONField(null=True, blank=True)
    itl_ms = models.JSONField(null=True, blank=True)
    e2e_ms = models.JSONField(null=True, blank=True)
    reason = models.CharField(max_length=30, blank=True)
    message = models.TextField(blank=True)
    errors = models.JSONField(default=dict)
    extra = models.JSONField(default=dict)
    gpu_use = models.JSONField(default=list, help_text="What each GPU was doing meanwhile; see runner/gpu_use.py.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["experiment", "index"], name="measurement_index")]
        ordering: ClassVar = ["experiment", "index"]
        verbose_name = "measurement"

    def __str__(self) -> str:
        return str(self.load_point)

    @property
    def load_point(self) -> LoadPoint:
        """The load that was applied."""
        return LoadPoint(
            scenario=self.scenario, concurrency=self.concurrency, request_rate_per_s=self.request_rate_per_s
        )

    @classmethod
    def of(cls, experiment: Experiment, index: int, measurement: Measurement) -> "MeasurementRow":
        """The row that keeps `measurement`; not saved."""
        columns: dict[str, Any] = {
            field.name: getattr(measurement, field.name)
            for field in dataclasses.fields(measurement)
            if field.name not in ("load_point", "reason", *LATENCIES)
        }
        for name in LATENCIES:
            distribution = measurement.latency(name)
            columns[name] = {"count": distribution.count, **distribution.values} if distribution else None
        return cls(
            experiment=experiment,
            index=index,
            reason=measurement.reason or "",
            **measurement.load_point.model_dump(),
            **columns,
        )

    def to_measurement(self) -> Measurement:
        """The measurement that this row keeps."""
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(Measurement)}
        columns |= {name: _distribution(columns[name]) for name in LATENCIES}
        return Measurement(**{**columns, "reason": Reason(self.reason) if self.reason else None})


def _distribution(kept: dict[str, float] | None) -> Distribution | None:
    if not kept:
        return None
    return Distribution(int(kept["count"]), {name: value for name, value in kept.items() if name != "count"})


class LogLine(models.Model):
    """One line of an engine, a benchmark or the runner."""

    class Source(models.TextChoices):
        ENGINE = "engine"
        BENCHMARK = "benchmark"
        RUNNER = "runner"

    id = models.BigAutoField(primary_key=True)
    # The indexes below begin with these columns; more of them would only slow down writing.
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="log_lines", db_index=False)
    experiment = models.ForeignKey(
        Experiment, null=True, blank=True, on_delete=models.CASCADE, related_name="log_lines", db_index=False
    )
    at = models.DateTimeField()
    level = models.CharField(max_length=10)
    source = models.CharField(max_length=10, choices=Source)
    text = models.TextField()

    class Meta:
        indexes = [
            models.Index(fields=["experiment", "id"], name="log_of_experiment"),
            models.Index(fields=["task", "id"], name="log_of_task"),
            # The few lines that are about a task itself, among the many of its experiments.
            models.Index(fields=["task", "id"], condition=Q(experiment=None), name="log_of_task_itself"),
        ]
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.text
