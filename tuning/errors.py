"""Every exception that this program raises on purpose, in one tree.

AutotunerError                 something that a person can be told in one sentence
├── DocumentError              the task document is wrong; carries every problem found, each with its path and line
├── ExperimentError            one experiment cannot go on; carries a reason code
│   ├── DeployError            the engine did not start, or does not serve what was asked for
│   ├── EngineDied             the engine ended while it was being loaded
│   └── BenchmarkError         the load generator could not do its work
├── Cancelled                  a person asked to stop
├── Interrupted                this process is going; the work is handed back
└── ConflictError              not now: the state of a task or experiment does not allow it
    └── LeaseLost              the experiment belongs to another attempt now
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why an experiment or a load point failed."""

    INVALID_CONFIG = "invalid_config"
    OUT_OF_MEMORY = "out_of_memory"
    MODEL_NOT_FOUND = "model_not_found"
    ENGINE_NOT_FOUND = "engine_not_found"
    PORT_IN_USE = "port_in_use"
    PULL_FAILED = "pull_failed"
    STARTUP_TIMEOUT = "startup_timeout"
    ENGINE_CRASHED = "engine_crashed"
    WRONG_MODEL = "wrong_model"
    BENCHMARK_FAILED = "benchmark_failed"
    LOAD_POINT_TIMEOUT = "load_point_timeout"
    EXPERIMENT_TIMEOUT = "experiment_timeout"
    LOST_WORKER = "lost_worker"
    CANCELLED = "cancelled"
    INTERNAL_ERROR = "internal_error"


class AutotunerError(Exception):
    """Root of the tree; `str()` of it is a sentence for a person."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a task document.

    `path` is the dotted path of the field (`slo.ttft_ms.p99`), `line` the 1-based line in the text where known.
    """

    path: str
    message: str
    value: object = None
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path or 'document'}: {self.message}"


class DocumentError(AutotunerError):
    """The task document is refused; `problems` holds all that is wrong with it, in the order of the text."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ExperimentError(AutotunerError):
    """One experiment failed for `reason`; the others of its task go on."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class DeployError(ExperimentError):
    """The engine did not start, or it does not serve what was asked for."""


class EngineDied(ExperimentError):
    """The engine ended by itself while it was being loaded."""


class BenchmarkError(ExperimentError):
    """The load generator could not be run, or gave nothing that can be read."""

    def __init__(self, message: str, reason: Reason = Reason.BENCHMARK_FAILED) -> None:
        super().__init__(reason, message)


class Cancelled(AutotunerError):
    """A person asked to stop; whoever raises it has left nothing running."""


class Interrupted(AutotunerError):
    """This process was asked to end; whoever raises it has left nothing running, and the work is not lost."""


class ConflictError(AutotunerError):
    """The request does not apply in the present state; the message says why."""


class LeaseLost(ConflictError):
    """The experiment was taken over by another attempt; nothing of this one may be written any more."""
