"""What is allowed in a task document and will hardly be wanted."""

from collections import Counter
from collections.abc import Iterator

from pydantic import JsonValue

from tuning.document.base import FieldPath
from tuning.document.space import Choices, SearchSpace, same_text
from tuning.document.task import TaskDocument

Advice = tuple[FieldPath, str]


def warnings(document: TaskDocument) -> Iterator[Advice]:
    """Path and sentence for everything that a person should look at again."""
    yield from _time(document)
    yield from _repetitions(document.search_space)
    yield from _never(document.search_space)


def _time(document: TaskDocument) -> Iterator[Advice]:
    planned, limits = document.workload.planned_s, document.limits
    if planned > limits.experiment_s:
        message = f"the load of one configuration takes up to {planned:g} s, this limit ends it after"
        yield ("limits", "experiment_s"), f"{message} {limits.experiment_s:g} s"
    if document.workload.seconds > limits.load_point_s:
        message = f"a load point takes up to {document.workload.seconds:g} s, this limit ends it after"
        yield ("limits", "load_point_s"), f"{message} {limits.load_point_s:g} s"


def _repetitions(space: SearchSpace) -> Iterator[Advice]:
    for name, parameter in space.parameters.items():
        counts = Counter(same_text(value) for value in parameter.values) if isinstance(parameter, Choices) else {}
        for value in (value for value, count in counts.items() if count > 1):
            yield ("search_space", "parameters", name), f"{value} is given more than once and tried once"


def _never(space: SearchSpace) -> Iterator[Advice]:
    for name, parameter in space.parameters.items():
        for parent, wanted in (parameter.when or {}).items():
            possible = _values(space, parent)
            if possible is not None and not _meet(possible, wanted):
                path = ("search_space", "parameters", name, "when", parent)
                yield path, f"{parent} never has the value {same_text(wanted)}, so {name} is never given"


def _values(space: SearchSpace, name: str) -> list[str] | None:
    """Every value that a parameter can have; None for a range."""
    if name in space.fixed:
        return [same_text(space.fixed[name])]
    parameter = space.parameters[name]
    return [same_text(value) for value in parameter.values] if isinstance(parameter, Choices) else None


def _meet(possible: list[str], wanted: JsonValue) -> bool:
    either = [wanted, *wanted] if isinstance(wanted, list) else [wanted]
    return any(same_text(value) in possible for value in either)
