"""What is refused before anything is started."""

import pytest

from tuning.document.task import EngineName
from tuning.engines.registry import engine_for

VLLM, SGLANG, SIMULATED = EngineName.VLLM, EngineName.SGLANG, EngineName.SIMULATED


@pytest.mark.parametrize(
    ("name", "parameters", "path", "words"),
    [
        (VLLM, {"max-num-seq": 4}, "max-num-seq", "did you mean max-num-seqs?"),
        (VLLM, {"zzz": 4}, "zzz", "has no flag --zzz"),
        (VLLM, {"host": "::"}, "host", "set by the deployer"),
        (VLLM, {"port": 80}, "port", "set by the deployer"),
        (VLLM, {"model": "x"}, "model", "section `model`"),
        (VLLM, {"served_model_name": "x"}, "served_model_name", "section `model`"),
        (SGLANG, {"model-path": "x"}, "model-path", "section `model`"),
        (VLLM, {"api-key": "x"}, "api-key", "lock out"),
        (VLLM, {"hf-token": "x"}, "hf-token", "HF_TOKEN"),
        (VLLM, {"nnodes": 2}, "nnodes", "several machines"),
        (SGLANG, {"base-gpu-id": 1}, "base-gpu-id", "GPUs"),
        (VLLM, {"max-num-seqs": "8x7b"}, "max-num-seqs", "whole number"),
        (VLLM, {"max-num-seqs": "64k"}, "max-num-seqs", "whole number"),
        (VLLM, {"max-num-seqs": True}, "max-num-seqs", "whole number"),
        (VLLM, {"max-num-seqs": 1.5}, "max-num-seqs", "whole number"),
        (VLLM, {"max-num-seqs": 0}, "max-num-seqs", "at least 1"),
        (VLLM, {"max-num-seqs": [1, 2]}, "max-num-seqs", "whole number"),
        (VLLM, {"gpu-memory-utilization": 0}, "gpu-memory-utilization", "above 0"),
        (VLLM, {"gpu-memory-utilization": 1.2}, "gpu-memory-utilization", "at most 1"),
        (VLLM, {"gpu-memory-utilization": "nan"}, "gpu-memory-utilization", "a number"),
        (VLLM, {"enable-prefix-caching": "true"}, "enable-prefix-caching", "true or false"),
        (VLLM, {"kv-cache-dtype": "int8"}, "kv-cache-dtype", "must be one of auto, bfloat16"),
        (VLLM, {"quantization": "None"}, "quantization", "null leaves the flag out"),
        (VLLM, {"quantization": ""}, "quantization", "is empty"),
        (VLLM, {"chat-template": "a\0b"}, "chat-template", "NUL"),
        (VLLM, {"speculative-config": "{method: ngram"}, "speculative-config", "JSON"),
        (VLLM, {"cudagraph-capture-sizes": [1, "two"]}, "cudagraph-capture-sizes", "whole number"),
        (VLLM, {"ignore-patterns": ["--port"]}, "ignore-patterns", "another flag"),
        (VLLM, {"ignore-patterns": []}, "ignore-patterns", "empty list"),
        (VLLM, {"tp": 2, "tensor_parallel_size": 4}, "tensor_parallel_size", "same flag as tp"),
        (VLLM, {"enable-dbo": True, "no-enable-dbo": True}, "no-enable-dbo", "same flag as enable-dbo"),
        (VLLM, {"env:CUDA_VISIBLE_DEVICES": "0"}, "env:CUDA_VISIBLE_DEVICES", "set by the deployer"),
        (VLLM, {"env:AUTOTUNER_TASK": "0"}, "env:AUTOTUNER_TASK", "set by the deployer"),
        (VLLM, {"env:A-B": "0"}, "env:A-B", "environment variable"),
        (VLLM, {"max-num-batched-tokens": 64, "max-num-seqs": 128}, "max-num-batched-tokens", "below max-num-seqs"),
        (
            VLLM,
            {"max-num-batched-tokens": "1k", "max-model-len": "2k", "enable-chunked-prefill": False},
            "max-num-batched-tokens",
            "below max-model-len (2000)",
        ),
        (VLLM, {"tp": 4, "dcp": 3}, "dcp", "4 is not a multiple of 3"),
        (SGLANG, {"tp": 2, "dp": 8, "enable-dp-attention": True}, "dp", "2 is not a multiple of 8"),
        (SGLANG, {"tp": 2, "enable-dp-attention": True}, "enable-dp-attention", "measured twice"),
        (SGLANG, {"chunked-prefill-size": 1000, "page-size": 64}, "chunked-prefill-size", "multiple of page-size"),
        (SGLANG, {"attention-backend": "flash"}, "attention-backend", "must be one of"),
        (SGLANG, {"kv-cache-dtype": "int8"}, "kv-cache-dtype", "must be one of"),
        (SGLANG, {"disaggregation-mode": "prefill"}, "disaggregation-mode", "part of a server"),
        (
            SIMULATED,
            {"max-num-batched-tokens": 64, "max-num-seqs": 128},
            "max-num-batched-tokens",
            "below max-num-seqs",
        ),
        (SIMULATED, {"simulate-failure": "nonsense"}, "simulate-failure", "must be one of none"),
        (SIMULATED, {"dtype": "float8"}, "dtype", "must be one of auto"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_parameter(
    name: EngineName, parameters: dict, path: str, words: str
) -> None:
    """Pitfall B14: names, types, choices and combinations are checked before anything is started."""
    problems = engine_for(name).problems(parameters)
    assert [(path, True)] == [(found, words in sentence) for found, sentence in problems], problems


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (VLLM, {}),
        (VLLM, {"tp": 1, "tensor-parallel-size": 1}),
        (VLLM, {"max-model-len": "auto"}),
        (VLLM, {"max-model-len": "25.6k", "max-num-batched-tokens": "8K", "max-num-seqs": "256"}),
        (VLLM, {"quantization": None, "kv-cache-dtype": None}),
        (VLLM, {"compilation-config": '{"mode": 3}', "compilation-config.mode": 3}),
        (VLLM, {"speculative-config": {"method": "ngram", "num_speculative_tokens": 3}}),
        (VLLM, {"env:VLLM_ATTENTION_BACKEND": "FLASHINFER", "__comment": "kept"}),
        (VLLM, {"tp": 8, "dcp": 4, "dp": 2, "enable-expert-parallel": True}),
        (SGLANG, {"tp": 2, "dp": 4}),
        (SGLANG, {"tp": 8, "dp": 4, "enable-dp-attention": True}),
        (SGLANG, {"chunked-prefill-size": -1, "page-size": 64, "mem-fraction-static": 0.85}),
        (SIMULATED, {"tp": 2, "simulate-failure": "startup-oom", "block-size": 16}),
    ],
)
def test_a_good_configuration_has_no_problems(name: EngineName, parameters: dict) -> None:
    assert engine_for(name).problems(parameters) == []


def test_unknown_flags_and_choices_pass_when_the_document_allows_them() -> None:
    """The tables are of one version of the engine; others know more."""
    parameters = {"flag-of-tomorrow": 1, "kv-cache-dtype": "fp2"}
    assert len(engine_for(VLLM).problems(parameters)) == 2
    assert engine_for(VLLM).problems(parameters, allow_unknown_flags=True) == []


def test_allowing_unknown_flags_does_not_open_the_deployers_flags() -> None:
    problems = engine_for(VLLM).problems({"port": 1, "x y": 2, "max-num-seqs": "many"}, allow_unknown_flags=True)
    assert [name for name, _ in problems] == ["port", "x y", "max-num-seqs"]


def test_all_problems_are_told_at_once() -> None:
    problems = engine_for(VLLM).problems({"port": 1, "zzz": 2, "max-num-seqs": 0, "env:1": "x"})
    assert [name for name, _ in problems] == ["port", "zzz", "max-num-seqs", "env:1"]
