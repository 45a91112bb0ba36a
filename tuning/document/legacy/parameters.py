"""The search space of an earlier document: `parameters`, quant_config and parallel_config together."""

from typing import Any

from pydantic import JsonValue

from tuning.document.base import FieldPath
from tuning.document.legacy.combinations import Flags, Space, distinct, encode
from tuning.document.legacy.parallelism import parallelism
from tuning.document.legacy.quantisation import quantisation
from tuning.document.legacy.translation import OldSection, Translation
from tuning.document.messages import shown
from tuning.document.report import Level
from tuning.document.space import same_text
from tuning.document.task import EngineName

_OWNED = ("host", "port", "model", "model-path", "served-model-name", "api-key")
_ALIASES = {
    EngineName.VLLM: {
        "tp": "tensor-parallel-size",
        "tp-size": "tensor-parallel-size",
        "pp": "pipeline-parallel-size",
        "pp-size": "pipeline-parallel-size",
        "dp": "data-parallel-size",
        "dp-size": "data-parallel-size",
        "dcp-size": "decode-context-parallel-size",
    },
    EngineName.SGLANG: {
        "tp": "tp-size",
        "tensor-parallel-size": "tp-size",
        "pp": "pp-size",
        "pipeline-parallel-size": "pp-size",
        "dp": "dp-size",
        "data-parallel-size": "dp-size",
    },
}
_RANGES = {"continuous": "float", "integer": "integer"}
_LISTS = ("choice", "categorical")
_SPACE: FieldPath = ("search_space", "parameters")


def search_space(translation: Translation, engine: EngineName, grid: bool) -> None:
    """Write search_space; `grid` says that the strategy tries every combination."""
    old = translation.source.get("parameters")
    if old is None:
        translation.refuse(("parameters",), "is needed; {} tries the engine's defaults only")
    section = translation.section(("parameters",), old if isinstance(old, dict) else ())
    for name in section.fields:
        _parameter(section, name, engine, grid)
    _add_quantisation(translation, engine)
    _add_parallelism(translation, engine)


def _parameter(section: OldSection, old: str, engine: EngineName, grid: bool) -> None:
    name = old if old.startswith("env:") else old.removeprefix("--").replace("_", "-")
    name = _ALIASES[engine].get(name, name)
    if old.startswith("__"):
        section.note(Level.IGNORED, old, "internal to earlier systems; write quant_config or parallel_config instead")
    elif name in _OWNED:
        section.note(Level.IGNORED, old, "set by the deployer itself")
    elif name in section.translation.data.get("search_space", {}).get("parameters", {}):
        section.refuse(old, f"{name} is given twice under different names")
    else:
        if name != old:
            section.note(Level.RENAMED, old, f"read as {name}")
        _values(section, old, (*_SPACE, name), grid)


def _values(section: OldSection, old: str, new: FieldPath, grid: bool) -> None:
    """A list, a mapping that says its type, or the one value that was meant by a scalar."""
    value = section.fields[old]
    if isinstance(value, dict):
        _described(section, old, new, grid)
    elif value is None:
        section.note(Level.IGNORED, old, "left at the engine's default")
    elif isinstance(value, list):
        _put_values(section, old, new, value, section.at(old))
    else:
        section.note(Level.CONVERTED, old, f"read as a list with this one value: [{shown(value, section.at(old))}]")
        section.translation.put(new, [value], section.at(old))


def _put_values(section: OldSection, old: str, new: FieldPath, values: list[JsonValue], at: FieldPath) -> None:
    """A list without its repetitions; an empty one leaves the flag at the engine's default."""
    if not values:
        section.note(Level.IGNORED, old, "an empty list; left at the engine's default")
        return
    once = list({same_text(value): value for value in values}.values())
    if len(once) < len(values):
        section.note(Level.IGNORED, old, "values that are given twice are tried once")
    if None in values:
        place = (*at, values.index(None))
        section.translation.note(Level.CHANGED, place, "null leaves the flag out; it is no longer the text None")
    section.translation.put(new, once, at)


def _described(section: OldSection, old: str, new: FieldPath, grid: bool) -> None:
    """A mapping that says its type."""
    translation = section.translation
    known = ("type", "values", "choices", "low", "high", "log", "step")
    inner = translation.section(section.at(old), known)
    kind = inner.get("type", str)
    if kind in _LISTS:
        name = "choices" if inner.has("choices") and not inner.has("values") else "values"
        values = inner.get(name, list)
        section.note(Level.CONVERTED, old, f"type {kind}: read as a list")
        _put_values(section, old, new, values or [], inner.at(name))
    elif kind not in _RANGES:
        inner.refuse("type", f"allowed are {', '.join((*_LISTS, *_RANGES))}")
    elif grid and not inner.has("step"):
        section.refuse(old, "grid needs a `step` for a range; give one, or take strategy random or bayesian")
    else:
        section.note(Level.CONVERTED, old, f"type {kind} from low to high: read as a range from min to max")
        _put_range(inner, new, _RANGES[kind])


def _put_range(inner: OldSection, new: FieldPath, kind: str) -> None:
    inner.translation.put((*new, "type"), kind, inner.at("type"))
    inner.translation.came_from(new, inner.path)
    for old, field in (("low", "min"), ("high", "max"), ("step", "step"), ("log", "log")):
        inner.translation.came_from((*new, field), inner.at(old))
        if inner.has(old):
            inner.translation.put((*new, field), inner.fields[old], inner.at(old))


def _add_quantisation(translation: Translation, engine: EngineName) -> None:
    """What `parameters` say about a flag wins over quant_config, as it did."""
    combinations = quantisation(translation, engine)
    given = _parameters(translation)
    for name in sorted({name for flags in combinations for name in flags} & given.keys() - {"dtype"}):
        translation.note(Level.IGNORED, ("quant_config",), f"{name} is also given in parameters, which win")
    free: list[Flags] = [{name: flags[name] for name in flags if name not in given} for flags in combinations]
    kept = distinct(free)
    if len(kept) < len(combinations):
        message = f"{len(combinations)} combinations start {len(kept)} different engines; each is tried once"
        translation.note(Level.IGNORED, ("quant_config",), message)
    space = encode(kept)
    if space is None:
        message = "these combinations of flags cannot be written as a search space; write the flags in parameters"
        translation.refuse(("quant_config",), message)
    _add(translation, space or {}, ("quant_config",))


def _add_parallelism(translation: Translation, engine: EngineName) -> None:
    given = _parameters(translation)
    attention = given.get("enable-dp-attention")
    space, constraints = parallelism(translation, engine, attention if isinstance(attention, list) else [])
    for name, values in space.items():
        if name in given and same_text(given[name]) != same_text(values):
            message = f"{name} is also given in parameters, with other values; take one of them out"
            translation.refuse(("parallel_config",), message)
    _add(translation, {name: values for name, values in space.items() if name not in given}, ("parallel_config",))
    if constraints:
        translation.put(("search_space", "constraints"), constraints, ("parallel_config",))


def _parameters(translation: Translation) -> dict[str, Any]:
    """The parameters so far."""
    parameters: dict[str, Any] = translation.data.get("search_space", {}).get("parameters", {})
    return parameters


def _add(translation: Translation, space: Space, old: FieldPath) -> None:
    for name, values in space.items():
        translation.put((*_SPACE, name), values, old)
