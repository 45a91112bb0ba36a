"""How many GPUs a configuration takes."""

import pytest

from tuning.document.task import EngineName
from tuning.engines.registry import engine_for

VLLM, SGLANG, SIMULATED = EngineName.VLLM, EngineName.SGLANG, EngineName.SIMULATED


@pytest.mark.parametrize(
    ("name", "parameters", "gpus"),
    [
        (VLLM, {}, 1),
        (VLLM, {"tensor-parallel-size": 4}, 4),
        (VLLM, {"tp": 2, "pp": 2, "dp": 3}, 12),
        (VLLM, {"tp": 4, "dcp": 4}, 4),
        (VLLM, {"tp": 2, "pcp": 2}, 4),
        (VLLM, {"tp": None, "dp": 0}, 1),
        (VLLM, {"tp": "two"}, 1),
        (VLLM, {"tp": 2, "dp": 8, "enable-expert-parallel": True}, 16),
        (SGLANG, {"tp": 2, "dp": 2}, 4),
        (SGLANG, {"tensor_parallel_size": 8, "dp_size": 8}, 64),
        (SGLANG, {"tp": 8, "dp": 8, "enable-dp-attention": True}, 8),
        (SGLANG, {"tp": 8, "dp": 8, "enable-dp-attention": False}, 64),
        (SGLANG, {"tp": 4, "pp": 2, "ep": 4}, 8),
        (SIMULATED, {"tp": 2, "dp": 2}, 4),
    ],
)
def test_the_world_size_follows_the_engines_own_rule(name: EngineName, parameters: dict, gpus: int) -> None:
    """Engine facts 7; Pitfall C4: one function for form, scheduler and deployer."""
    assert engine_for(name).gpus(parameters) == gpus
