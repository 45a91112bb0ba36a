"""Slots: where experiments run on this machine, held by rows so that no two experiments ever share one."""

import logging
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, QuerySet

from tuning.deployers.gpus import Gpu, foreign, survey
from tuning.document.task import TaskDocument
from tuning.engines.registry import engine_for
from tuning.errors import ConflictError
from tuning.models import Experiment, Slot
from tuning.runner.instance import instance_id

logger = logging.getLogger(__name__)


def register() -> list[Slot]:
    """Write down the slots of this machine: its GPUs, or as many as `AUTOTUNER_SLOTS` says where there is none.

    ConflictError when `AUTOTUNER_GPUS` names a GPU that is not there. A slot that is gone is kept while it is held.
    """
    node = instance_id()
    found, notes = _survey()
    for note in notes:
        logger.warning("%s", note)
    rows: list[dict[str, Any]] = [{"gpu": gpu.index, "device": _device(gpu), "name": gpu.name} for gpu in found]
    rows = rows or [{"gpu": None, "device": "", "name": "", "foreign": ""}] * settings.AUTOTUNER_SLOTS
    with transaction.atomic():
        Slot.objects.filter(node=node, index__gte=len(rows), claim="").delete()
        for index, columns in enumerate(rows):
            Slot.objects.update_or_create(node=node, index=index, defaults=columns)
    observe()
    return list(Slot.objects.filter(node=node))


def observe() -> None:
    """Write down which free GPUs are filled by somebody else, or are not there now: those are not given away."""
    free = _here().filter(claim="").exclude(device="")
    if not free:
        return
    found = {_device(gpu): gpu for gpu in survey().gpus}
    for slot in free:
        gpu = found.get(slot.device)
        now = foreign(gpu, ()) if gpu else "the driver does not show it"
        if slot.foreign != now:
            Slot.objects.filter(pk=slot.pk, claim="").update(foreign=now)


def hold(claim: str, count: int, document: TaskDocument) -> list[Slot] | None:
    """Give `count` free slots of this machine to `claim`, all or none; to be called inside a transaction."""
    chosen = [slot for slot in usable(document) if not slot.claim][:count]
    if len(chosen) < count:
        return None
    changed = Slot.objects.filter(pk__in=[slot.pk for slot in chosen], claim="").update(claim=claim)
    return chosen if changed == count else None


def release(claim: str) -> None:
    """Free the slots of `claim`; its engine is gone."""
    Slot.objects.filter(claim=claim).update(claim="")


def abandoned() -> list[Slot]:
    """Slots of this machine whose claim is that of no active experiment."""
    active = Experiment.objects.filter(status__in=Experiment.ACTIVE).values("claim")
    return list(_here().exclude(claim="").exclude(claim__in=active))


def usable(document: TaskDocument) -> list[Slot]:
    """The slots of this machine that a task may have, now or when those are free that experiments hold."""
    return list(_usable(_here().filter(foreign=""), document).order_by("index"))


def needed(experiment: Experiment, document: TaskDocument) -> int:
    """How many slots an experiment takes: one for each GPU of its world size; what is simulated takes one."""
    return 1 if engine_for(document.engine.name).simulated else experiment.gpus


def problem(experiment: Experiment, document: TaskDocument) -> str:
    """Why an experiment can never run on any of the machines; empty when it can."""
    per_node = _usable(Slot.objects.all(), document).values("node").annotate(slots=Count("pk")).order_by()
    most = max((row["slots"] for row in per_node), default=0)
    count = needed(experiment, document)
    if count <= most:
        return ""
    return f"It needs {count} GPUs, and no machine has more than {most} that it may use; AUTOTUNER_SLOTS raises that."


def devices(held: Iterable[Slot], experiment: Experiment, document: TaskDocument) -> tuple[str, ...]:
    """What the engine is told to use; the document's own GPUs where NVML found none."""
    named = tuple(slot.device for slot in held if slot.device)
    given = getattr(document.deployment, "gpus", None) or ()
    return named or tuple(str(gpu) for gpu in given[: experiment.gpus])


def _here() -> QuerySet[Slot]:
    return Slot.objects.filter(node=instance_id())


def _usable(slots: QuerySet[Slot], document: TaskDocument) -> QuerySet[Slot]:
    """Those of the GPUs that the document names; all where it names none."""
    given = getattr(document.deployment, "gpus", None)
    return slots.filter(Q(gpu=None) | Q(gpu__in=given)) if given else slots


def _device(gpu: Gpu) -> str:
    """Engines know whole GPUs by number (some read nothing else), parts of one only by UUID."""
    return gpu.uuid if gpu.uuid.startswith("MIG-") else str(gpu.index)


def _survey() -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The GPUs that may be used, and a sentence for each that cannot be."""
    try:
        found = survey(settings.AUTOTUNER_GPUS)
    except ValueError as error:
        raise ConflictError(f"AUTOTUNER_GPUS: {error}") from error
    return found.gpus, found.notes
