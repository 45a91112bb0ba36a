"""The traffic that every configuration is measured with."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

from tuning.document.base import FilePath, Seconds, Section, Violation
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

    scenario: str = Field(description="The traffic scenario.")
    concurrency: int | None = Field(default=None, description="Requests in flight at any time.")
    request_rate_per_s: float | None = Field(default=None, description="Requests sent per second.")

    def __str__(self) -> str:
        load = f"c={self.concurrency}" if self.concurrency else f"{self.request_rate_per_s:g} req/s"
        return f"{self.scenario} {load}"


class Dataset(Section):
    """Prompts from a file: a text file with one prompt a line, CSV, or JSON Lines."""

    path: FilePath = Field(
        description="The file: .txt with a prompt a line, .csv or .jsonl.", examples=["prompts.jsonl"]
    )
    prompt_field: str = Field(
        default="prompt", min_length=1, max_length=200, description="Column or key that holds the prompt."
    )
    output_tokens: int = Field(
        default=256, ge=2, le=1_000_000, description="Most tokens of an answer, as a dataset names none."
    )


_OWNED = frozenset({"model", "messages", "prompt", "stream", "stream_options", "max_tokens", "max_completion_tokens"})


def _greedy() -> dict[str, JsonValue]:
    return {"temperature": 0}


def _readable(scenario: str) -> str:
    parse_scenario(scenario)
    return scenario


class Workload(Section):
    """What is sent, how hard, and for how long."""

    benchmark: BenchmarkName = Field(default=BenchmarkName.BUILTIN, description="The load generator.")
    scenarios: tuple[Annotated[str, AfterValidator(_readable)], ...] = Field(
        default=("D(100,100)",),
        min_length=1,
        max_length=50,
        description="Traffic scenarios in genai-bench's grammar, in tokens; `dataset` sends the dataset's prompts.",
        examples=[["D(512,128)", "N(480,240)/(300,150)"]],
    )
    dataset: Dataset | None = Field(default=None, description="Where the prompts of scenario `dataset` come from.")
    concurrency: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(
        default=(),
        max_length=50,
        description="Closed loop: requests in flight, one load point each.",
        examples=[[1, 8]],
    )
    request_rates_per_s: tuple[Annotated[float, Field(gt=0, le=100_000)], ...] = Field(
        default=(),
        max_length=50,
        description="Open loop: requests per second, one load point each.",
        examples=[[0.5, 4]],
    )
    arrivals: Arrivals = Field(default=Arrivals.POISSON, description="Open loop: how requests are spaced.")
    requests: int = Field(default=200, ge=1, le=1_000_000, description="Requests of one load point, at most.")
    seconds: Seconds = Field(default=60, description="Seconds of one load point, at most.")
    warmup_requests: int = Field(default=8, ge=0, le=100_000, description="Sent first and not counted.")
    min_completed: int = Field(
        default=1, ge=1, le=1_000_000, description="Fewer completed requests make a load point failed."
    )
    ignore_eos: bool = Field(default=True, description="Have every answer run to its planned length.")
    sampling: dict[str, JsonValue] = Field(
        default_factory=_greedy,
        max_length=100,
        description="Further fields of the request body.",
        examples=[{"temperature": 0, "top_p": 0.9}],
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="The same seed sends the same prompts to every configuration."
    )

    def rules(self) -> Iterator[Violation]:
        """The benchmark can send this, each load once, and sets what it owns itself."""
        if self.min_completed > self.requests:
            message = f"min_completed {self.min_completed} is more than requests {self.requests}"
            yield Violation(("min_completed",), message, (("requests",),))
        if self.benchmark is BenchmarkName.GENAI_BENCH and self.request_rates_per_s:
            message = "genai-bench has no request-rate mode; use concurrency, or benchmark: builtin"
            yield Violation(("request_rates_per_s",), message, (("benchmark",),))
        for name in sorted(_OWNED & self.sampling.keys()):
            yield Violation(("sampling", name), "set by the benchmark itself")
        yield from self._scenario_rules()
        yield from _repeated("scenarios", self.scenarios)
        yield from _repeated("concurrency", self.concurrency)
        yield from _repeated("request_rates_per_s", self.request_rates_per_s)

    def _scenario_rules(self) -> Iterator[Violation]:
        kinds = [scenario.kind for scenario in self.parsed_scenarios]
        for index, kind in enumerate(kinds):
            if kind is ScenarioKind.DATASET and self.dataset is None:
                message = "scenario 'dataset' needs a file in workload.dataset.path"
                yield Violation(("scenarios", index), message, (("dataset",),))
            if self.benchmark is BenchmarkName.BUILTIN and kind in (ScenarioKind.IMAGES, ScenarioKind.RERANK):
                message = f"builtin cannot send {self.scenarios[index]!r}; benchmark: genai-bench can"
                yield Violation(("scenarios", index), message, (("benchmark",),))
        if self.dataset and ScenarioKind.DATASET not in kinds:
            message = "no scenario sends it; scenarios: [dataset] does"
            yield Violation(("dataset",), message, (("scenarios",),))

    @property
    def planned_s(self) -> float:
        """Seconds that all load points of one configuration take at most, without warm-up and last answers."""
        return len(self.load_points) * self.seconds

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


def _repeated(name: str, values: Sequence[str | float]) -> Iterator[Violation]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield Violation((name, index), f"{value} is given twice")
