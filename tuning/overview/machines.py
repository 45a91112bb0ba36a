"""The machines: which workers live on them, what they have, and who uses it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from tuning.models import Experiment, Slot, Worker
from tuning.overview.dashboard import SlotLine
from tuning.overview.tasks import slot_holders
from tuning.runner.instance import instance_id
from tuning.runner.reconcile import dead


@dataclass(frozen=True)
class WorkerLine:
    """A process that runs experiments, or did when it was heard of last."""

    worker: Worker
    is_alive: bool
    running: tuple[Experiment, ...]


@dataclass(frozen=True)
class Machine:
    """A node: an installation on a machine."""

    node: str
    is_ours: bool
    workers: tuple[WorkerLine, ...]
    slots: tuple[SlotLine, ...]

    @property
    def title(self) -> str:
        """The host's name where a worker tells it."""
        return self.workers[0].worker.host if self.workers else self.node

    @property
    def has_gpus(self) -> bool:
        """Whether its slots are GPUs."""
        return any(line.slot.gpu is not None for line in self.slots)

    @property
    def free(self) -> int:
        """How many slots an experiment could have."""
        return sum(line.is_free for line in self.slots)


def machines() -> list[Machine]:
    """All of them, ours first; the number of queries does not depend on how many there are."""
    holders = slot_holders()
    workers = _workers(holders)
    slots = {
        node: tuple(SlotLine(slot, holders.get(slot.claim)) for slot in found)
        for node, found in groupby(Slot.objects.order_by("node", "index"), key=lambda slot: slot.node)
    }
    nodes = sorted({*workers, *slots}, key=lambda node: (node != instance_id(), node))
    return [Machine(node, node == instance_id(), workers.get(node, ()), slots.get(node, ())) for node in nodes]


def _workers(holders: Mapping[str, Experiment]) -> dict[str, tuple[WorkerLine, ...]]:
    """Workers by their node."""
    running = sorted(holders.values(), key=lambda row: row.pk)
    found = list(Worker.objects.order_by("node", "started_at"))
    gone = set(dead(found))
    lines = [
        WorkerLine(worker, worker.pk not in gone, tuple(row for row in running if row.worker_id == worker.pk))
        for worker in found
    ]
    return {node: tuple(of) for node, of in groupby(lines, key=lambda line: line.worker.node)}
