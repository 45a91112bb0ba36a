"""What an engine adapter knows: flags, command line, GPUs, health, and what its failures mean. Pure: no I/O."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from tuning.document.base import Parameters
from tuning.document.task import Engine as EngineSection
from tuning.document.task import EngineName
from tuning.engines.flags import FlagTable
from tuning.errors import Reason


@dataclass(frozen=True)
class Launch:
    """Everything that a command line is made from.

    `model` is the path or hub id as the engine will see it (inside a container it may differ from the document's).
    `python` is the interpreter of an engine that the document names neither `python` nor `executable` for.
    """

    engine: EngineSection
    model: str
    served_name: str
    host: str
    port: int
    parameters: Parameters
    tokenizer: str | None = None
    python: str = "python3"


@dataclass(frozen=True)
class Command:
    """An argument list, never a shell line, and the environment variables that belong to it."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """Why an engine ended, and the line of its log that says so."""

    reason: Reason
    line: str


class Engine(Protocol):
    """One inference engine."""

    name: EngineName
    simulated: bool
    """Whether what is measured on it was simulated."""
    table: FlagTable
    """The flags that it knows."""
    health_path: str
    """Answers 200 when the engine can serve."""
    version_path: str
    """Answers a JSON object with the engine's `version`."""

    def problems(self, parameters: Parameters, *, allow_unknown_flags: bool = False) -> list[tuple[str, str]]:
        """What is wrong with a configuration, as (parameter, sentence); empty when it can be tried."""
        ...

    def flags(self, parameters: Parameters) -> list[str]:
        """The flags that `parameters` become; `env:` ones and null ones become none."""
        ...

    def command(self, launch: Launch) -> Command:
        """The whole command that starts the engine as a process, with the environment of document and `env:`."""
        ...

    def roots(self, launch: Launch) -> frozenset[str]:
        """What `root` may say of our model in the engine's `/v1/models`; anything else is another model."""
        ...

    def gpus(self, parameters: Parameters) -> int:
        """How many GPUs a configuration needs: its world size."""
        ...

    def explain(self, log: Sequence[str], exit_code: int | None) -> Explanation:
        """Why it ended, from the end of its log (lines, oldest first) and its exit code (None: still running)."""
        ...


def environment(parameters: Parameters) -> dict[str, str]:
    """The environment variables among `parameters` (`env:NAME`); null ones are left out, booleans become 1 and 0."""
    named = {name.removeprefix("env:"): value for name, value in parameters.items() if name.startswith("env:")}
    return {name: _text(value) for name, value in named.items() if value is not None}


def launch_environment(launch: Launch) -> dict[str, str]:
    """The document's environment variables; those that are parameters win."""
    return {**launch.engine.environment, **environment(launch.parameters)}


def _text(value: JsonValue) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


def identity(engine: Engine, parameters: Parameters) -> str:
    """A digest that is equal for two configurations exactly when they start the same server."""
    started = [engine.name, sorted(_pairs(engine.flags(parameters))), environment(parameters)]
    return hashlib.sha256(json.dumps(started, sort_keys=True).encode()).hexdigest()


def _pairs(flags: Sequence[str]) -> list[list[str]]:
    """Flags with their values, so that the order in which a document names parameters does not matter."""
    groups: list[list[str]] = []
    for word in flags:
        if word.startswith("--") or not groups:
            groups.append([])
        groups[-1].append(word)
    return groups
