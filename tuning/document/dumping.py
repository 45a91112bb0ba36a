"""From a task document back to text that loads to the same document."""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import yaml
from pydantic import JsonValue

from tuning.document.base import Section
from tuning.document.goals import Budget, Objective, Strategy
from tuning.document.space import Choices, FloatRange, same_text
from tuning.document.task import DockerDeployment, LocalDeployment, OmeDeployment, TaskDocument
from tuning.document.text import resolve
from tuning.document.workload import Workload

_ESSENTIAL: dict[type[Section], tuple[str, ...]] = {
    TaskDocument: ("schema_version", "deployment", "strategy", "budget", "objective", "workload"),
    LocalDeployment: ("mode",),
    DockerDeployment: ("mode",),
    OmeDeployment: ("mode",),
    Strategy: ("name",),
    Budget: ("experiments",),
    Objective: ("name",),
    Workload: ("scenarios",),
}
"""What is written even where it is the default, because a reader looks for it."""

_AS_GIVEN = ("values", "when", "fixed", "sampling")
"""Fields of any JSON value: 1.0 and 1 are different there."""


_ODD_BREAK = re.compile("[\r\x85\u2028\u2029\ufeff]")


def dump(document: TaskDocument, format: Literal["yaml", "json"] = "yaml") -> str:  # noqa: A002
    """The document as text: what is not the default and what a reader looks for, in the order of the schema."""
    data = _section(document)
    if format == "json":
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return as_yaml(data)


def as_yaml(data: JsonValue) -> str:
    """Plain data as text that reads as the same data, whether or not it is a document."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _section(section: Section) -> dict[str, JsonValue]:
    plain = section.model_dump(mode="json")
    return {name: _field(section, name, plain[name]) for name in _written(section, plain)}


def _written(section: Section, plain: dict[str, JsonValue]) -> Iterator[str]:
    """The fields that are not the default, and the essential ones."""
    for name, field in type(section).model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        essential = name in _ESSENTIAL.get(type(section), ()) or field.is_required()
        if essential or same_text(_field(section, name, plain[name])) != same_text(_default(name, default)):
            yield name


def _default(name: str, default: Any) -> Any:
    """A default as `_field` writes it."""
    if isinstance(default, Section):
        return _section(default)
    default = list(default) if isinstance(default, tuple) else default
    return default if name in _AS_GIVEN else _short(default)


def _field(section: Section, name: str, plain: JsonValue) -> Any:
    value = getattr(section, name)
    if isinstance(value, Section):
        return _section(value)
    if name == "parameters":
        return {key: _parameter(parameter) for key, parameter in value.items()}
    if name in _AS_GIVEN or isinstance(section, FloatRange):
        return plain
    return _short(plain)


def _parameter(parameter: Section) -> JsonValue:
    """Choices without a condition are a plain list; a range says its type where its numbers do not."""
    if isinstance(parameter, Choices) and parameter.when is None:
        return list(parameter.values)
    return _section(parameter)


def _short(value: Any) -> Any:
    """60 instead of 60.0, where only numbers can stand."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Dumper(yaml.SafeDumper):
    """Short lists on one line, no aliases, and quotes around text that would otherwise be read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve(text), str) else "'"
    if _ODD_BREAK.search(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    flat = not any(isinstance(item, list | dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flat)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
