"""What is optimised, what must hold, and what may be spent."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from tuning.document.base import Milliseconds, Seconds, Section

STATISTIC = r"^(mean|p([0-9]|[1-9][0-9])(\.[0-9]{1,3})?)$"


class ObjectiveName(StrEnum):
    """What is optimised; `tuning.scoring.objectives` defines each."""

    MINIMIZE_LATENCY = "minimize_latency"
    MINIMIZE_TTFT = "minimize_ttft"
    MINIMIZE_TPOT = "minimize_tpot"
    MAXIMIZE_THROUGHPUT = "maximize_throughput"
    MAXIMIZE_GOODPUT = "maximize_goodput"
    BALANCED = "balanced"


Statistic = Annotated[str, Field(pattern=STATISTIC, description="mean, p50, p99, p99.9 ...")]
Ceilings = dict[Statistic, Milliseconds]


class Objective(Section):
    """The one number by which feasible configurations are ranked."""

    name: ObjectiveName = Field(
        default=ObjectiveName.MAXIMIZE_THROUGHPUT, description="What is optimised.", examples=["minimize_ttft"]
    )
    statistic: Literal["mean", "p50", "p90", "p95", "p99"] = Field(
        default="mean", description="Which statistic of a latency is minimised: mean, p50, p90, p95 or p99."
    )


class SLO(Section):
    """The service level objective: ceilings on latencies in milliseconds by statistic, and floors on throughput."""

    ttft_ms: Ceilings = Field(
        default_factory=dict,
        description="Highest time to the first token, in milliseconds, by statistic.",
        examples=[{"p99": 500}],
    )
    tpot_ms: Ceilings = Field(
        default_factory=dict,
        description="Highest time per output token after the first, in milliseconds, by statistic.",
        examples=[{"mean": 50}],
    )
    itl_ms: Ceilings = Field(
        default_factory=dict, description="Highest time between two tokens, in milliseconds, by statistic."
    )
    e2e_ms: Ceilings = Field(
        default_factory=dict,
        description="Highest time from request to last token, in milliseconds, by statistic.",
        examples=[{"p90": 6000}],
    )
    error_rate: float = Field(default=0.01, ge=0, lt=1, description="Largest share of requests that may fail, 0 to 1.")
    min_output_tokens_per_s: float | None = Field(
        default=None, gt=0, description="Lowest output throughput of the server, in tokens per second."
    )
    min_requests_per_s: float | None = Field(
        default=None, gt=0, description="Lowest rate of completed requests, per second."
    )

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

    name: StrategyName = Field(
        default=StrategyName.GRID, description="Every combination, draws, or draws led by a model."
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="The same seed chooses the same configurations.")
    initial_random: int = Field(
        default=8, ge=1, le=10_000, description="bayesian: configurations drawn at random before it models."
    )


class Budget(Section):
    """What a task may spend."""

    experiments: int = Field(default=50, ge=1, le=1_000_000, description="Configurations tried, baseline included.")
    wall_clock_s: Seconds | None = Field(
        default=None, description="Seconds after which no further experiment begins; no limit by default."
    )
    gpu_hours: float | None = Field(
        default=None, gt=0, description="GPU-hours after which no further experiment begins; no limit by default."
    )
    max_failures: int = Field(
        default=10, ge=1, le=1_000_000, description="Failed experiments in a row that end the task."
    )


class Limits(Section):
    """Separate time limits in seconds; each one that fires says so by its name."""

    pull_s: Seconds = Field(default=3600, description="Seconds to pull the image.")
    download_s: Seconds = Field(default=3600, description="Seconds to download the model.")
    ready_s: Seconds = Field(default=900, description="Seconds from the start of the engine until it is ready.")
    load_point_s: Seconds = Field(default=900, description="Seconds of one load point, warm-up included.")
    request_s: Seconds = Field(default=300, description="Seconds of one request.")
    experiment_s: Seconds = Field(default=7200, description="Seconds of one experiment, from start to removal.")
    stop_s: Seconds = Field(default=10, description="Seconds that the engine has to end before it is killed.")
