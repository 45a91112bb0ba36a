"""Documents in which every field differs from its default, one for each deployment."""

from typing import Any

_DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "local": {"mode": "local", "gpus": [0, 2]},
    "docker": {
        "mode": "docker",
        "gpus": [1],
        "host_network": True,
        "shm_size": "8g",
        "memory_limit": "64g",
    },
    "ome": {"mode": "ome", "namespace": "tuning", "runtime": "vllm-runtime"},
}

_STARTS: dict[str, dict[str, Any]] = {
    "local": {"executable": "/opt/vllm/bin/vllm"},
    "docker": {"image": "registry:5000/vllm/vllm-openai:v0.12.0"},
    "ome": {"image": "v0.12.0", "python": "/opt/my python/bin/python"},
}

_COMMON: dict[str, Any] = {
    "schema_version": 1,
    "name": 'chat: 100% "best" #1',
    "description": "Two lines,\n  the second one indented.\n",
    "model": {"id": "org/model-8B", "served_name": "chat", "tokenizer": "org/tokenizer"},
    "search_space": {
        "parameters": {
            "max-num-seqs": {"min": 16, "max": 256, "step": 16, "log": True},
            "gpu-memory-utilization": {"min": 0.8, "max": 0.95, "step": 0.05},
            "swap-space": {"type": "float", "min": 1, "max": 4, "when": {"enable-chunked-prefill": True}},
            "enable-chunked-prefill": [True, False, None],
            "kv-cache-dtype": ["auto", "fp8", "yes", "1", 1, 1.0, "", " blank ", "a, b", "{x}"],
            "rope-scaling": [{"type": "linear", "factor": 2.0}, None, {"nested": [1, [2, "3"], {"deep": None}]}],
            "env:VLLM_ATTENTION_BACKEND": ["FLASH_ATTN", "FLASHINFER"],
            "max-num-batched-tokens": {"values": [2048, 8192], "when": {"enable-chunked-prefill": [True, None]}},
            "speculative.tokens": [3],
            "one": None,
        },
        "fixed": {
            "max-model-len": 4096,
            "env:OMP_NUM_THREADS": "8",
            "nothing": None,
            "list": [1, 2],
            "limit-mm-per-prompt": {"image": 4},
            "empty": "",
            "served": {},
            "half": 0.5,
            "whole": 2.0,
        },
        "constraints": [
            "max-num-batched-tokens >= max-num-seqs",
            'not kv-cache-dtype == "fp8" or max-model-len <= 8192',
        ],
    },
    "strategy": {"name": "bayesian", "seed": 7, "initial_random": 4},
    "budget": {"experiments": 30, "wall_clock_s": 28800, "gpu_hours": 12.5, "max_failures": 3},
    "objective": {"name": "minimize_ttft", "statistic": "p95"},
    "slo": {
        "ttft_ms": {"p99": 500, "mean": 120.5},
        "tpot_ms": {"mean": 50},
        "itl_ms": {"p99.9": 80},
        "e2e_ms": {"p90": 6000},
        "error_rate": 0,
        "min_output_tokens_per_s": 100,
        "min_requests_per_s": 0.5,
    },
    "workload": {
        "benchmark": "builtin",
        "scenarios": ["D(512,128)", "N(480,240)/(300,150)", "dataset"],
        "dataset": {"path": "prompts, all.jsonl", "prompt_field": "text", "output_tokens": 64},
        "concurrency": [1, 8, 32],
        "request_rates_per_s": [0.5, 4],
        "arrivals": "constant",
        "requests": 100,
        "seconds": 45.5,
        "warmup_requests": 0,
        "min_completed": 10,
        "ignore_eos": False,
        "sampling": {"temperature": 0.7, "stop": ["\n", "é"], "extra": {"a": [None, True]}},
        "seed": 3,
    },
    "limits": {
        "pull_s": 1,
        "download_s": 2,
        "ready_s": 3,
        "load_point_s": 400,
        "request_s": 5,
        "experiment_s": 6000,
        "stop_s": 7,
    },
    "baseline": False,
    "replicates": 3,
    "finalists": 2,
    "max_parallel": 4,
}


def _whole(mode: str) -> dict[str, Any]:
    environment = {
        "VLLM_LOGGING_LEVEL": "DEBUG",
        "EMPTY": "",
        "SPACED": "  two words ",
        "QUOTED": '"a" = b',
        "EQ": "a=b",
    }
    engine = {"name": "vllm", **_STARTS[mode], "environment": environment, "allow_unknown_flags": True}
    return {**_COMMON, "engine": engine, "deployment": _DEPLOYMENTS[mode]}


WHOLE = {mode: _whole(mode) for mode in _DEPLOYMENTS}
