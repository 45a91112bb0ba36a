"""What a task came to, on one card: the answer, how sure it is, and what it cost."""

from dataclasses import dataclass

from pydantic import JsonValue

from tuning.models import Experiment
from tuning.overview.axes import differing
from tuning.overview.results import Snapshot, elapsed_s, gpu_s


@dataclass(frozen=True)
class Difference:
    """A parameter that the best configuration has otherwise than the baseline, which may leave it to the engine."""

    name: str
    best: JsonValue
    baseline: JsonValue


@dataclass(frozen=True)
class Summary:
    """The answer. `half_width` is half of the 95 % interval of the best value; None where it was measured once.

    `tied` are the numbers of configurations that cannot be told from the best one by what was measured.
    """

    snapshot: Snapshot
    ratio: float | None
    half_width: float | None
    replicates: int
    tied: tuple[int, ...]
    differences: tuple[Difference, ...]
    command_line: str
    gpu_s: float
    elapsed_s: float | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Summary":
        """Ask for what the snapshot does not have: two queries at most."""
        best = snapshot.best
        result = snapshot.of_configuration[best.parameters_hash] if best else None
        return cls(
            snapshot=snapshot,
            ratio=snapshot.ratio(snapshot.best_value),
            half_width=result.half_width if result else None,
            replicates=len(result.values) if result else 0,
            tied=tuple(row.number for row in snapshot.results.tied),
            differences=_differences(best, snapshot.baseline) if best else (),
            command_line=_command_line(best) if best else "",
            gpu_s=gpu_s(snapshot.task),
            elapsed_s=elapsed_s(snapshot.task),
        )


def _differences(best: Experiment, baseline: Experiment | None) -> tuple[Difference, ...]:
    known = baseline.parameters if baseline else {}
    return tuple(Difference(name, value, known.get(name)) for name, value in differing(best, baseline).items())


def _command_line(row: Experiment) -> str:
    return str(Experiment.objects.values_list("command_line", flat=True).get(pk=row.pk))
