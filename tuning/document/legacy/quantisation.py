"""quant_config: data types of the parts of a model, as flags of the engine."""

import itertools
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from tuning.document.base import FieldPath
from tuning.document.legacy.combinations import Flags
from tuning.document.legacy.translation import OldSection, Translation
from tuning.document.report import Level
from tuning.document.task import EngineName

FIELDS = ("gemm_dtype", "kvcache_dtype", "attention_dtype", "moe_dtype")

_ALLOWED = {
    "gemm_dtype": ("auto", "float16", "bfloat16", "float32", "fp8", "int8"),
    "kvcache_dtype": ("auto", "fp16", "bfloat16", "fp8", "fp8_e5m2", "fp8_e4m3", "int8", "int4"),
    "attention_dtype": ("auto", "float16", "bfloat16", "fp8", "fp8_e5m2", "fp8_e4m3", "fp8_block"),
    "moe_dtype": ("auto", "float16", "bfloat16", "fp8", "w4afp8", "mxfp4", "int8"),
}

PRESETS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "kv-cache-fp8": {"kvcache_dtype": "fp8_e5m2"},
    "dynamic-fp8": {"gemm_dtype": "fp8", "kvcache_dtype": "fp8_e5m2", "attention_dtype": "fp8", "moe_dtype": "fp8"},
    "bf16-stable": {"gemm_dtype": "bfloat16", "kvcache_dtype": "fp8_e5m2"},
    "aggressive-moe": {
        "gemm_dtype": "bfloat16",
        "kvcache_dtype": "fp8_e5m2",
        "attention_dtype": "fp8",
        "moe_dtype": "w4afp8",
    },
}

_PLAIN = {value: {"dtype": value} for value in ("float16", "bfloat16", "float32")}
_FP8 = {"dtype": "auto", "quantization": "fp8"}
_FLASHINFER = {"attention-backend": "flashinfer"}
_EFFECTS: Mapping[EngineName, Mapping[str, Mapping[str, Flags]]] = {
    EngineName.VLLM: {
        "gemm_dtype": {**_PLAIN, "fp8": _FP8, "int8": {"dtype": "auto", "quantization": "int8"}},
        "kvcache_dtype": {
            value: {"kv-cache-dtype": value} for value in ("fp16", "bfloat16", "fp8", "fp8_e5m2", "fp8_e4m3")
        },
        "attention_dtype": {},
        "moe_dtype": {},
    },
    EngineName.SGLANG: {
        "gemm_dtype": {**_PLAIN, "fp8": _FP8},
        "kvcache_dtype": {
            "fp8": {"kv-cache-dtype": "fp8_e5m2"},
            "fp8_e5m2": {"kv-cache-dtype": "fp8_e5m2"},
            "fp8_e4m3": {"kv-cache-dtype": "fp8_e4m3"},
        },
        "attention_dtype": dict.fromkeys(("fp8", "fp8_e5m2", "fp8_e4m3"), _FLASHINFER),
        "moe_dtype": {
            "fp8": {"moe-runner-backend": "flashinfer_cutlass"},
            "w4afp8": {"quantization": "w4afp8", "dtype": "auto", "moe-runner-backend": "flashinfer_mxfp4"},
            "mxfp4": {"quantization": "mxfp4", "dtype": "auto", "moe-runner-backend": "flashinfer_mxfp4"},
        },
    },
}
_OFFLINE_MARKS = ("awq", "gptq", "gguf", "fp4", "fp8")


def quantisation(translation: Translation, engine: EngineName) -> list[Flags]:
    """The combinations of flags that quant_config asks for, those left out that the engine would ignore or refuse."""
    section = translation.section(("quant_config",), ("preset", "presets", *FIELDS))
    offline = _offline_method(translation)
    if (presets := preset_names(section, PRESETS, FIELDS)) is not None:
        return [_preset(section, path, PRESETS[name], engine, offline) for path, name in presets]
    lists = [_values(section, name, engine, offline) for name in FIELDS]
    return [_flags(engine, dict(zip(FIELDS, values, strict=True))) for values in itertools.product(*lists)]


def preset_names(
    section: OldSection, known: Mapping[str, object], fields: Sequence[str]
) -> list[tuple[FieldPath, str]] | None:
    """The known presets that the section lists, each with its path; None if it lists none. The others are refused."""
    name = "presets" if section.has("presets") else "preset"
    if not section.has(name):
        return None
    if name == "preset":
        section.note(Level.RENAMED, name, "read as `presets` with this one name")
    if given := [field for field in fields if section.has(field)]:
        section.refuse(name, f"presets go alone; leave out them or {', '.join(given)}")
    listed = section.get(name, list, str)
    texts = [listed] if isinstance(listed, str) else listed or []
    paths = [section.at(name) if isinstance(listed, str) else (*section.at(name), index) for index in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        if text not in known:
            section.translation.refuse(path, f"there is no such preset for this engine; known are {', '.join(known)}")
    return [(path, text) for path, text in zip(paths, texts, strict=True) if text in known]


def _offline_method(translation: Translation) -> str | None:
    """How the model's weights are quantised already, as far as the document tells; fp8 on the fly is not for those."""
    model = translation.source.get("model")
    fields = model if isinstance(model, dict) else {}
    config = fields.get("quantization_config")
    method = fields.get("quantization") or (config.get("quant_method") if isinstance(config, dict) else None)
    path = str(fields.get("id_or_path") or fields.get("name") or "").lower()
    return str(method) if method else next((mark for mark in _OFFLINE_MARKS if mark in path), None)


def _values(section: OldSection, name: str, engine: EngineName, offline: str | None) -> list[str]:
    """The values of one field that have an effect, "auto" if none is left."""
    given = section.get(name, str, list)
    values = given if isinstance(given, list) else [given or "auto"]
    kept: list[str] = []
    for index, value in enumerate(values):
        path = (*section.at(name), index) if isinstance(given, list) else section.at(name)
        if value not in _ALLOWED[name]:
            section.translation.refuse(path, f"allowed are {', '.join(_ALLOWED[name])}")
        elif reason := _no_effect(engine, name, str(value), offline):
            section.translation.note(Level.IGNORED, path, f"{value}: {reason}; taken out of the search space")
        elif value not in kept:
            kept.append(str(value))
    return kept or ["auto"]


def _preset(
    section: OldSection, path: FieldPath, preset: Mapping[str, str], engine: EngineName, offline: str | None
) -> Flags:
    kept = dict.fromkeys(FIELDS, "auto")
    for name, value in preset.items():
        if reason := _no_effect(engine, name, value, offline):
            section.translation.note(Level.IGNORED, path, f"{name} {value}: {reason}; left out")
        else:
            kept[name] = value
    return _flags(engine, kept)


def _no_effect(engine: EngineName, name: str, value: str, offline: str | None) -> str | None:
    """Why the value would change nothing, or be refused by the engine."""
    if value == "auto":
        return None
    if offline and (name, value) == ("gemm_dtype", "fp8"):
        return f"the model is quantised already ({offline})"
    if value in _EFFECTS[engine][name]:
        return None
    if (engine, name) == (EngineName.VLLM, "kvcache_dtype"):
        return "vllm refuses it"
    return f"{engine} has no flag for it"


def _flags(engine: EngineName, values: Mapping[str, str]) -> Flags:
    """What one choice of data types means to the engine; the type of the experts decides over that of the rest."""
    flags: dict[str, JsonValue] = {}
    for name in FIELDS:
        effect = _EFFECTS[engine][name].get(values[name], {})
        if effect == _EFFECTS[engine]["moe_dtype"].get("fp8") and "quantization" in flags:
            continue
        flags.update(effect)
    return flags
