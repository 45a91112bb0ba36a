"""parallel_config: over how many GPUs a model is spread, as flags of the engine."""

import itertools
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from tuning.document.legacy.combinations import Flags, Space, distinct, encode
from tuning.document.legacy.quantisation import preset_names
from tuning.document.legacy.translation import OldSection, Translation
from tuning.document.report import Level
from tuning.document.task import EngineName

FIELDS = ("tp", "pp", "dp", "cp", "dcp", "enable_expert_parallel", "moe_tp", "moe_ep", "moe_cluster", "moe_dense_tp")

FLAGS: Mapping[EngineName, Mapping[str, str]] = {
    EngineName.VLLM: {
        "tp": "tensor-parallel-size",
        "pp": "pipeline-parallel-size",
        "dp": "data-parallel-size",
        "dcp": "decode-context-parallel-size",
        "enable_expert_parallel": "enable-expert-parallel",
    },
    EngineName.SGLANG: {"tp": "tp-size", "pp": "pp-size", "dp": "dp-size", "moe_dense_tp": "moe-dense-tp-size"},
}
_POWERS = (1, 2, 4, 8, 16)
_ALLOWED: Mapping[EngineName, Mapping[str, Sequence[int]]] = {
    EngineName.VLLM: {"tp": _POWERS, "pp": _POWERS[:4], "dp": range(1, 17), "dcp": _POWERS[:4]},
    EngineName.SGLANG: {"tp": _POWERS, "pp": _POWERS[:3], "dp": range(1, 17), "moe_dense_tp": _POWERS[:4]},
}
PRESETS: Mapping[EngineName, Mapping[str, Mapping[str, JsonValue]]] = {
    EngineName.VLLM: {
        "single-gpu": {},
        "high-throughput": {"dp": 8},
        "large-model-tp": {"tp": 8},
        "large-model-tp-pp": {"tp": 8, "pp": 2},
        "balanced": {"tp": 2, "dp": 4},
        "moe-optimized": {"tp": 2, "dp": 8, "enable_expert_parallel": True},
        "long-context": {"tp": 4, "dcp": 4},
    },
    EngineName.SGLANG: {
        "single-gpu": {},
        "high-throughput": {"dp": 8},
        "large-model-tp": {"tp": 8},
        "large-model-tp-pp": {"tp": 8, "pp": 2},
        "balanced": {"tp": 2, "dp": 4},
        "moe-optimized": {"tp": 2, "dp": 8, "moe_dense_tp": 2},
    },
}


def parallelism(
    translation: Translation, engine: EngineName, attention: Sequence[JsonValue]
) -> tuple[Space, list[str]]:
    """The parameters and constraints that parallel_config asks for.

    `attention` are the values of `enable-dp-attention` in the search space: with it dp divides the tp ranks of SGLang.
    """
    section = translation.section(("parallel_config",), ("preset", "presets", *FIELDS))
    presets = preset_names(section, PRESETS[engine], FIELDS)
    combinations = (
        [_flags(engine, PRESETS[engine][name]) for _, name in presets]
        if presets is not None
        else [_flags(engine, dict(values)) for values in _product(section, engine)]
    )
    _tell_replicas(translation, engine, combinations, attention)
    if engine is EngineName.SGLANG and True in attention and False in attention:
        return _ruled(section, combinations, _attention_rule(combinations), ("tp-size", "dp-size"))
    return _possible(section, engine, combinations, True in attention)


def _product(section: OldSection, engine: EngineName) -> list[tuple[tuple[str, JsonValue], ...]]:
    lists = [[(name, value) for value in _values(section, name, engine)] for name in FLAGS[engine]]
    for name in FIELDS:
        if name not in FLAGS[engine] and section.fields.get(name) not in (None, 1, False, [1], [False]):
            section.ignore(name, f"{engine} has no flag for it; taken out of the search space")
    return list(itertools.product(*lists))


def _values(section: OldSection, name: str, engine: EngineName) -> list[JsonValue]:
    """The allowed values of one field, its default if it is absent; the others are refused."""
    given = section.fields.get(name)
    values = given if isinstance(given, list) else [given]
    allowed: Sequence[JsonValue] = (False, True) if name == "enable_expert_parallel" else [*_ALLOWED[engine][name]]
    kept: list[JsonValue] = []
    for index, value in enumerate(values):
        if value is None:
            kept.append(allowed[0])
        elif value not in allowed or isinstance(value, bool) != isinstance(allowed[0], bool):
            path = (*section.at(name), index) if isinstance(given, list) else section.at(name)
            text = "true or false" if allowed[0] is False else ", ".join(str(each) for each in allowed)
            section.translation.refuse(path, f"allowed are {text}")
        elif value not in kept:
            kept.append(value)
    return kept or [allowed[0]]


def _flags(engine: EngineName, values: Mapping[str, JsonValue]) -> Flags:
    return {FLAGS[engine][name]: value for name, value in values.items()}


def _tell_replicas(
    translation: Translation, engine: EngineName, combinations: Sequence[Flags], attention: Sequence[JsonValue]
) -> None:
    if (
        engine is EngineName.SGLANG
        and True not in attention
        and any(_size(flags, "dp-size") > 1 for flags in combinations)
    ):
        message = "without enable-dp-attention these are full replicas; tp x pp x dp GPUs are used"
        translation.note(Level.CHANGED, ("parallel_config",), message)


def _attention_rule(combinations: Sequence[Flags]) -> list[str]:
    broken = any(_size(flags, "tp-size") % _size(flags, "dp-size") for flags in combinations)
    return ["enable-dp-attention == false or tp-size % dp-size == 0"] if broken else []


def _possible(
    section: OldSection, engine: EngineName, combinations: Sequence[Flags], attention: bool
) -> tuple[Space, list[str]]:
    """The combinations that the engine can start, by leaving the others out or by a constraint."""
    whole, part = ("tensor-parallel-size", "decode-context-parallel-size")
    if engine is EngineName.SGLANG:
        whole, part = ("tp-size", "dp-size" if attention else "")
    kept = [flags for flags in combinations if _size(flags, whole) % _size(flags, part) == 0]
    if len(kept) == len(combinations):
        return _spaced(section, combinations), []
    rule = f"{whole} % {part} == 0"
    if not kept:
        section.translation.refuse(section.path, f"no combination keeps to the engine's rule {rule}")
        return {}, []
    left_out = len(combinations) - len(kept)
    message = f"{left_out} of {len(combinations)} combinations break the engine's rule {rule} and are left out"
    section.translation.note(Level.IGNORED, section.path, message)
    space = encode(kept)
    return (space, []) if space is not None else _ruled(section, combinations, [rule], (whole, part))


def _ruled(
    section: OldSection, combinations: Sequence[Flags], rules: list[str], names: Sequence[str]
) -> tuple[Space, list[str]]:
    """The combinations with constraints, which need every one of `names` to be a parameter."""
    space = _spaced(section, combinations)
    return {**({name: [1] for name in names} if rules else {}), **space}, rules


def _size(flags: Flags, name: str) -> int:
    value = flags.get(name, 1)
    return value if isinstance(value, int) else 1


def _spaced(section: OldSection, combinations: Sequence[Flags]) -> Space:
    space = encode(distinct(combinations))
    if space is None:
        message = "these combinations of flags cannot be written as a search space; write the flags in parameters"
        section.translation.refuse(section.path, message)
    return space or {}
