"""How one load point is run, whatever the load generator."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from tuning.document.goals import SLO, Limits
from tuning.document.workload import LoadPoint, Workload
from tuning.hooks import LogSink, StopCheck
from tuning.scoring.metrics import Measurement


@dataclass(frozen=True)
class LoadRequest:
    """One load point to be run against one engine.

    `folder` is fresh and belongs to this load point of this attempt alone: raw results are kept there. `index` is the
    load point's position in the workload, `seed` the same for every configuration of a task.
    """

    base_url: str
    served_name: str
    tokenizer: str
    workload: Workload
    load_point: LoadPoint
    index: int
    slo: SLO
    limits: Limits
    folder: Path


class Benchmark(Protocol):
    """One load generator.

    An experiment enters it while its engine starts: what the generator needs is then started beside it, kept for all
    load points, and gone when the block is left. Outside of a block each call starts and ends what it needs.
    """

    def __enter__(self) -> Self:
        """Begin to start what the load points need, without waiting for it; BenchmarkError when it cannot be run."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave nothing running."""
        ...

    def warm_up(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> None:
        """Send `workload.warmup_requests` requests that are not counted; BenchmarkError when none is answered."""
        ...

    def run(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> Measurement:
        """Run the load point to its end.

        A load point that went wrong (too few completed requests, deadline) is a Measurement with a reason, not an
        exception. BenchmarkError: the generator itself could not be run. What `stop` raises ends the load within 2 s
        and passes through, with nothing left running.
        """
        ...
