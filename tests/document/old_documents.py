"""Documents of an earlier system for tests: a small one, with parts of it replaced."""

import json
from typing import Any

from tuning.document.base import Section
from tuning.document.loading import Loaded, load
from tuning.document.space import Choices

ABSENT = object()
"""In place of a value: the field is not there."""


def old(**changes: Any) -> str:
    """A small earlier document; each change is a dotted path (`model__name`) and a value."""
    data: dict[str, Any] = {
        "task_name": "t",
        "deployment_mode": "docker",
        "model": {"id_or_path": "org/model"},
        "base_runtime": "vllm",
        "parameters": {},
        "optimization": {
            "strategy": "random",
            "objective": "minimize_ttft",
            "max_iterations": 4,
            "timeout_per_iteration": 1200,
        },
        "benchmark": {
            "model_tokenizer": "org/model",
            "traffic_scenarios": ["D(10,10)"],
            "num_concurrency": [1],
            "max_time_per_iteration": 1,
            "max_requests_per_iteration": 20,
        },
    }
    for name, value in changes.items():
        _put(data, name.split("__"), value)
    return json.dumps(data, indent=1)


def _put(data: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
    if value is ABSENT:
        del data[path[-1]]
    else:
        data[path[-1]] = value


USUAL = (
    "optimization.max_iterations: changed",
    "optimization.timeout_per_iteration: changed",
    "benchmark: defaulted",
    "benchmark.max_time_per_iteration: converted",
)
"""The notes that every such document has."""


def translated(**changes: Any) -> Loaded:
    """What the small document with these changes loads to."""
    return load(old(**changes))


def notes(**changes: Any) -> list[str]:
    """The notes of the small document with these changes, those left out that it always has."""
    told = [f"{note.path}: {note.level}: {note.message}" for note in translated(**changes).notes]
    return [text for text in told if not text.startswith(USUAL)]


def space(**changes: Any) -> dict[str, Any]:
    """The parameters of the search space, as a document writes them."""
    parameters = translated(**changes).document.search_space.parameters
    return {name: _written(parameter) for name, parameter in parameters.items()}


def _written(parameter: Section) -> Any:
    if isinstance(parameter, Choices) and parameter.when is None:
        return list(parameter.values)
    return parameter.model_dump(mode="json", exclude_none=True)
