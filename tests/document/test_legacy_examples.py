"""Documents of earlier systems as their users have them, with the whole report."""

from pathlib import Path

import pytest

from tuning.document.dumping import dump
from tuning.document.loading import load

EXAMPLES = sorted((Path(__file__).parent / "legacy_documents").glob("*.json"))

_PENALTY = "changed: not used: an SLO is met or not met, there is no penalty"
_REPORTS = {
    "docker": [
        "line 5: model.namespace: ignored: used in OME mode only",
        "line 17: optimization.max_iterations: changed: budget.experiments 25: the engine's defaults are measured as "
        "well, as the first",
        "line 17: optimization.timeout_per_iteration: changed: 1500 s was one limit for all; now limits.ready_s 1500, "
        "limits.load_point_s 1500, limits.experiment_s 3000; pulling and downloading have limits of their own",
        "line 18: slo.ttft.threshold: converted: 0.8 s: slo.ttft_ms.mean 800",
        f"line 18: slo.ttft.weight: {_PENALTY}",
        "line 19: slo.latency.p90.threshold: converted: 6 s: slo.e2e_ms.p90 6000",
        f"line 19: slo.latency.p90.weight: {_PENALTY}",
        f"line 19: slo.latency.p90.hard_fail: {_PENALTY}",
        f"line 19: slo.latency.p90.fail_ratio: {_PENALTY}",
        f"line 20: slo.steepness: {_PENALTY}",
        "line 21: benchmark: defaulted: measured with genai-bench, as before; `workload.benchmark: builtin` needs no "
        "further tool",
        "line 21: benchmark.model_name: changed: not used: requests name the model as the engine serves it "
        "(model.served_name)",
        "line 24: benchmark.max_time_per_iteration: converted: 2 minutes: workload.seconds 120",
    ],
    "ome": [
        "line 7: clusterbasemodel_config.overrides: ignored: not used: nothing is created in the cluster but the "
        "InferenceService",
        "line 8: clusterservingruntime_config: converted: deployment.runtime sglang-llama-small; it has to exist in "
        "the cluster",
        "line 9: storage: ignored: where the weights are is told by the ClusterBaseModel that model.id names",
        "line 12: optimization.strategy: renamed: grid_search is called grid",
        "line 13: optimization.max_iterations: changed: budget.experiments 3: the engine's defaults are measured as "
        "well, as the first",
        "line 13: optimization.timeout_per_iteration: changed: 1800 s was one limit for all; now limits.ready_s 1800, "
        "limits.load_point_s 1800, limits.experiment_s 3600; pulling and downloading have limits of their own",
        "line 14: benchmark: defaulted: measured with genai-bench, as before; `workload.benchmark: builtin` needs no "
        "further tool",
        "line 14: benchmark.model_name: changed: not used: requests name the model as the engine serves it "
        "(model.served_name)",
        "line 17: benchmark.max_time_per_iteration: converted: 5 minutes: workload.seconds 300",
        "line 18: benchmark.additional_params.temperature: converted: the text '0.0' is the value 0.0",
    ],
}
_DOCKER = """\
schema_version: 1
name: qwen7b-chat-docker
description: Find the best chunking and memory split for chat traffic
engine:
  name: sglang
  image: v0.5.2-cu126
model:
  id: Qwen/Qwen2.5-7B-Instruct
  tokenizer: Qwen/Qwen2.5-7B-Instruct
deployment:
  mode: docker
search_space:
  parameters:
    mem-fraction-static: [0.8, 0.88]
    chunked-prefill-size: [2048, 8192]
    schedule-policy: [lpm, fcfs]
    enable-mixed-chunk: [true, false]
    kv-cache-dtype: [fp8_e5m2]
    quantization: [null, fp8]
    tp-size: [1, 2]
strategy:
  name: bayesian
  initial_random: 6
budget:
  experiments: 25
objective:
  name: maximize_throughput
slo:
  ttft_ms:
    mean: 800
  e2e_ms:
    p90: 6000
workload:
  benchmark: genai-bench
  scenarios: ['D(512,128)', 'N(480,240)/(300,150)']
  concurrency: [1, 8, 32]
  seconds: 120
  sampling:
    temperature: 0.0
limits:
  ready_s: 1500
  load_point_s: 1500
  experiment_s: 3000
"""


@pytest.mark.parametrize("name", _REPORTS)
def test_the_report_of_an_example_is_exactly_this(name: str) -> None:
    text = next(path for path in EXAMPLES if path.stem == name).read_bytes()
    assert [str(note) for note in load(text).notes] == _REPORTS[name]


def test_the_docker_example_is_translated_whole() -> None:
    text = next(path for path in EXAMPLES if path.stem == "docker").read_bytes()
    assert dump(load(text).document) == _DOCKER


def test_the_ome_example_keeps_its_sweep_and_its_names() -> None:
    """Pitfall C7: the sweep of mem-fraction-static reaches the engine."""
    document = load(next(path for path in EXAMPLES if path.stem == "ome").read_bytes()).document
    assert list(document.search_space.parameters) == ["tp-size", "mem-fraction-static"]
    assert document.deployment.model_dump() == {
        "mode": "ome",
        "namespace": "autotuner",
        "runtime": "sglang-llama-small",
    }
    assert document.model.id == "llama-3-2-1b-instruct"
