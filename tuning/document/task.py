"""The task document: one schema for files, forms, the command line and the API."""

from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tuning.document.base import EnvironmentName, Section
from tuning.document.goals import SLO, Budget, Limits, Objective, ObjectiveName, Strategy, StrategyName
from tuning.document.space import FloatRange, SearchSpace
from tuning.document.workload import Workload

SCHEMA_VERSION = 1


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

    name: EngineName
    image: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$", max_length=500)
    executable: Path | None = None
    python: Path | None = None
    environment: dict[EnvironmentName, str] = Field(default_factory=dict)
    allow_unknown_flags: bool = False

    @model_validator(mode="after")
    def _one_way_to_start(self) -> Self:
        if self.executable and self.python:
            raise ValueError("give executable or python, not both")
        return self


class Model(Section):
    """Which model, by path or hub id, and the name it is served under."""

    id: str = Field(min_length=1, max_length=500, pattern=r"^[A-Za-z0-9_~/.][A-Za-z0-9_~/.:@ -]*$")
    served_name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=200)
    tokenizer: str | None = Field(default=None, description="Path or hub id; the model's own by default.")

    @property
    def public_name(self) -> str:
        """The name that clients ask for."""
        return self.served_name or PurePosixPath(self.id.rstrip("/")).name or "model"

    @property
    def tokenizer_id(self) -> str:
        """Whose token counts are used."""
        return self.tokenizer or self.id


class LocalDeployment(Section):
    """A subprocess on this machine."""

    mode: Literal["local"] = "local"
    gpus: tuple[int, ...] | None = Field(
        default=None, description="Devices by PCI order that it may use; all by default."
    )


class DockerDeployment(Section):
    """A container on a Docker Engine."""

    mode: Literal["docker"] = "docker"
    gpus: tuple[int, ...] | None = None
    host_network: bool = False
    shm_size: str = Field(default="16g", pattern=r"^\d+[kmg]$")
    memory_limit: str | None = Field(default=None, pattern=r"^\d+[kmg]$")


class OmeDeployment(Section):
    """An InferenceService of OME on Kubernetes."""

    mode: Literal["ome"] = "ome"
    namespace: str = Field(default="default", pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
    runtime: str | None = None


Deployment = Annotated[LocalDeployment | DockerDeployment | OmeDeployment, Field(discriminator="mode")]


class TaskDocument(Section):
    """One tuning job: engine, model, search space, traffic, goal, and what may be spent."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")
    description: str = Field(default="", max_length=10_000)
    engine: Engine
    model: Model
    deployment: Deployment = Field(default_factory=LocalDeployment)
    search_space: SearchSpace = Field(default_factory=SearchSpace)
    strategy: Strategy = Field(default_factory=Strategy)
    budget: Budget = Field(default_factory=Budget)
    objective: Objective = Field(default_factory=Objective)
    slo: SLO = Field(default_factory=SLO)
    workload: Workload = Field(default_factory=Workload)
    limits: Limits = Field(default_factory=Limits)
    baseline: bool = Field(default=True, description="Measure the engine's defaults first, on the same load.")
    replicates: int = Field(default=1, ge=1, le=100, description="How often a configuration is measured.")
    finalists: int = Field(
        default=0, ge=0, le=100, description="Above 0, only this many best ones (and the baseline) are measured again."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.objective.name is ObjectiveName.BALANCED and not self.baseline:
            raise ValueError("objective 'balanced' compares with the baseline; baseline: true is needed")
        if self.objective.name is ObjectiveName.MAXIMIZE_GOODPUT and not self.slo.statistics:
            raise ValueError("objective 'maximize_goodput' counts requests that meet the SLO; slo names no latency")
        if self.strategy.name is StrategyName.GRID:
            for name, parameter in self.search_space.parameters.items():
                if isinstance(parameter, FloatRange) and parameter.step is None:
                    raise ValueError(f"search_space.parameters.{name}: grid needs a `step` for a range of numbers")
        if self.finalists and self.replicates == 1:
            raise ValueError("finalists are measured again `replicates` times; replicates: 2 or more is needed")
        return self
