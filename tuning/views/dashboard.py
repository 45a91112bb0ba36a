"""What runs now, on what, and what failed lately."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from tuning.models import Experiment, Slot, Task, Worker
from tuning.runner.maintenance import living

LATELY = timedelta(hours=24)
MOST = 10


@dataclass(frozen=True)
class SlotLine:
    """A slot and the experiment that has it."""

    slot: Slot
    experiment: Experiment | None


@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    """The first page."""
    return render(request, "tuning/dashboard.html", _now())


@require_GET
def dashboard_now(request: HttpRequest) -> HttpResponse:
    """The part of it that changes by itself."""
    return render(request, "tuning/_dashboard.html", _now())


def _now() -> dict[str, object]:
    lately = Experiment.objects.filter(finished_at__gt=timezone.now() - LATELY)
    failures = lately.filter(status=Experiment.Status.FAILED).select_related("task").order_by("-finished_at")
    outcomes = Counter(dict(lately.order_by().values_list("status").annotate(Count("pk"))))
    slots = _slots()
    return {
        "workers": living(Worker.Kind.WORKER, Worker.Kind.FOREGROUND),
        "slots": slots,
        "free": sum(not line.slot.claim and not line.slot.foreign for line in slots),
        "tasks": _running_tasks(),
        "succeeded": outcomes[Experiment.Status.SUCCESS],
        "failed": outcomes[Experiment.Status.FAILED],
        "failures": failures[:MOST],
    }


def _slots() -> list[SlotLine]:
    active = Experiment.objects.filter(status__in=Experiment.ACTIVE).select_related("task")
    holders = {experiment.claim: experiment for experiment in active}
    return [SlotLine(slot, holders.get(slot.claim)) for slot in Slot.objects.all()]


def _running_tasks() -> list[Task]:
    finished = Count("experiments", filter=Q(experiments__status__in=Experiment.FINISHED))
    active = Count("experiments", filter=Q(experiments__status__in=Experiment.ACTIVE))
    running = Task.objects.filter(status__in=(Task.Status.RUNNING, Task.Status.PAUSED))
    return list(running.annotate(finished=finished, active=active).order_by("-started_at")[:MOST])
