"""The task document: one schema for files, forms, the command line and the API."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tuning.document.base import EnvironmentName, FilePath, Section, Violation
from tuning.document.goals import SLO, Budget, Limits, Objective, ObjectiveName, Strategy, StrategyName
from tuning.document.space import FloatRange, SearchSpace
from tuning.document.workload import Workload

SCHEMA_VERSION: Literal[1] = 1

TITLE = r"^\S(.*\S)?$"
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"
REFERENCE = r"^[A-Za-z0-9_~/.][A-Za-z0-9_~/.:@ -]*$"
SERVED_NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
MEMORY = r"^[0-9]{1,6}[kmg]$"
NAMESPACE = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"

_GPUS = "GPUs that it may use, by PCI order from 0; all by default."


class EngineName(StrEnum):
    """The engines that can be deployed."""

    VLLM = "vllm"
    SGLANG = "sglang"
    SIMULATED = "simulated"


class Engine(Section):
    """What serves the model.

    Local: `executable` (a console script such as `vllm`) or `python` (an interpreter that has the engine installed).
    Docker and OME: `image`, a tag of the engine's usual image or a full reference.
    """

    name: EngineName = Field(description="The engine.")
    image: str | None = Field(
        default=None,
        pattern=IMAGE,
        max_length=500,
        description="docker, ome: a tag of the engine's usual image, or a full reference.",
        examples=["v0.12.0"],
    )
    executable: FilePath | None = Field(
        default=None, description="local: the engine's console script.", examples=[".venv-vllm/bin/vllm"]
    )
    python: FilePath | None = Field(
        default=None,
        description="local: an interpreter that has the engine installed.",
        examples=["/opt/vllm/bin/python"],
    )
    environment: dict[EnvironmentName, str] = Field(
        default_factory=dict,
        max_length=500,
        description="Environment variables of the engine.",
        examples=[{"VLLM_LOGGING_LEVEL": "DEBUG"}],
    )
    allow_unknown_flags: bool = Field(
        default=False, description="Pass on flags that this program does not know for the engine."
    )

    def rules(self) -> Iterator[Violation]:
        """There is one way to start it."""
        if self.executable and self.python:
            yield Violation(("python",), "give executable or python, not both", (("executable",),))


class Model(Section):
    """Which model, by path or hub id, and the name it is served under."""

    id: str = Field(
        min_length=1,
        max_length=500,
        pattern=REFERENCE,
        description="Path of a directory or hub id.",
        examples=["meta-llama/Llama-3.2-1B-Instruct"],
    )
    served_name: str | None = Field(
        default=None,
        pattern=SERVED_NAME,
        max_length=200,
        description="The name that clients ask for; the last part of the id by default.",
    )
    tokenizer: str | None = Field(
        default=None, max_length=500, pattern=REFERENCE, description="Path or hub id; the model's own by default."
    )

    @property
    def public_name(self) -> str:
        """The name that clients ask for."""
        return self.served_name or PurePosixPath(self.id.rstrip("/")).name or "model"

    @property
    def tokenizer_id(self) -> str:
        """Whose token counts are used."""
        return self.tokenizer or self.id


_MODE_IS_WRITTEN = ConfigDict(json_schema_extra={"required": ["mode"]})
"""The mode tells which deployment it is, so that a document has to name it in spite of the default in Python."""

Gpu = Annotated[int, Field(ge=0, le=1023)]


def _gpu_rules(gpus: tuple[int, ...] | None) -> Iterator[Violation]:
    for index, gpu in enumerate(gpus or ()):
        if gpu in (gpus or ())[:index]:
            yield Violation(("gpus", index), f"GPU {gpu} is given twice")


class LocalDeployment(Section):
    """A subprocess on this machine."""

    model_config = _MODE_IS_WRITTEN

    mode: Literal["local"] = Field(default="local", description="A subprocess on this machine.")
    gpus: tuple[Gpu, ...] | None = Field(default=None, description=_GPUS, examples=[[0, 1]])

    def rules(self) -> Iterator[Violation]:
        """Each GPU is named once."""
        yield from _gpu_rules(self.gpus)


class DockerDeployment(Section):
    """A container on a Docker Engine."""

    model_config = _MODE_IS_WRITTEN

    mode: Literal["docker"] = Field(default="docker", description="A container on a Docker Engine.")
    gpus: tuple[Gpu, ...] | None = Field(default=None, description=_GPUS, examples=[[0, 1]])
    host_network: bool = Field(default=False, description="Use the host's network instead of a published port.")
    shm_size: str = Field(default="16g", pattern=MEMORY, description="Shared memory of the container.", examples=["8g"])
    memory_limit: str | None = Field(
        default=None, pattern=MEMORY, description="Memory of the container; no limit by default.", examples=["64g"]
    )

    def rules(self) -> Iterator[Violation]:
        """Each GPU is named once."""
        yield from _gpu_rules(self.gpus)


class OmeDeployment(Section):
    """An InferenceService of OME on Kubernetes."""

    model_config = _MODE_IS_WRITTEN

    mode: Literal["ome"] = Field(default="ome", description="An InferenceService of OME on Kubernetes.")
    namespace: str = Field(
        default="default", pattern=NAMESPACE, max_length=63, description="Kubernetes namespace to deploy to."
    )
    runtime: str | None = Field(
        default=None, min_length=1, max_length=253, description="ClusterServingRuntime; chosen by OME by default."
    )


Deployment = Annotated[LocalDeployment | DockerDeployment | OmeDeployment, Field(discriminator="mode")]


class TaskDocument(Section):
    """One tuning job: engine, model, search space, traffic, goal, and what may be spent."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="Version of this schema.")
    name: str = Field(
        min_length=1, max_length=200, pattern=TITLE, description="The task's name, one line.", examples=["llama-chat"]
    )
    description: str = Field(default="", max_length=10_000, description="Free text.")
    engine: Engine = Field(description="What serves the model.")
    model: Model = Field(description="Which model, by path or hub id, and the name it is served under.")
    deployment: Deployment = Field(default_factory=LocalDeployment, description="Where the engine runs.")
    search_space: SearchSpace = Field(default_factory=SearchSpace, description="Which parameters vary, over what.")
    strategy: Strategy = Field(default_factory=Strategy, description="How the next configuration is chosen.")
    budget: Budget = Field(default_factory=Budget, description="What the task may spend.")
    objective: Objective = Field(default_factory=Objective, description="What is optimised.")
    slo: SLO = Field(default_factory=SLO, description="What a configuration has to keep to be eligible.")
    workload: Workload = Field(default_factory=Workload, description="The traffic of every configuration.")
    limits: Limits = Field(default_factory=Limits, description="Time limits in seconds.")
    baseline: bool = Field(default=True, description="Measure the engine's defaults first, on the same load.")
    replicates: int = Field(default=1, ge=1, le=100, description="How often a configuration is measured.")
    finalists: int = Field(
        default=0, ge=0, le=100, description="Above 0, only this many best ones (and the baseline) are measured again."
    )
    max_parallel: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Experiments of this task that run at the same time, each on its own GPUs.",
    )

    def rules(self) -> Iterator[Violation]:
        """Objective, strategy and repetition have what they need."""
        if self.objective.name is ObjectiveName.BALANCED and not self.baseline:
            message = "'balanced' compares with the baseline; baseline: true is needed"
            yield Violation(("objective", "name"), message, (("baseline",),))
        if self.objective.name is ObjectiveName.MAXIMIZE_GOODPUT and not self.slo.statistics:
            message = "'maximize_goodput' counts requests that meet the SLO; slo names no latency"
            yield Violation(("objective", "name"), message, (("slo",),))
        if self.finalists and self.replicates == 1:
            message = "finalists are measured again `replicates` times; replicates: 2 or more is needed"
            yield Violation(("finalists",), message, (("replicates",),))
        yield from self._grid_rules()

    def _grid_rules(self) -> Iterator[Violation]:
        if self.strategy.name is not StrategyName.GRID:
            return
        for name, parameter in self.search_space.parameters.items():
            if isinstance(parameter, FloatRange) and parameter.step is None:
                message = "grid needs a `step` for a range of numbers; random and bayesian do not"
                yield Violation(("search_space", "parameters", name), message, (("strategy", "name"),))
