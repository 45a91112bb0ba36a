"""The five tasks: what each of them visits follows from its document alone, whatever fails on the way."""

from typing import Any

ANSWER_S = 0.1
"""How long the simulated engine takes for a request; it does next to nothing meanwhile."""

FIXED = {
    "simulate-startup-s": 0,
    "simulate-seed": 1,
    "max-model-len": 1024,
    "simulate-ttft-ms": 1000 * ANSWER_S,
    "simulate-tpot-ms": 0.1,
}


def documents(seed: int, experiments: int, load_s: float) -> list[dict[str, Any]]:
    """Task documents of `experiments` experiments each, every one of which is under load for `load_s` seconds.

    Outcomes differ from run to run once engines are killed. What is visited does not: the grids are tried as a whole,
    random draws do not look at outcomes, and the space of `bayesian` holds nothing beyond its budget.
    """
    batch = [300 + 8 * number for number in range(experiments)]
    pairs = {"max-num-seqs": batch[: -(-experiments // 2)], "stream-interval": [1, 2]}
    many = {"max-num-seqs": {"min": 300, "max": 1500}}
    kinds: list[tuple[str, int, dict[str, Any], bool]] = [
        ("grid", 1, {"max-num-seqs": batch}, False),
        ("grid", 3, pairs, False),
        ("random", 2, many, True),
        ("random", 3, many, True),
        ("bayesian", 2, {"max-num-seqs": batch[1:]}, True),
    ]
    return [
        {
            "name": f"{strategy} {max_parallel}",
            "engine": {"name": "simulated"},
            "model": {"id": "simulated/llama-1b"},
            "deployment": {"mode": "local"},
            "baseline": baseline,
            "max_parallel": max_parallel,
            "search_space": {"parameters": parameters, "fixed": FIXED},
            "strategy": {"name": strategy, "seed": seed},
            "budget": {"experiments": experiments, "max_failures": 1_000_000},
            "workload": {
                "scenarios": ["D(20,2)"],
                "concurrency": [1],
                "requests": max(1, round(load_s / ANSWER_S)),
                "seconds": 60,
                "warmup_requests": 0,
            },
        }
        for strategy, max_parallel, parameters, baseline in kinds
    ]
