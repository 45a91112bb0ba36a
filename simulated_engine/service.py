"""What the API serves from: engine cores, state, planned faults and the periodic log line."""

import asyncio
import logging
import os
import random

from simulated_engine.engine import BatchingEngine, Engine, ExactEngine
from simulated_engine.errors import ApiError, EngineDeadError
from simulated_engine.memory import MemoryPlan, out_of_memory
from simulated_engine.protocol import Limits
from simulated_engine.sequence import Sequence
from simulated_engine.settings import GIB, Settings
from simulated_engine.timing import StepCost

logger = logging.getLogger(__name__)

STATS_INTERVAL_S = 10.0
#: A dead engine answers /health with 503 for this long before its process ends.
LINGER_S = 0.5
DEAD = "EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause."
ILLEGAL_ACCESS = "CUDA error: an illegal memory access was encountered"


class Service:
    """The running engine. ``ended`` is set when its process has to exit with code 1."""

    def __init__(self, settings: Settings, limits: Limits, plan: MemoryPlan, cost: StepCost) -> None:
        self.settings = settings
        self.limits = limits
        self.ended = asyncio.Event()
        self.death: EngineDeadError | None = None
        self._plan = plan
        self._rng = random.Random(settings.simulate_seed)  # noqa: S311 - not a secret
        self._requests = 0
        self._loop = asyncio.get_running_loop()
        self._stats = StatsLine(self)
        self.engines: list[Engine] = [self._new_engine(cost) for _ in range(settings.data_parallel_size)]

    def _new_engine(self, cost: StepCost) -> Engine:
        if self.settings.is_exact:
            return ExactEngine(self.settings)
        rng = random.Random(self._rng.random())  # noqa: S311 - not a secret
        return BatchingEngine(self.settings, self._plan, cost, rng, self.die)

    def check_alive(self) -> None:
        """Raise the engine's death, if it is dead."""
        if self.death is not None:
            raise self.death

    def count_request(self) -> None:
        """Count a request, and show the failure that is planned for it. Raises ApiError or EngineDeadError."""
        self.check_alive()
        self._requests += 1
        if self._requests > self.settings.simulate_failure_after:
            self._fail_under_load()
        if self._rng.random() < self.settings.simulate_error_rate:
            raise ApiError(500, "Simulated internal error (--simulate-error-rate).")

    def cut_after(self, output_tokens: int) -> int | None:
        """The token after which an answer breaks off, or None."""
        if self._rng.random() < self.settings.simulate_truncate_rate:
            return self._rng.randint(1, max(1, output_tokens - 1))
        return None

    def submit(self, sequence: Sequence) -> Engine:
        """Give a sequence to the least busy engine core and return that."""
        engine = min(self.engines, key=lambda engine: engine.running + engine.waiting)
        engine.submit(sequence)
        self._stats.wake()
        return engine

    def die(self, error: EngineDeadError) -> None:
        """Fail every request, answer 503 for a moment, then end the process with code 1."""
        if self.death is not None:
            return
        self.death = error
        logger.error(
            "EngineCore encountered a fatal error.\nTraceback (most recent call last):\n%s: %s", error.exception, error
        )
        logger.error("AsyncLLM output_handler failed.\nTraceback (most recent call last):\n%s", DEAD)
        for engine in self.engines:
            engine.die(error)
        self._loop.call_later(LINGER_S, self.ended.set)

    def _fail_under_load(self) -> None:
        match self.settings.simulate_failure:
            case "load-oom":
                text = out_of_memory(0.5 * GIB, self._plan.total_bytes, 0.1 * GIB)
                self.die(EngineDeadError("torch.OutOfMemoryError", text))
                self.check_alive()
            case "crash-under-load":
                logger.error("EngineCore encountered a fatal error.\ntorch.AcceleratorError: %s", ILLEGAL_ACCESS)
                os._exit(1)  # no farewell to anybody: that is the point of this failure
            case "hang-under-load":
                for engine in self.engines:
                    engine.hang()


class StatsLine:
    """vLLM's throughput line, every ten seconds while requests come or run, and once after the last."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._seen = (0, 0)

    def wake(self) -> None:
        """Start the clock if it is not running."""
        if self._timer is None and not self._service.settings.disable_log_stats:
            self._timer = self._loop.call_later(STATS_INTERVAL_S, self._log)

    def _log(self) -> None:
        engines = self._service.engines
        prompt = sum(engine.metrics.prompt_tokens for engine in engines)
        generated = sum(engine.metrics.generated_tokens for engine in engines)
        running = sum(engine.running for engine in engines)
        waiting = sum(engine.waiting for engine in engines)
        logger.info(
            "Engine 000: Avg prompt throughput: %.1f tokens/s, Avg generation throughput: %.1f tokens/s, Running: %d "
            "reqs, Waiting: %d reqs, GPU KV cache usage: %.1f%%, Prefix cache hit rate: %.1f%%",
            (prompt - self._seen[0]) / STATS_INTERVAL_S,
            (generated - self._seen[1]) / STATS_INTERVAL_S,
            running,
            waiting,
            100 * max(engine.kv_usage for engine in engines),
            100 * _hit_rate(engines),
        )
        is_active = running or waiting or (prompt, generated) != self._seen
        self._seen = prompt, generated
        self._timer = self._loop.call_later(STATS_INTERVAL_S, self._log) if is_active else None


def _hit_rate(engines: list[Engine]) -> float:
    queries = sum(engine.metrics.prefix_queries for engine in engines)
    return sum(engine.metrics.prefix_hits for engine in engines) / queries if queries else 0.0
