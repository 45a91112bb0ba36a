"""Slots: where experiments run on this machine, held by rows so that no two experiments ever share one."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from tuning.deployers.gpus import Gpu, foreign, survey
from tuning.document.task import TaskDocument
from tuning.engines.registry import engine_for
from tuning.errors import ConflictError
from tuning.models import Experiment, Slot
from tuning.runner.instance import instance_id
from tuning.runner.repeating import repeated

logger = logging.getLogger(__name__)

READ_EVERY_S = 5.0
"""How often a worker writes down what the GPUs of its machine are doing."""
_READINGS = ("used_mib", "memory_mib", "utilisation_percent", "temperature_c", "power_w")


def register() -> list[Slot]:
    """Write down the slots of this machine: its GPUs, or as many as `AUTOTUNER_SLOTS` says where there is none.

    ConflictError when `AUTOTUNER_GPUS` names a GPU that is not there. A slot that is gone is kept while it is held.
    """
    node = instance_id()
    found, notes = _survey()
    for note in notes:
        logger.warning("%s", note)
    rows: list[dict[str, Any]] = [
        {"gpu": gpu.index, "device": device_of(gpu), "name": gpu.name, **_reading(gpu), "read_at": timezone.now()}
        for gpu in found
    ]
    no_gpu = {"gpu": None, "device": "", "name": "", "foreign": "", **_reading(None), "read_at": None}
    rows = rows or [no_gpu] * settings.AUTOTUNER_SLOTS
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
    found = {device_of(gpu): gpu for gpu in survey().gpus}
    for slot in free:
        gpu = found.get(slot.device)
        now = foreign(gpu, ()) if gpu else "the driver does not show it"
        if slot.foreign != now:
            Slot.objects.filter(pk=slot.pk, claim="").update(foreign=now)


def read() -> None:
    """Write down what the GPUs of this machine are doing; null is what the driver does not tell, or does not now."""
    rows = list(_here().exclude(device=""))
    if not rows:
        return
    found = {device_of(gpu): gpu for gpu in survey().gpus}
    now = timezone.now()
    for slot in rows:
        for name, value in _reading(found.get(slot.device)).items():
            setattr(slot, name, value)
        slot.read_at = now
    Slot.objects.bulk_update(rows, [*_READINGS, "read_at"])


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Write down every few seconds what the GPUs are doing: by a thread, so that a slow driver keeps nobody waiting."""
    if not _here().exclude(device="").exists():
        yield
        return
    with repeated(_read_safely, every_s=READ_EVERY_S, name="gpu readings"):
        yield


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


def gpus_of(claim: str) -> tuple[str, ...]:
    """The devices that `claim` holds; none where NVML found none."""
    return tuple(Slot.objects.filter(claim=claim).exclude(device="").values_list("device", flat=True))


def device_of(gpu: Gpu) -> str:
    """Engines know whole GPUs by number (some read nothing else), parts of one only by UUID."""
    return gpu.uuid if gpu.uuid.startswith("MIG-") else str(gpu.index)


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


def _reading(gpu: Gpu | None) -> dict[str, Any]:
    return {name: getattr(gpu, name) if gpu else None for name in _READINGS}


def _read_safely() -> None:
    try:
        read()
    except Error as error:
        logger.warning("the readings of the GPUs could not be written: %s", error)
    finally:
        connection.close()


def _survey() -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The GPUs that may be used, and a sentence for each that cannot be."""
    try:
        found = survey(settings.AUTOTUNER_GPUS)
    except ValueError as error:
        raise ConflictError(f"AUTOTUNER_GPUS: {error}") from error
    return found.gpus, found.notes
