"""What is optimised, what must hold, and what may be spent."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tuning.document.base import Milliseconds, Seconds, Section


class ObjectiveName(StrEnum):
    """What is optimised; `tuning.scoring.objectives` defines each."""

    MINIMIZE_LATENCY = "minimize_latency"
    MINIMIZE_TTFT = "minimize_ttft"
    MINIMIZE_TPOT = "minimize_tpot"
    MAXIMIZE_THROUGHPUT = "maximize_throughput"
    MAXIMIZE_GOODPUT = "maximize_goodput"
    BALANCED = "balanced"


Statistic = Annotated[str, Field(pattern=r"^(mean|p\d{1,2}(\.\d{1,3})?)$", description="mean, p50, p99, p99.9 ...")]
Ceilings = dict[Statistic, Milliseconds]


class Objective(Section):
    """The one number by which feasible configurations are ranked."""

    name: ObjectiveName = ObjectiveName.MAXIMIZE_THROUGHPUT
    statistic: Statistic = Field(default="mean", description="Which statistic of a latency is minimised.")


class SLO(Section):
    """The service level objective: ceilings on latencies in milliseconds by statistic, and floors on throughput."""

    ttft_ms: Ceilings = Field(default_factory=dict)
    tpot_ms: Ceilings = Field(default_factory=dict)
    itl_ms: Ceilings = Field(default_factory=dict)
    e2e_ms: Ceilings = Field(default_factory=dict)
    error_rate: float = Field(default=0.01, ge=0, lt=1, description="Largest share of requests that may fail.")
    min_output_tokens_per_s: float | None = Field(default=None, gt=0)
    min_requests_per_s: float | None = Field(default=None, gt=0)

    @property
    def statistics(self) -> frozenset[str]:
        """Every statistic that a ceiling names."""
        return frozenset().union(self.ttft_ms, self.tpot_ms, self.itl_ms, self.e2e_ms)


class StrategyName(StrEnum):
    """How the next configuration is chosen."""

    GRID = "grid"
    RANDOM = "random"
    BAYESIAN = "bayesian"


class Strategy(Section):
    """How the next configuration is chosen; the same seed chooses the same."""

    name: StrategyName = StrategyName.GRID
    seed: int = Field(default=0, ge=0, lt=2**32)
    initial_random: int = Field(default=8, ge=1, le=10_000, description="bayesian: drawn at random before it models.")


class Budget(Section):
    """What a task may spend."""

    experiments: int = Field(default=50, ge=1, le=1_000_000, description="Configurations tried, baseline included.")
    wall_clock_s: Seconds | None = None
    max_failures: int = Field(default=10, ge=1, description="Failed experiments in a row that end the task.")


class Limits(Section):
    """Separate time limits; each one that fires says so by its name."""

    pull_s: Seconds = 3600
    download_s: Seconds = 3600
    ready_s: Seconds = 900
    load_point_s: Seconds = 900
    request_s: Seconds = 300
    experiment_s: Seconds = 7200
    stop_s: Seconds = 10
