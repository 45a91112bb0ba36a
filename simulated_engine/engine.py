"""The engine cores: one that models batching, and one that keeps a given TTFT and TPOT exactly."""

import asyncio
import heapq
import logging
import math
import random
from collections.abc import Callable
from typing import Protocol

from simulated_engine.errors import EngineDeadError
from simulated_engine.kv_cache import BlockPool
from simulated_engine.memory import MemoryPlan
from simulated_engine.metrics import EngineMetrics
from simulated_engine.scheduler import Scheduler, Step
from simulated_engine.sequence import Sequence
from simulated_engine.settings import Settings
from simulated_engine.timing import StepCost

logger = logging.getLogger(__name__)

#: The event loop rounds its timers up to a millisecond. Waking half of that early, and doing what is due within half
#: of it, brings the mean error of a deadline near zero.
HALF_TICK_S = 0.0005
#: Steps in one turn of the event loop, and the delay after which the simulation gives up catching up.
STEPS_PER_TURN = 32
MAX_DELAY_S = 0.05


class Engine(Protocol):
    """One engine core."""

    metrics: EngineMetrics

    def submit(self, sequence: Sequence) -> None:
        """Take a new sequence."""

    def abort(self, sequence: Sequence) -> None:
        """Drop a sequence whose client has gone."""

    def hang(self) -> None:
        """Produce no further token."""

    def die(self, error: Exception) -> None:
        """Fail all sequences and stop."""

    @property
    def running(self) -> int:
        """Sequences that are being computed."""

    @property
    def waiting(self) -> int:
        """Sequences that wait."""

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use, 0 to 1."""


class BatchingEngine:
    """Runs the scheduler against the clock.

    A step ends at the end of the one before plus its cost, not at the time the timer fired, so that the simulation
    does not drift; a late timer makes several steps at once.
    """

    def __init__(
        self,
        settings: Settings,
        plan: MemoryPlan,
        cost: StepCost,
        rng: random.Random,
        on_death: Callable[[EngineDeadError], None],
    ) -> None:
        self.metrics = EngineMetrics()
        pool = BlockPool(plan.kv_blocks, caching=settings.enable_prefix_caching)
        self._scheduler = Scheduler(settings, pool, self.metrics)
        self._loop = asyncio.get_running_loop()
        self._plan, self._cost, self._rng, self._on_death = plan, cost, rng, on_death
        self._noise = settings.simulate_noise
        self._scale = settings.simulate_time_scale * self._noise_factor()
        self._step: Step | None = None
        self._step_ends_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._warned = False

    @property
    def running(self) -> int:
        """Sequences that are being computed."""
        return len(self._scheduler.running)

    @property
    def waiting(self) -> int:
        """Sequences that wait for room in the batch or in the KV cache."""
        return self._scheduler.waiting

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use, 0 to 1."""
        return self._scheduler.pool.usage

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence, and start stepping if the engine was idle."""
        self._scheduler.add(sequence)
        if self._step is None and not self._stopped:
            self._step_ends_at = self._loop.time()
            self._advance()

    def abort(self, sequence: Sequence) -> None:
        """Drop a sequence; its part of the current step is lost."""
        if not sequence.finished:
            self._scheduler.remove(sequence)
            self.metrics.record_abort()

    def hang(self) -> None:
        """Stop stepping; requests are still accepted."""
        self._stopped = True
        self._step = None
        if self._timer is not None:
            self._timer.cancel()

    def die(self, error: Exception) -> None:
        """Stop, and fail every sequence."""
        self.hang()
        for sequence in self._scheduler.clear():
            sequence.sink.fail(error)

    def _advance(self) -> None:
        """Do the steps that are due, then sleep until the end of the current one."""
        try:
            self._do_due_steps()
        except EngineDeadError as error:
            self._on_death(error)
            return
        if self._step is not None:
            self._timer = self._loop.call_at(self._step_ends_at - HALF_TICK_S, self._advance)

    def _do_due_steps(self) -> None:
        now = self._loop.time()
        for _ in range(STEPS_PER_TURN):
            if self._step_ends_at > now + HALF_TICK_S:
                return
            if self._step is not None:
                self._scheduler.complete(self._step, now)
            self._begin_step()
            if self._step is None:
                return
        self._skip_delay(now)

    def _begin_step(self) -> None:
        self._step = step = self._scheduler.schedule()
        if step is None:
            return
        load = step.load
        self._plan.check_step(load.prefill_tokens + load.decode_sequences, load.sequences)
        self._step_ends_at += self._cost.seconds(load) * self._scale * self._noise_factor()

    def _noise_factor(self) -> float:
        """A log-normal factor with mean 1; the first one drawn is the difference between this start and others."""
        return math.exp(self._rng.gauss(-(self._noise**2) / 2, self._noise)) if self._noise else 1.0

    def _skip_delay(self, now: float) -> None:
        """Let simulated time slip when this machine cannot keep up with it, instead of a burst later."""
        if now - self._step_ends_at < MAX_DELAY_S:
            return
        self._step_ends_at = now
        if not self._warned:
            self._warned = True
            logger.warning("This machine is too slow for --simulate-time-scale: latencies will be too long.")


class ExactEngine:
    """Gives every request the same TTFT and TPOT, however many there are.

    Token ``k`` is due at arrival + TTFT + k x TPOT: absolute deadlines, so that errors do not add up.
    """

    def __init__(self, settings: Settings) -> None:
        self.metrics = EngineMetrics()
        scale = settings.simulate_time_scale / 1000
        self._ttft_s = (settings.simulate_ttft_ms or 0.0) * scale
        self._tpot_s = (settings.simulate_tpot_ms or 0.0) * scale
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, Sequence]] = []
        self._active = 0
        self._next_number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = math.inf
        self._stopped = False

    #: Nothing ever waits here, and nothing is stored.
    waiting = 0
    kv_usage = 0.0

    @property
    def running(self) -> int:
        """Sequences in progress."""
        return self._active

    def submit(self, sequence: Sequence) -> None:
        """Plan the first token of a sequence."""
        sequence.number = self._next_number
        self._next_number += 1
        self._active += 1
        heapq.heappush(self._due, (sequence.arrived_at + self._ttft_s, sequence.number, sequence))
        self._sleep()

    def abort(self, sequence: Sequence) -> None:
        """Drop a sequence; its entry in the queue is skipped when it is due."""
        if not sequence.finished:
            sequence.finished = True
            self._active -= 1
            self.metrics.record_abort()

    def hang(self) -> None:
        """Stop sending; requests are still accepted."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def die(self, error: Exception) -> None:
        """Stop, and fail every sequence."""
        self.hang()
        sequences = [entry[2] for entry in self._due if not entry[2].finished]
        self._due.clear()
        self._active = 0
        for sequence in sequences:
            sequence.finished = True
            sequence.sink.fail(error)

    def _sleep(self) -> None:
        if self._stopped or not self._due or self._due[0][0] >= self._wakes_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = self._due[0][0]
        self._timer = self._loop.call_at(self._wakes_at - HALF_TICK_S, self._send_due)

    def _send_due(self) -> None:
        due, now = self._due, self._loop.time()
        while due and due[0][0] <= now + HALF_TICK_S:
            deadline, number, sequence = due[0]
            sequence.generated += 1
            if sequence.finished or sequence.generated == sequence.max_tokens:
                heapq.heappop(due)
            else:
                heapq.heapreplace(due, (deadline + self._tpot_s, number, sequence))
            if not sequence.finished:
                self._send(sequence, now)
        self._wakes_at = math.inf
        self._sleep()

    def _send(self, sequence: Sequence, now: float) -> None:
        self.metrics.generated_tokens += 1
        if sequence.generated == 1:
            self.metrics.record_first_token(sequence, now)
        if sequence.generated < sequence.max_tokens:
            sequence.sink.token()
        else:
            sequence.finished = True
            self._active -= 1
            self.metrics.record_end(sequence, now)
            sequence.sink.finish(sequence.finish_reason)
