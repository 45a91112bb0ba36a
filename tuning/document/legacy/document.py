"""The whole of an earlier document: what it is about, and its parts in turn."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from tuning.document.goals import StrategyName
from tuning.document.legacy.benchmark import benchmark
from tuning.document.legacy.goals import goals, limits, slo
from tuning.document.legacy.parameters import search_space
from tuning.document.legacy.translation import OldSection, Translation
from tuning.document.report import Level
from tuning.document.task import EngineName

_FIELDS = (
    "task_name",
    "description",
    "deployment_mode",
    "model",
    "base_runtime",
    "runtime_image_tag",
    "parameters",
    "quant_config",
    "parallel_config",
    "optimization",
    "benchmark",
    "slo",
    "clusterbasemodel_config",
    "clusterservingruntime_config",
    "storage",
    "gpu_type",
)
_MARKS = frozenset(
    {
        "task_name",
        "deployment_mode",
        "base_runtime",
        "runtime_image_tag",
        "quant_config",
        "parallel_config",
        "optimization",
    }
)
_MODES = ("docker", "ome", "local")
_ENGINES = (EngineName.VLLM, EngineName.SGLANG)


def is_legacy(data: Mapping[str, JsonValue]) -> bool:
    """Whether this is a document of an earlier system: it has fields of those, and none that only ours begin with."""
    return bool(_MARKS & data.keys()) and not {"schema_version", "engine", "search_space"} & data.keys()


def translate(source: dict[str, JsonValue]) -> Translation:
    """Our document from an earlier one, as far as it goes; what cannot be translated is in its faults."""
    translation = Translation(source)
    top = translation.section((), _FIELDS)
    if not top.has("task_name"):
        top.refuse("task_name", "is needed")
    top.put("task_name", ("name",), str)
    top.put("description", ("description",), str)
    mode = _mode(top)
    engine = _engine(top)
    _image(top, mode)
    _model(translation, mode)
    _cluster(translation, mode)
    strategy = goals(translation)
    slo(translation)
    load_points, load_point_s = benchmark(translation, mode)
    limits(translation, load_points, load_point_s)
    search_space(translation, engine, strategy is StrategyName.GRID)
    return translation


def _mode(top: OldSection) -> str:
    mode = top.get("deployment_mode", str)
    if not top.has("deployment_mode"):
        top.note(Level.DEFAULTED, "deployment_mode", "docker, as before")
    elif mode not in _MODES:
        top.refuse("deployment_mode", f"allowed are {', '.join(_MODES)}")
    mode = mode if mode in _MODES else "docker"
    top.translation.put(("deployment", "mode"), mode, top.at("deployment_mode"))
    return str(mode)


def _engine(top: OldSection) -> EngineName:
    """The engine that base_runtime begins with; vLLM stands in for one that is refused."""
    runtime = top.get("base_runtime", str)
    if not top.has("base_runtime"):
        top.refuse("base_runtime", f"is needed; it begins with {' or '.join(_ENGINES)}")
        return EngineName.VLLM
    for engine in _ENGINES:
        if runtime is not None and runtime.startswith(engine):
            top.translation.put(("engine", "name"), engine.value, top.at("base_runtime"))
            return engine
    top.refuse("base_runtime", f"the engine cannot be told; it begins with {' or '.join(_ENGINES)}")
    return EngineName.VLLM


def _image(top: OldSection, mode: str) -> None:
    if mode == "docker":
        top.put("runtime_image_tag", ("engine", "image"), str)
    else:
        top.ignore("runtime_image_tag", "used in docker mode only")
    top.ignore("gpu_type", "GPUs are chosen by deployment.gpus")


def _model(translation: Translation, mode: str) -> None:
    known = ("id_or_path", "name", "namespace", "quantization", "quantization_config", "hf_token")
    model = translation.section(("model",), known)
    old = "id_or_path" if model.has("id_or_path") else "name"
    if not model.has(old):
        model.refuse("id_or_path", "is needed: a path or hub id")
    elif old == "name":
        model.note(Level.RENAMED, "name", "read as id_or_path")
    elif model.has("name") and model.fields["name"] != model.fields["id_or_path"]:
        model.refuse("name", "differs from id_or_path; leave one of them out")
    model_id = model.put(old, ("model", "id"), str)
    if mode != "ome" and model_id and "/" not in model_id:
        model.note(
            Level.CHANGED, old, "a hub id; if a directory below the model base path is meant, give its full path"
        )
    _namespace(model, mode)
    model.ignore("quantization", "the engine reads it from the model's config.json")
    model.ignore("quantization_config", "the engine reads it from the model's config.json")
    if model.has("hf_token"):
        model.note(
            Level.CHANGED, "hf_token", "dropped: secrets are not kept in documents; set HF_TOKEN where tasks run"
        )


def _namespace(model: OldSection, mode: str) -> None:
    if mode != "ome":
        model.ignore("namespace", "used in OME mode only")
        return
    if not model.has("namespace"):
        model.note(Level.DEFAULTED, "namespace", "default, as before")
    model.put("namespace", ("deployment", "namespace"), str)


def _cluster(translation: Translation, mode: str) -> None:
    """What OME is to do; outside of OME it was not used either."""
    top = OldSection(translation, (), translation.source)
    if mode != "ome":
        for name in ("clusterbasemodel_config", "clusterservingruntime_config", "storage"):
            top.ignore(name, "used in OME mode only")
        return
    translation.put(("deployment", "runtime"), translation.source.get("base_runtime"), ("base_runtime",))
    top.ignore("storage", "where the weights are is told by the ClusterBaseModel that model.id names")
    model = _cluster_name(translation, "clusterbasemodel_config")
    if model and model != translation.data.get("model", {}).get("id"):
        message = "names another model than model.id_or_path, which names the ClusterBaseModel; make them the same"
        translation.refuse(("clusterbasemodel_config",), message)
    runtime = _cluster_name(translation, "clusterservingruntime_config")
    if runtime:
        old = ("clusterservingruntime_config",)
        translation.note(Level.CONVERTED, old, f"deployment.runtime {runtime}; it has to exist in the cluster")
        translation.put(("deployment", "runtime"), runtime, old)


def _cluster_name(translation: Translation, name: str) -> Any:
    """The preset or name that a cluster*_config gives; what else it says is told as not used."""
    section = translation.section((name,), ("preset", "name", "spec", "labels", "annotations", "overrides"))
    for field in ("spec", "labels", "annotations", "overrides"):
        section.ignore(field, "not used: nothing is created in the cluster but the InferenceService")
    return section.get("preset", str) or section.get("name", str)
