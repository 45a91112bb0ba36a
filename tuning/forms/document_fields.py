"""The fields of the form: where each is in the document, how it is written, and what it says about itself.

Labels are made of the names of the schema and help is its description, so that form and guide say the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

from pydantic import JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tuning.document.base import FieldPath, Section
from tuning.document.report import dotted
from tuning.document.task import DockerDeployment, LocalDeployment, OmeDeployment, TaskDocument
from tuning.document.validation import value_at
from tuning.forms.notation import LINES, LIST, MAPPING, PROSE, SCALAR, SWITCH, TEXT, VARIABLES, Notation

DEPLOYMENTS: dict[str, type[Section]] = {"local": LocalDeployment, "docker": DockerDeployment, "ome": OmeDeployment}
_WORDS = {
    "id": "ID",
    "ttft": "TTFT",
    "tpot": "TPOT",
    "itl": "ITL",
    "e2e": "E2E latency",
    "gpus": "GPUs",
    "gpu": "GPU",
    "eos": "EOS",
}
_UNITS = {"_per_s": " per s", "_ms": ", ms", "_s": ", s"}
_LABELS = {
    "engine.name": "engine",
    "model.id": "model",
    "deployment.shm_size": "shared_memory",
    "strategy.name": "strategy",
    "objective.name": "objective",
    "workload.dataset.path": "dataset",
}
"""Where the last name of a path says too little by itself."""
_HINTS = {"engine.image": ("docker", "ome"), "engine.executable": ("local",), "engine.python": ("local",)}


@dataclass(frozen=True)
class DocumentField:
    """One field. `kind` is its control: line, number, code, prose, lines, switch or choice."""

    path: FieldPath
    notation: Notation
    kind: str

    @cached_property
    def name(self) -> str:
        """Its name in the form: the dotted path in the document."""
        return dotted(self.path)

    @cached_property
    def label(self) -> str:
        """Words for people."""
        last = str(self.path[-1])
        last = _LABELS.get(self.name, last)
        unit = next((sign for sign in _UNITS if last.endswith(sign)), "")
        words = [_WORDS.get(word, word) for word in last.removesuffix(unit).split("_")]
        text = " ".join(words) + _UNITS.get(unit, "")
        return text[:1].upper() + text[1:]

    @cached_property
    def help(self) -> str:
        """The description of the schema."""
        info = info_of(self.path[:1]) if self.path == MODE else self._info
        return info.description or ""

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """What a choice offers."""
        return DEPLOYMENT_MODES if self.path == MODE else tuple(_options(self._info.annotation))

    @cached_property
    def modes(self) -> tuple[str, ...]:
        """The deployment modes in which it means something."""
        if self.path[0] == "deployment" and self.path != MODE:
            return tuple(mode for mode, section in DEPLOYMENTS.items() if self.path[1] in section.model_fields)
        return _HINTS.get(self.name, DEPLOYMENT_MODES)

    @cached_property
    def placeholder(self) -> str:
        """What holds where nothing is given, or an example."""
        if self.default != {} and (default := self.notation.show(self.default)):
            return default
        return f"e.g. {self.notation.show(self._info.examples[0])}" if self._info.examples else ""

    @cached_property
    def default(self) -> JsonValue:
        """What the schema says where the document says nothing; None where it is needed."""
        value: Any = self._info.get_default(call_default_factory=True, validated_data={})
        if value is PydanticUndefined:
            return None
        value = value.value if isinstance(value, Enum) else list(value) if isinstance(value, tuple) else value
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def text(self, data: JsonValue) -> str:
        """What the field shows of a document."""
        value = value_at(data, self.path)
        shows_default = value is None and self.kind in ("switch", "choice")
        return self.notation.show(self.default if shows_default else value)

    @cached_property
    def _info(self) -> FieldInfo:
        return info_of(self.path)


@dataclass(frozen=True)
class FieldGroup:
    """A section of the form; `more` are the fields that are rarely needed."""

    key: str
    title: str
    fields: tuple[DocumentField, ...]
    more: tuple[DocumentField, ...] = ()


MODE: FieldPath = ("deployment", "mode")
DEPLOYMENT_MODES = tuple(DEPLOYMENTS)


def info_of(path: FieldPath) -> FieldInfo:
    """What the schema says about the field at `path`; of a deployment, what the first mode that has it says."""
    sections = _sections_at(path[:-1])
    return next(each.model_fields[str(path[-1])] for each in sections if str(path[-1]) in each.model_fields)


def names_in(path: FieldPath) -> list[str]:
    """The fields of the section at `path`, in the order of the schema; those of a deployment for all modes."""
    return list(dict.fromkeys(name for section in _sections_at(path) for name in section.model_fields))


def _sections_at(path: FieldPath) -> list[type[Section]]:
    return list(_sections(info_of(path).annotation)) if path else [TaskDocument]


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)


def _options(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    is_enum = isinstance(annotation, type) and issubclass(annotation, Enum)
    return [str(member.value) for member in annotation] if is_enum else []


_KINDS = {
    "line": TEXT,
    "number": SCALAR,
    "list": LIST,
    "mapping": MAPPING,
    "prose": PROSE,
    "lines": LINES,
    "variables": VARIABLES,
    "switch": SWITCH,
    "choice": TEXT,
}
"""Words of the table below -> notation; a list and a mapping are one line of code, variables are lines of code."""


def _fields(table: str) -> tuple[DocumentField, ...]:
    pairs = (line.split() for line in table.strip().splitlines())
    return tuple(DocumentField(tuple(re.split(r"\.", name)), _KINDS[kind], kind) for name, kind in pairs)


GROUPS = (
    FieldGroup(
        "basics",
        "Basics",
        _fields("name line\ndescription prose"),
    ),
    FieldGroup(
        "engine",
        "Engine and model",
        _fields("engine.name choice\nmodel.id line\nengine.executable line\nengine.python line\nengine.image line"),
        _fields("engine.environment variables\nengine.allow_unknown_flags switch"),
    ),
    FieldGroup(
        "deployment",
        "Deployment",
        _fields(
            "deployment.mode choice\ndeployment.gpus list\ndeployment.shm_size line\ndeployment.memory_limit line\n"
            "deployment.host_network switch\ndeployment.namespace line\ndeployment.runtime line"
        ),
    ),
    FieldGroup("space", "Search space", _fields("search_space.constraints lines")),
    FieldGroup(
        "strategy",
        "Strategy and budget",
        _fields(
            "strategy.name choice\nbudget.experiments number\nbudget.wall_clock_s number\nbudget.gpu_hours number\n"
        ),
        _fields("strategy.initial_random number\nstrategy.seed number\nbudget.max_failures number"),
    ),
    FieldGroup(
        "objective",
        "Objective and SLO",
        _fields(
            "objective.name choice\nobjective.statistic choice\nslo.ttft_ms mapping\nslo.tpot_ms mapping\n"
            "slo.itl_ms mapping\nslo.e2e_ms mapping\nslo.min_output_tokens_per_s number\n"
            "slo.min_requests_per_s number\nslo.error_rate number"
        ),
    ),
    FieldGroup(
        "workload",
        "Workload",
        _fields(
            "workload.scenarios lines\nworkload.concurrency list\nworkload.request_rates_per_s list\n"
            "workload.requests number\nworkload.seconds number\nworkload.warmup_requests number\n"
            "workload.benchmark choice\nmodel.served_name line\nmodel.tokenizer line"
        ),
        _fields(
            "workload.arrivals choice\nworkload.min_completed number\nworkload.sampling mapping\n"
            "workload.seed number\nworkload.dataset.path line\nworkload.dataset.prompt_field line\n"
            "workload.dataset.output_tokens number\nworkload.ignore_eos switch"
        ),
    ),
    FieldGroup(
        "advanced",
        "Advanced",
        _fields("max_parallel number\nreplicates number\nfinalists number\nbaseline switch"),
        _fields(
            "limits.pull_s number\nlimits.download_s number\nlimits.ready_s number\nlimits.load_point_s number\n"
            "limits.request_s number\nlimits.experiment_s number\nlimits.stop_s number"
        ),
    ),
)
FIELDS = tuple(field for group in GROUPS for field in (*group.fields, *group.more))
