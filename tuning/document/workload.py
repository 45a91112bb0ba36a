"""The traffic that every configuration is measured with."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from tuning.document.base import Seconds, Section
from tuning.document.scenarios import Scenario, ScenarioKind, parse_scenario


class BenchmarkName(StrEnum):
    """The load generators."""

    BUILTIN = "builtin"
    GENAI_BENCH = "genai-bench"


class Arrivals(StrEnum):
    """How requests are spaced at a given rate (open loop)."""

    POISSON = "poisson"
    CONSTANT = "constant"


class LoadPoint(Section):
    """One load: a scenario at a concurrency (closed loop) or at a request rate (open loop), never both."""

    scenario: str
    concurrency: int | None = None
    request_rate_per_s: float | None = None

    def __str__(self) -> str:
        load = f"c={self.concurrency}" if self.concurrency else f"{self.request_rate_per_s:g} req/s"
        return f"{self.scenario} {load}"


class Dataset(Section):
    """Prompts from a file: a text file with one prompt a line, CSV, or JSON Lines."""

    path: Path
    prompt_field: str = "prompt"
    output_tokens: int = Field(default=256, ge=2, description="Most tokens of an answer, as a dataset names none.")


class Workload(Section):
    """What is sent, how hard, and for how long."""

    benchmark: BenchmarkName = BenchmarkName.BUILTIN
    scenarios: tuple[str, ...] = Field(default=("D(100,100)",), min_length=1, max_length=50)
    dataset: Dataset | None = None
    concurrency: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = ()
    request_rates_per_s: tuple[Annotated[float, Field(gt=0, le=100_000)], ...] = ()
    arrivals: Arrivals = Arrivals.POISSON
    requests: int = Field(default=200, ge=1, le=1_000_000, description="Requests of one load point, at most.")
    seconds: Seconds = Field(default=60, description="Seconds of one load point, at most.")
    warmup_requests: int = Field(default=8, ge=0, le=100_000, description="Sent first and not counted.")
    min_completed: int = Field(default=1, ge=1, description="Fewer completed requests make a load point failed.")
    ignore_eos: bool = Field(default=True, description="Have every answer run to its planned length.")
    sampling: dict[str, JsonValue] = Field(
        default_factory=lambda: {"temperature": 0}, description="Further fields of the request body."
    )
    seed: int = Field(default=0, ge=0, description="The same seed sends the same prompts to every configuration.")

    @field_validator("scenarios")
    @classmethod
    def _scenarios_parse(cls, scenarios: tuple[str, ...]) -> tuple[str, ...]:
        for text in scenarios:
            parse_scenario(text)
        return scenarios

    @field_validator("sampling")
    @classmethod
    def _sampling_is_ours_to_extend(cls, sampling: dict[str, JsonValue]) -> dict[str, JsonValue]:
        owned = {"model", "messages", "prompt", "stream", "stream_options", "max_tokens", "max_completion_tokens"}
        if clash := sorted(owned & sampling.keys()):
            raise ValueError(f"{', '.join(clash)}: set by the benchmark itself")
        return sampling

    @model_validator(mode="after")
    def _possible(self) -> Self:
        parsed = self.parsed_scenarios
        if any(scenario.kind is ScenarioKind.DATASET for scenario in parsed) and self.dataset is None:
            raise ValueError("scenario 'dataset' needs a dataset file in workload.dataset.path")
        if self.benchmark is BenchmarkName.GENAI_BENCH and self.request_rates_per_s:
            raise ValueError("genai-bench has no request-rate mode; use concurrency, or benchmark: builtin")
        if self.benchmark is BenchmarkName.BUILTIN:
            for scenario in parsed:
                if scenario.kind in (ScenarioKind.IMAGES, ScenarioKind.RERANK):
                    raise ValueError(f"builtin cannot send {scenario.text!r}; benchmark: genai-bench can")
        if self.min_completed > self.requests:
            raise ValueError(f"min_completed {self.min_completed} is more than requests {self.requests}")
        return self

    @property
    def parsed_scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios, read."""
        return tuple(parse_scenario(text) for text in self.scenarios)

    @property
    def load_points(self) -> tuple[LoadPoint, ...]:
        """Every scenario at every concurrency and every rate, in the order of the document; one stream by default."""
        streams_or_one = self.concurrency or (() if self.request_rates_per_s else (1,))
        return tuple(
            point
            for scenario in self.scenarios
            for point in (
                *(LoadPoint(scenario=scenario, concurrency=streams) for streams in streams_or_one),
                *(LoadPoint(scenario=scenario, request_rate_per_s=rate) for rate in self.request_rates_per_s),
            )
        )
