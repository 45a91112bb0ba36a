"""How an engine is brought up, watched and taken down, wherever it runs."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

from tuning.document.base import Parameters
from tuning.document.task import TaskDocument
from tuning.engines.base import Command, Engine
from tuning.hooks import LogSink, StopCheck

PREFIX = "AUTOTUNER_"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class Role(StrEnum):
    """What a process of an attempt is for."""

    ENGINE = "engine"
    LOAD = "load"


@dataclass(frozen=True)
class Owner:
    """Whose a process or container is: the marks that everything started carries."""

    instance: str
    task: int
    experiment: int
    attempt: int

    def environment(self, role: Role | None = None) -> dict[str, str]:
        """The marks as environment variables: AUTOTUNER_INSTANCE, _TASK, _EXPERIMENT, _ATTEMPT.

        With `role` AUTOTUNER_ROLE too, by which an engine is told from the load generator of the same attempt.
        """
        marks = {f"{PREFIX}{name.upper()}": str(value) for name, value in asdict(self).items()}
        return marks if role is None else {**marks, f"{PREFIX}ROLE": role}

    @classmethod
    def of_environment(cls, variables: Mapping[str, str]) -> Self | None:
        """Whose a process with this environment is; None when a mark is missing or not as `environment` writes it."""
        instance = variables.get(f"{PREFIX}INSTANCE", "")
        numbers = [variables.get(f"{PREFIX}{name}", "") for name in ("TASK", "EXPERIMENT", "ATTEMPT")]
        if not instance or not all(map(_NUMBER.fullmatch, numbers)):
            return None
        return cls(instance, *map(int, numbers))


@dataclass(frozen=True)
class Leftover:
    """Everything that lives and carries the marks of one attempt.

    `handle` is one for `Deployer.remove`; `what` names it for people, without arguments, which may hold secrets.
    """

    owner: Owner
    handle: Mapping[str, Any]
    what: str


@dataclass(frozen=True)
class DeployRequest:
    """What is to be brought up. `gpus` are the devices it was given, in PCI order; empty without GPUs."""

    owner: Owner
    document: TaskDocument
    engine: Engine
    parameters: Parameters
    gpus: tuple[str, ...] = ()


class Deployment(Protocol):
    """One engine that was started."""

    @property
    def base_url(self) -> str:
        """Where it serves, without a path: `http://127.0.0.1:43210`. Ask again after `wait_ready`: it may change."""
        ...

    @property
    def served_name(self) -> str:
        """The model name that requests must give."""
        ...

    @property
    def command(self) -> Command:
        """What was started."""
        ...

    @property
    def handle(self) -> Mapping[str, Any]:
        """JSON values by which another process can find and remove it."""
        ...

    @property
    def version(self) -> str:
        """The engine's own version, known once it is ready; empty when it does not tell."""
        ...

    def check(self) -> None:
        """Raise EngineDied, with the reason from its log, when the engine has ended by itself."""
        ...

    def check_serving(self, *, limit_s: float, stop: StopCheck) -> None:
        """Return when its health URL answers; EngineDied when it has ended, ends now, or is silent for `limit_s`."""
        ...


class Deployer(Protocol):
    """One place where engines run. `deploy` and `remove` are idempotent; nothing outlives `remove`."""

    def handle_of(self, owner: Owner) -> Mapping[str, Any]:
        """A handle for `remove` that finds, by its marks, whatever was or will be started for `owner`."""
        ...

    def deploy(self, request: DeployRequest, *, log: LogSink, stop: StopCheck) -> Deployment:
        """Start the engine and return at once; DeployError when it cannot be started, with nothing left behind."""
        ...

    def wait_ready(self, deployment: Deployment, *, limit_s: float, stop: StopCheck) -> None:
        """Return when it serves the right model under the right name; DeployError when it ends or is too late."""
        ...

    def remove(self, handle: Mapping[str, Any], *, grace_s: float) -> None:
        """End the engine that `handle` names, by asking first and by force after `grace_s` seconds.

        Nothing happens when it is gone, or when what carries its number now is not ours.
        """
        ...

    def started(self, instance: str) -> list[Leftover]:
        """Everything that lives and carries the marks of `instance`, whoever started it, by experiment and attempt.

        What is being used right now is among it: the caller knows which attempts are active. What carries no mark,
        another instance or ids that are no numbers is not, nor is the calling process with those it descends from.
        """
        ...
