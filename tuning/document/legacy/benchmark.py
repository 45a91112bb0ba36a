"""benchmark: the traffic of an earlier document, which was sent by genai-bench."""

import json
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from tuning.document.legacy.translation import OldSection, Translation
from tuning.document.report import Level
from tuning.document.scenarios import ScenarioKind, parse_scenario
from tuning.document.workload import BenchmarkName

_FIELDS = (
    "task",
    "model_name",
    "model_tokenizer",
    "traffic_scenarios",
    "num_concurrency",
    "max_time_per_iteration",
    "max_requests_per_iteration",
    "additional_params",
    "dataset_url",
    "dataset_deduplicate",
)
_TEXT = frozenset({ScenarioKind.FIXED, ScenarioKind.NORMAL, ScenarioKind.UNIFORM, ScenarioKind.DATASET})
_TASKS = {
    "text-to-text": _TEXT,
    "text-to-embeddings": frozenset({ScenarioKind.EMBEDDINGS}),
    "text-to-rerank": frozenset({ScenarioKind.RERANK}),
    "image-text-to-text": frozenset({ScenarioKind.IMAGES}),
    "image-to-text": frozenset({ScenarioKind.IMAGES}),
    "image-to-embeddings": frozenset({ScenarioKind.IMAGES}),
}
_SCENARIO = "D(100,100)"
_MINUTES = {"docker": 10, "local": 10, "ome": 15}
_REQUESTS = {"docker": 50, "local": 50, "ome": 100}
_SUFFIXES = (".csv", ".jsonl", ".txt")


def benchmark(translation: Translation, mode: str) -> tuple[int, int]:
    """Write workload and model.tokenizer; the number of load points and the most seconds of one."""
    section = translation.section(("benchmark",), _FIELDS)
    if not isinstance(translation.source.get("benchmark"), dict):
        translation.refuse(("benchmark",), "is needed; {} sends one stream of D(100,100)")
    translation.put(("workload", "benchmark"), BenchmarkName.GENAI_BENCH.value, ("benchmark",))
    message = "measured with genai-bench, as before; `workload.benchmark: builtin` needs no further tool"
    translation.note(Level.DEFAULTED, ("benchmark",), message)
    scenarios = _scenarios(section)
    _task(section, scenarios)
    _model_names(section)
    streams = _concurrency(section)
    _sampling(section)
    _requests(section, _REQUESTS.get(mode, 50))
    return len(scenarios) * streams, _seconds(section, _MINUTES.get(mode, 10))


def _scenarios(section: OldSection) -> list[JsonValue]:
    """A dataset without scenarios is sent as it is; with them its text was cut to their lengths, which we do not do."""
    dataset = _dataset(section)
    given: list[JsonValue] = section.get("traffic_scenarios", list) or []
    if dataset and any(text != ScenarioKind.DATASET for text in given):
        message = "the dataset's text was cut to these lengths, which is not done here: leave out one of the two"
        section.refuse("traffic_scenarios", message)
    default = [ScenarioKind.DATASET.value] if dataset else [_SCENARIO]
    if not given:
        section.note(Level.DEFAULTED, "traffic_scenarios", f"{default[0]}, as before")
    section.translation.put(("workload", "scenarios"), given or default, section.at("traffic_scenarios"))
    return given or [*default]


def _dataset(section: OldSection) -> str | None:
    """The path of the dataset, or "" if it cannot be used; None without one."""
    section.ignore("dataset_deduplicate", "prompts are sent as the file has them")
    url = section.get("dataset_url", str)
    if url is None:
        return None
    path = unquote(urlsplit(url).path) if url.startswith("file://") else url
    if url.startswith(("http://", "https://")):
        section.refuse("dataset_url", "download the file first and give its path; nothing is downloaded here")
    elif not path.startswith("/"):
        section.refuse("dataset_url", "an absolute path or a file:// address is needed")
    elif PurePosixPath(path).suffix not in _SUFFIXES:
        section.refuse("dataset_url", f"unpack the file first; allowed are {', '.join(_SUFFIXES)}")
    else:
        message = (
            "workload.dataset.path; prompts are read from column `prompt`, workload.dataset.prompt_field names another"
        )
        section.note(Level.CHANGED, "dataset_url", message)
        section.translation.put(("workload", "dataset", "path"), path, section.at("dataset_url"))
    return path


def _task(section: OldSection, scenarios: list[JsonValue]) -> None:
    """What is asked of the server follows from the scenarios; the two have to agree."""
    task = section.get("task", str) or "text-to-text"
    if task not in _TASKS:
        section.refuse("task", f"allowed are {', '.join(_TASKS)}")
        return
    for text in scenarios:
        kind = _kind(text)
        if kind and kind not in _TASKS[task]:
            section.refuse("task", f"{task} does not send the scenario {text}")


def _kind(text: JsonValue) -> ScenarioKind | None:
    try:
        return parse_scenario(str(text)).kind
    except ValueError:
        return None


def _model_names(section: OldSection) -> None:
    section.get("model_name", str)
    if section.has("model_name"):
        message = "not used: requests name the model as the engine serves it (model.served_name)"
        section.note(Level.CHANGED, "model_name", message)
    section.put("model_tokenizer", ("model", "tokenizer"), str)
    if not section.has("model_tokenizer"):
        message = "the model's own tokenizer counts tokens, not gpt2's"
        section.note(Level.CHANGED, "model_tokenizer", message)


def _concurrency(section: OldSection) -> int:
    """Write the levels of concurrency; how many there are."""
    levels = section.get("num_concurrency", list, int)
    if not section.has("num_concurrency"):
        section.note(Level.DEFAULTED, "num_concurrency", "one stream, as before")
        levels = [1]
    if isinstance(levels, int):
        section.note(Level.CONVERTED, "num_concurrency", f"read as a list with this one value: [{levels}]")
        levels = [levels]
    if not levels:
        section.refuse("num_concurrency", "at least one level is needed")
        return 1
    section.translation.put(("workload", "concurrency"), levels, section.at("num_concurrency"))
    return len(levels)


def _seconds(section: OldSection, default: int) -> int:
    """Write the seconds of a load point, which were minutes; the default stands in for what is refused."""
    minutes = section.get("max_time_per_iteration", int)
    if not section.has("max_time_per_iteration"):
        minutes = default
        section.note(Level.DEFAULTED, "max_time_per_iteration", f"{default} minutes ({60 * default} s), as before")
    elif minutes is None or minutes < 1:
        section.refuse("max_time_per_iteration", "whole minutes are needed, at least 1")
        return 60 * default
    else:
        section.note(Level.CONVERTED, "max_time_per_iteration", f"{minutes} minutes: workload.seconds {60 * minutes}")
    section.translation.put(("workload", "seconds"), 60 * minutes, section.at("max_time_per_iteration"))
    return 60 * int(minutes)


def _requests(section: OldSection, default: int) -> None:
    section.put("max_requests_per_iteration", ("workload", "requests"), int)
    if not section.has("max_requests_per_iteration"):
        section.note(Level.DEFAULTED, "max_requests_per_iteration", f"{default}, as before")
        section.translation.put(("workload", "requests"), default, section.at("max_requests_per_iteration"))


def _sampling(section: OldSection) -> None:
    """Write what goes into the body of requests; numbers that were written as text become numbers again."""
    given: dict[str, Any] = section.get("additional_params", dict) or {}
    translation = section.translation
    translation.put(("workload", "sampling"), {}, section.at("additional_params"))
    for name, value in given.items():
        path = (*section.at("additional_params"), name)
        if name == "ignore_eos" and isinstance(_number(value), bool):
            translation.put(("workload", "ignore_eos"), _number(value), path)
            translation.note(Level.RENAMED, path, "workload.ignore_eos")
            continue
        if _number(value) != value:
            translation.note(Level.CONVERTED, path, f"the text {value!r} is the value {json.dumps(_number(value))}")
        translation.put(("workload", "sampling", name), _number(value), path)


def _number(value: JsonValue) -> JsonValue:
    """The number or truth value that a text is as a whole; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    usable = isinstance(parsed, bool | int) or (isinstance(parsed, float) and abs(parsed) < float("inf"))
    return parsed if usable and (isinstance(parsed, bool | float) or abs(parsed) < 2**63) else value
