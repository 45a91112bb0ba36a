"""The engines that this installation has started and that run now."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.db.models import Exists, F, OuterRef

from tuning.errors import Reason
from tuning.models import Experiment, Slot
from tuning.runner.secrets import Masker


@dataclass(frozen=True)
class Deployment:
    """An experiment that is active, and its engine as far as it has been started."""

    experiment: Experiment
    mode: str
    command: str

    @property
    def state(self) -> str:
        """What happens with it, in a word."""
        row = self.experiment
        if row.reason == Reason.CANCELLED:
            return "stopping"
        if row.benchmark_s is not None:
            return "removing"
        if row.status == Experiment.Status.BENCHMARKING:
            return "benchmarking"
        return "starting" if row.deploy_s is None else "loading"

    @property
    def can_stop(self) -> bool:
        """Whether it is not being ended already."""
        return not self.experiment.reason

    @property
    def process(self) -> str:
        """By what it can be found: a process, a container or an object; empty before it was started."""
        handle = self.experiment.handle
        named = (("process", "pid"), ("container", "container"), ("object", "name"))
        return next((f"{what} {handle[key]}" for what, key in named if handle.get(key)), "")

    @property
    def port(self) -> str:
        """Where it listens, on the machine of its worker."""
        words: Sequence[str] = self.experiment.command
        return next((value for flag, value in pairwise(words) if flag == "--port"), "")


def deployments() -> list[Deployment]:
    """All of them, the oldest first; one query."""
    active = Experiment.objects.filter(status__in=Experiment.ACTIVE).select_related("task", "worker")
    rows = active.defer("task__document", "parameters").annotate(mode=F("task__document__deployment__mode"))
    mask = Masker()
    return [Deployment(row, row.mode, mask(row.command_line)) for row in rows.order_by("started_at", "pk")]


def kept_slots() -> list[Slot]:
    """Slots whose experiment has ended, while its engine may not be gone; `reconcile` frees them."""
    holder = Experiment.objects.filter(status__in=Experiment.ACTIVE, claim=OuterRef("claim"))
    return list(Slot.objects.exclude(claim="").exclude(Exists(holder)))
