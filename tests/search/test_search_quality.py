"""Whether the model is worth it: against random search, on surfaces shaped like a serving engine's."""

import math
from collections import deque
from collections.abc import Callable
from statistics import median

import pytest

from tests.search.spaces import make_space
from tuning.document.base import Parameters
from tuning.document.goals import Strategy as StrategySection
from tuning.document.goals import StrategyName
from tuning.search import Direction, Outcome, Space, make_strategy

EXPERIMENTS = 24
SEEDS = range(20)


def serving() -> Space:
    """1260 configurations."""
    return make_space(
        {
            "max-num-seqs": [8, 16, 32, 64, 128, 256, 512],
            "max-num-batched-tokens": [512, 1024, 2048, 4096, 8192, 16_384],
            "gpu-memory-utilization": {"min": 0.75, "max": 0.95, "step": 0.05},
            "kv-cache-dtype": ["auto", "fp8"],
            "tensor-parallel-size": [1, 2, 4],
        }
    )


def number(parameters: Parameters, name: str) -> float:
    value = parameters[name]
    assert isinstance(value, int | float)
    return value


def throughput(parameters: Parameters) -> Outcome:
    """Tokens per second and GPU: more streams pay until the cache is full; the tightest corner runs out of memory."""
    streams, tokens = number(parameters, "max-num-seqs"), number(parameters, "max-num-batched-tokens")
    memory, gpus = number(parameters, "gpu-memory-utilization"), number(parameters, "tensor-parallel-size")
    if memory > 0.92 and streams >= 256:
        return Outcome(parameters, None)
    cache = memory * gpus * (1.6 if parameters["kv-cache-dtype"] == "fp8" else 1.0)
    batch = min(1, (streams / 256) ** 0.6) * min(1, cache / 1.5)
    value = 1000 * batch * (1 - 0.1 * abs(math.log2(tokens / 4096))) * (1 - 0.08 * math.log2(gpus))
    ttft_ms = 100 + 0.8 * streams + tokens / (40 * gpus)
    return Outcome(parameters, value, ((ttft_ms - 400) / 400,))


def latency(parameters: Parameters) -> Outcome:
    """Milliseconds until the first token: waiting for a place, then for the prefill of others."""
    streams, tokens = number(parameters, "max-num-seqs"), number(parameters, "max-num-batched-tokens")
    waiting = 2000 / streams + (50 if parameters["kv-cache-dtype"] == "auto" else 0)
    prefill = 300 * abs(math.log2(tokens / 2048)) / number(parameters, "tensor-parallel-size") + 0.5 * streams
    failed = number(parameters, "gpu-memory-utilization") < 0.8 and streams >= 128
    return Outcome(parameters, None if failed else waiting + prefill)


def best_found(
    name: StrategyName,
    seed: int,
    direction: Direction,
    world: Callable[[Parameters], Outcome],
    *,
    experiments: int = EXPERIMENTS,
    parallel: int = 1,
) -> float:
    """The best feasible value, the larger the better; minus infinity for none.

    With `parallel` experiments in flight, each is asked for without the outcomes of those before it.
    """
    strategy = make_strategy(StrategySection(name=name, seed=seed), serving(), direction=direction, budget=experiments)
    open_ones: deque[Outcome] = deque()
    found = [-math.inf]
    for _ in range(experiments):
        if len(open_ones) == parallel:
            strategy.tell(open_ones.popleft())
        outcome = world(strategy.ask()[0])
        open_ones.append(outcome)
        if outcome.feasible and outcome.value is not None:
            found.append(outcome.value if direction == "maximize" else -outcome.value)
    return max(found)


@pytest.mark.parametrize(("direction", "world"), [("maximize", throughput), ("minimize", latency)])
def test_the_model_finds_better_configurations_than_chance(
    direction: Direction, world: Callable[[Parameters], Outcome]
) -> None:
    modelled = median(best_found(StrategyName.BAYESIAN, seed, direction, world) for seed in SEEDS)
    drawn = median(best_found(StrategyName.RANDOM, seed, direction, world) for seed in SEEDS)
    assert modelled > drawn


@pytest.mark.parametrize(("direction", "world"), [("maximize", throughput), ("minimize", latency)])
def test_four_in_flight_find_about_as_good_configurations_as_one_after_the_other(
    direction: Direction, world: Callable[[Parameters], Outcome]
) -> None:
    def found(parallel: int) -> float:
        return median(
            best_found(StrategyName.BAYESIAN, seed, direction, world, experiments=30, parallel=parallel)
            for seed in SEEDS
        )

    one_by_one = found(1)
    assert found(4) >= one_by_one - 0.05 * abs(one_by_one)
