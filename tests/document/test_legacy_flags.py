"""quant_config and parallel_config become flags: exactly the configurations that were meant, each once."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.document.documents import problems, quick
from tests.document.old_documents import notes, old, space, translated
from tuning.document.legacy.combinations import encode
from tuning.document.legacy.parallelism import PRESETS as PARALLEL_PRESETS
from tuning.document.legacy.quantisation import PRESETS as QUANT_PRESETS
from tuning.document.space import Choices, SearchSpace
from tuning.document.task import EngineName

_DEFAULTS = {"auto", 1, None, False}


def configurations(search_space: SearchSpace) -> set[str]:
    """Every configuration of lists with conditions and constraints, without flags at the engine's default."""
    parameters = search_space.parameters
    assert all(isinstance(parameter, Choices) for parameter in parameters.values())
    lists = [parameter.values for parameter in parameters.values() if isinstance(parameter, Choices)]
    found = [dict(zip(parameters, values, strict=True)) for values in itertools.product(*lists)]
    active = [{name: value for name, value in flags.items() if _given(parameters[name].when, flags)} for flags in found]
    allowed = [flags for flags in active if all(rule.holds(flags) for rule in search_space.parsed_constraints())]
    return {_text(flags) for flags in allowed}


def _given(when: Mapping[str, Any] | None, flags: Mapping[str, Any]) -> bool:
    return all(
        flags[name] in (values if isinstance(values, list) else [values]) for name, values in (when or {}).items()
    )


def _text(flags: Mapping[str, Any]) -> str:
    return json.dumps({name: flags[name] for name in sorted(flags) if flags[name] not in _DEFAULTS})


def expected(*each: dict[str, Any]) -> set[str]:
    return {_text(flags) for flags in each}


_KV = {"kv-cache-dtype": "fp8_e5m2"}
_ATTENTION = {"attention-backend": "flashinfer"}
_QUANT_FLAGS = {
    ("vllm", "default"): {},
    ("vllm", "kv-cache-fp8"): _KV,
    ("vllm", "dynamic-fp8"): {"quantization": "fp8", **_KV},
    ("vllm", "bf16-stable"): {"dtype": "bfloat16", **_KV},
    ("vllm", "aggressive-moe"): {"dtype": "bfloat16", **_KV},
    ("sglang", "default"): {},
    ("sglang", "kv-cache-fp8"): _KV,
    ("sglang", "dynamic-fp8"): {"quantization": "fp8", **_KV, **_ATTENTION},
    ("sglang", "bf16-stable"): {"dtype": "bfloat16", **_KV},
    ("sglang", "aggressive-moe"): {
        "quantization": "w4afp8",
        "moe-runner-backend": "flashinfer_mxfp4",
        **_KV,
        **_ATTENTION,
    },
}


def test_the_table_has_every_preset_of_every_engine() -> None:
    assert set(_QUANT_FLAGS) == set(itertools.product(("vllm", "sglang"), QUANT_PRESETS))
    assert set(_PARALLEL_FLAGS) == {(engine, name) for engine, presets in PARALLEL_PRESETS.items() for name in presets}


@pytest.mark.parametrize(("engine", "preset"), _QUANT_FLAGS)
def test_a_quantisation_preset_means_these_flags(engine: str, preset: str) -> None:
    """Pitfall B1a, B1b: also as {"preset": x}, which used to expand to nothing."""
    flags = _QUANT_FLAGS[engine, preset]
    listed = translated(base_runtime=engine, quant_config={"presets": [preset]}).document
    assert configurations(listed.search_space) == expected(flags)
    single = translated(base_runtime=engine, quant_config={"preset": preset})
    assert single.document == listed
    assert "quant_config.preset: renamed: read as `presets` with this one name" in notes(
        base_runtime=engine, quant_config={"preset": preset}
    )


_PARALLEL_FLAGS = {
    ("vllm", "single-gpu"): {},
    ("vllm", "high-throughput"): {"data-parallel-size": 8},
    ("vllm", "large-model-tp"): {"tensor-parallel-size": 8},
    ("vllm", "large-model-tp-pp"): {"tensor-parallel-size": 8, "pipeline-parallel-size": 2},
    ("vllm", "balanced"): {"tensor-parallel-size": 2, "data-parallel-size": 4},
    ("vllm", "moe-optimized"): {
        "tensor-parallel-size": 2,
        "data-parallel-size": 8,
        "enable-expert-parallel": True,
    },
    ("vllm", "long-context"): {"tensor-parallel-size": 4, "decode-context-parallel-size": 4},
    ("sglang", "single-gpu"): {},
    ("sglang", "high-throughput"): {"dp-size": 8},
    ("sglang", "large-model-tp"): {"tp-size": 8},
    ("sglang", "large-model-tp-pp"): {"tp-size": 8, "pp-size": 2},
    ("sglang", "balanced"): {"tp-size": 2, "dp-size": 4},
    ("sglang", "moe-optimized"): {"tp-size": 2, "dp-size": 8, "moe-dense-tp-size": 2},
}


@pytest.mark.parametrize(("engine", "preset"), _PARALLEL_FLAGS)
def test_a_parallel_preset_means_these_flags(engine: str, preset: str) -> None:
    """Pitfall B1a, B14."""
    document = translated(base_runtime=engine, parallel_config={"preset": preset}).document
    assert configurations(document.search_space) == expected(_PARALLEL_FLAGS[engine, preset])


@pytest.mark.parametrize(
    ("engine", "config", "flags"),
    [
        ("vllm", {"gemm_dtype": "auto"}, [{}]),
        ("vllm", {"gemm_dtype": ["auto", "fp8"]}, [{}, {"quantization": "fp8"}]),
        ("vllm", {"gemm_dtype": ["bfloat16", "float16"]}, [{"dtype": "bfloat16"}, {"dtype": "float16"}]),
        (
            "vllm",
            {"gemm_dtype": ["auto", "fp8", "int8", "bfloat16"]},
            [{}, {"quantization": "fp8"}, {"quantization": "int8"}, {"dtype": "bfloat16"}],
        ),
        ("vllm", {"gemm_dtype": ["fp8", "bfloat16"]}, [{"quantization": "fp8"}, {"dtype": "bfloat16"}]),
        (
            "vllm",
            {"gemm_dtype": ["auto", "fp8"], "kvcache_dtype": ["auto", "fp8"]},
            [{}, {"quantization": "fp8"}, {"kv-cache-dtype": "fp8"}, {"quantization": "fp8", "kv-cache-dtype": "fp8"}],
        ),
        ("sglang", {"kvcache_dtype": ["auto", "fp8", "fp8_e4m3"]}, [{}, _KV, {"kv-cache-dtype": "fp8_e4m3"}]),
        ("sglang", {"attention_dtype": ["auto", "fp8"]}, [{}, _ATTENTION]),
        (
            "sglang",
            {"gemm_dtype": ["auto", "fp8"], "moe_dtype": ["auto", "w4afp8"]},
            [{}, {"quantization": "fp8"}, {"quantization": "w4afp8", "moe-runner-backend": "flashinfer_mxfp4"}],
        ),
        (
            "sglang",
            {"gemm_dtype": ["auto", "fp8"], "moe_dtype": ["fp8"]},
            [{"quantization": "fp8"}, {"moe-runner-backend": "flashinfer_cutlass"}],
        ),
        ("sglang", {"presets": ["default", "dynamic-fp8"]}, [{}, _QUANT_FLAGS["sglang", "dynamic-fp8"]]),
        ("sglang", {"presets": ["kv-cache-fp8", "dynamic-fp8"]}, [_KV, _QUANT_FLAGS["sglang", "dynamic-fp8"]]),
        ("vllm", {}, [{}]),
    ],
)
def test_a_sweep_of_data_types_is_exactly_the_configurations_that_were_meant(
    engine: str, config: dict[str, Any], flags: list[dict[str, Any]]
) -> None:
    """Pitfall B1a: no cross product of flags that belong together, no two configurations that are the same."""
    document = translated(base_runtime=engine, quant_config=config).document
    assert configurations(document.search_space) == expected(*flags)


def test_flags_that_belong_together_are_written_as_a_condition() -> None:
    assert space(quant_config={"gemm_dtype": ["auto", "fp8", "bfloat16"]}) == {
        "dtype": ["auto", "bfloat16"],
        "quantization": {"values": [None, "fp8"], "when": {"dtype": ["auto"]}},
    }


@pytest.mark.parametrize(
    ("engine", "config", "path", "reason"),
    [
        ("vllm", {"kvcache_dtype": ["auto", "int8"]}, "quant_config.kvcache_dtype[1]", "int8: vllm refuses it"),
        ("vllm", {"attention_dtype": "fp8"}, "quant_config.attention_dtype", "fp8: vllm has no flag for it"),
        ("vllm", {"moe_dtype": ["w4afp8"]}, "quant_config.moe_dtype[0]", "w4afp8: vllm has no flag for it"),
        ("sglang", {"gemm_dtype": ["int8"]}, "quant_config.gemm_dtype[0]", "int8: sglang has no flag for it"),
        ("sglang", {"kvcache_dtype": ["bfloat16"]}, "quant_config.kvcache_dtype[0]", "sglang has no flag for it"),
        (
            "vllm",
            {"presets": ["default", "dynamic-fp8"]},
            "quant_config.presets[1]",
            "attention_dtype fp8: vllm has no",
        ),
    ],
)
def test_what_the_engine_ignores_or_refuses_is_told_and_taken_out(
    engine: str, config: dict[str, Any], path: str, reason: str
) -> None:
    """Pitfall B1a, B14."""
    told = notes(base_runtime=engine, quant_config=config)
    assert any(text.startswith(f"{path}: ignored: ") and reason in text for text in told), told


@pytest.mark.parametrize(
    "changes",
    [
        {"model__id_or_path": "org/m-AWQ"},
        {"model__quantization": "fp8"},
        {"model__quantization_config": {"quant_method": "gptq"}},
    ],
)
def test_a_model_that_is_quantised_already_is_not_quantised_again(changes: dict[str, Any]) -> None:
    result = translated(**changes, quant_config={"gemm_dtype": ["auto", "fp8"]})
    assert "quantization" not in result.document.search_space.parameters
    assert "quant_config.gemm_dtype[1]" in [note.path for note in result.notes]


def test_parameters_win_over_quant_config() -> None:
    changes: dict[str, Any] = {"parameters__kv_cache_dtype": ["auto"], "quant_config": {"presets": ["dynamic-fp8"]}}
    assert space(**changes) == {"kv-cache-dtype": ["auto"], "quantization": ["fp8"]}
    assert "quant_config: ignored: kv-cache-dtype is also given in parameters, which win" in notes(**changes)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"quant_config": {"presets": ["fp9"]}}, "quant_config.presets[0]", "known are default, kv-cache-fp8, dynamic"),
        ({"quant_config": {"preset": "fp9"}}, "quant_config.preset", "known are default"),
        (
            {"quant_config": {"presets": ["default"], "gemm_dtype": "fp8"}},
            "quant_config.presets",
            "leave out them or gemm",
        ),
        ({"quant_config": {"gemm_dtype": ["fp7"]}}, "quant_config.gemm_dtype[0]", "allowed are auto, float16"),
        ({"quant_config": {"gemm_dtype": 8}}, "quant_config.gemm_dtype", "text is needed, not 8"),
        ({"quant_config": {"gem_dtype": "fp8"}}, "quant_config.gem_dtype", "did you mean gemm_dtype?"),
        ({"quant_config": ["fp8"]}, "quant_config", "fields with values are needed"),
        ({"parallel_config": {"presets": ["huge"]}}, "parallel_config.presets[0]", "known are single-gpu"),
        (
            {"parallel_config": {"presets": ["long-context"]}, "base_runtime": "sglang"},
            "parallel_config.presets[0]",
            "no such preset for this engine",
        ),
        ({"parallel_config": {"preset": "balanced", "tp": 2}}, "parallel_config.preset", "leave out them or tp"),
        ({"parallel_config": {"tp": [1, 3]}}, "parallel_config.tp[1]", "allowed are 1, 2, 4, 8, 16"),
        ({"parallel_config": {"tp": "2"}}, "parallel_config.tp", "allowed are 1, 2, 4, 8, 16"),
        ({"parallel_config": {"tp": True}}, "parallel_config.tp", "allowed are 1, 2, 4, 8, 16"),
        ({"parallel_config": {"dp": 17}}, "parallel_config.dp", "15, 16"),
        ({"parallel_config": {"pp": 8}, "base_runtime": "sglang"}, "parallel_config.pp", "allowed are 1, 2, 4"),
        ({"parallel_config": {"enable_expert_parallel": 1}}, "parallel_config.enable_expert_parallel", "true or false"),
        ({"parallel_config": {"tp": 2, "dcp": 4}}, "parallel_config", "tensor-parallel-size % decode-context"),
        (
            {
                "parallel_config": {"tp": 2, "dp": 4},
                "parameters__enable_dp_attention": [True],
                "base_runtime": "sglang",
            },
            "parallel_config",
            "tp-size % dp-size == 0",
        ),
        (
            {"parallel_config": {"tp": [1, 2]}, "parameters__tp_size": [4]},
            "parallel_config",
            "tensor-parallel-size is also",
        ),
    ],
)
def test_what_cannot_be_expanded_is_refused(changes: dict[str, Any], path: str, message: str) -> None:
    found = problems(old(**changes))
    assert message in found[path], found


@pytest.mark.parametrize(
    ("engine", "config", "flags"),
    [
        ("vllm", {"tp": [1, 2], "pp": 1}, [{}, {"tensor-parallel-size": 2}]),
        ("sglang", {"tp": 4, "moe_dense_tp": [1, 2]}, [{"tp-size": 4}, {"tp-size": 4, "moe-dense-tp-size": 2}]),
        ("vllm", {"enable_expert_parallel": [True, False]}, [{}, {"enable-expert-parallel": True}]),
        (
            "vllm",
            {"presets": ["single-gpu", "high-throughput", "balanced"]},
            [{}, {"data-parallel-size": 8}, {"data-parallel-size": 4, "tensor-parallel-size": 2}],
        ),
        (
            "vllm",
            {"presets": ["single-gpu", "large-model-tp", "large-model-tp-pp", "balanced"]},
            [
                _PARALLEL_FLAGS["vllm", name]
                for name in ("single-gpu", "large-model-tp", "large-model-tp-pp", "balanced")
            ],
        ),
        (
            "vllm",
            {"tp": [1, 2, 4], "dcp": [1, 2, 4]},
            [
                {"tensor-parallel-size": tp, "decode-context-parallel-size": dcp}
                for tp, dcp in [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)]
            ],
        ),
        (
            "vllm",
            {"tp": 2, "dcp": [1, 2, 4]},
            [{"tensor-parallel-size": 2, "decode-context-parallel-size": n} for n in (1, 2)],
        ),
        ("vllm", {}, [{}]),
    ],
)
def test_a_sweep_of_sizes_is_exactly_the_configurations_that_can_start(
    engine: str, config: dict[str, Any], flags: list[dict[str, Any]]
) -> None:
    """Pitfall B14."""
    document = translated(base_runtime=engine, parallel_config=config).document
    assert configurations(document.search_space) == expected(*flags)


def test_combinations_that_break_a_rule_of_the_engine_are_counted() -> None:
    told = notes(parallel_config={"tp": [1, 2, 4], "dcp": [1, 2, 4]})
    rule = "tensor-parallel-size % decode-context-parallel-size == 0"
    assert told == [f"parallel_config: ignored: 3 of 9 combinations break the engine's rule {rule} and are left out"]


@pytest.mark.parametrize(
    ("attention", "pairs"),
    [
        ([True], [(2, 2, True), (4, 2, True), (4, 4, True)]),
        ([False], [(2, 2, False), (2, 4, False), (4, 2, False), (4, 4, False)]),
        ([True, False], [(2, 2, True), (4, 2, True), (4, 4, True), *[(t, d, False) for t in (2, 4) for d in (2, 4)]]),
    ],
)
def test_sglang_divides_tp_by_dp_only_with_dp_attention(
    attention: list[bool], pairs: list[tuple[int, int, bool]]
) -> None:
    """Pitfall B14: three of the earlier presets broke a rule that holds only with dp attention."""
    changes: dict[str, Any] = {"base_runtime": "sglang", "parallel_config": {"tp": [2, 4], "dp": [2, 4]}}
    result = translated(**changes, parameters__enable_dp_attention=attention)
    wanted = [{"tp-size": tp, "dp-size": dp, "enable-dp-attention": on} for tp, dp, on in pairs]
    assert configurations(result.document.search_space) == expected(*wanted)


def test_replicas_of_sglang_are_told() -> None:
    told = notes(base_runtime="sglang", parallel_config={"preset": "balanced"})
    assert (
        "parallel_config: changed: without enable-dp-attention these are full replicas; tp x pp x dp GPUs are used"
        in told
    )


def test_sizes_that_the_engine_does_not_know_are_told() -> None:
    told = notes(parallel_config={"tp": 2, "moe_tp": [2], "moe_ep": 1, "cp": None})
    assert told == ["parallel_config.moe_tp: ignored: vllm has no flag for it; taken out of the search space"]


def test_the_same_sizes_in_parameters_are_no_clash() -> None:
    assert space(parallel_config={"tp": [1, 2]}, parameters__tp=[1, 2]) == {"tensor-parallel-size": [1, 2]}


def test_every_preset_loads_for_the_engine_that_has_it() -> None:
    """Pitfall B14: each shipped preset passes."""
    for engine in (EngineName.VLLM, EngineName.SGLANG):
        for preset in PARALLEL_PRESETS[engine]:
            assert translated(base_runtime=engine.value, parallel_config={"presets": [preset]})


_VALUES = st.sampled_from([None, "x", "y"])
_COMBINATIONS = st.lists(
    st.fixed_dictionaries({}, optional={"dtype": _VALUES, "quantization": _VALUES, "kv-cache-dtype": _VALUES}),
    min_size=1,
)


@quick(200)
@given(_COMBINATIONS)
def test_flags_are_written_as_exactly_their_combinations_or_not_at_all(combinations: list[dict[str, Any]]) -> None:
    encoded = encode(combinations)
    if encoded is not None:
        section = SearchSpace.model_validate_json(json.dumps({"parameters": encoded}))
        assert configurations(section) == expected(*combinations)
