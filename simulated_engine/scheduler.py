"""Continuous batching as in vLLM: each step, one token per decoding sequence and prefill chunks in the rest."""

import heapq
from dataclasses import dataclass

from simulated_engine.kv_cache import BlockPool
from simulated_engine.metrics import EngineMetrics
from simulated_engine.sequence import Sequence
from simulated_engine.settings import Settings
from simulated_engine.timing import StepLoad


@dataclass(slots=True)
class Step:
    """What one step computes: sequences with the number of tokens each."""

    work: list[tuple[Sequence, int]]
    load: StepLoad


class Scheduler:
    """Chooses the work of each step under ``max-num-seqs``, ``max-num-batched-tokens`` and the KV cache."""

    def __init__(self, settings: Settings, pool: BlockPool, metrics: EngineMetrics) -> None:
        self.pool = pool
        self.running: list[Sequence] = []
        self._waiting: list[tuple[int, int, Sequence]] = []
        self.metrics = metrics
        self._max_seqs = settings.max_num_seqs
        self._max_tokens = settings.max_num_batched_tokens
        self._chunked = settings.enable_chunked_prefill
        self._by_priority = settings.scheduling_policy == "priority"
        self._block_tokens = settings.block_size
        self._next_number = 0

    @property
    def waiting(self) -> int:
        """Sequences that hold no KV cache yet, or lost it."""
        return len(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a new sequence."""
        sequence.number = self._next_number
        self._next_number += 1
        self._enqueue(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forget an aborted sequence and free what it holds; nothing happens if it has finished."""
        if sequence.finished:
            return
        sequence.finished = True
        self._release(sequence)
        if sequence in self.running:
            self.running.remove(sequence)
        else:
            self._waiting = [entry for entry in self._waiting if entry[2] is not sequence]
            heapq.heapify(self._waiting)

    def clear(self) -> list[Sequence]:
        """Forget all sequences and return them."""
        sequences = [*self.running, *(entry[2] for entry in self._waiting)]
        for sequence in sequences:
            self.remove(sequence)
        return sequences

    def schedule(self) -> Step | None:
        """The next step, or None if there is nothing to do."""
        work: list[tuple[Sequence, int]] = []
        budget, preempted = self._schedule_running(work)
        if not preempted:
            self._admit(work, budget)
        return Step(work, _load(work)) if work else None

    def complete(self, step: Step, now: float) -> None:
        """Account for a step that ended at ``now`` (seconds of the event loop), and hand out its tokens."""
        some_finished = False
        for sequence, count in step.work:
            if sequence.finished:
                continue
            sequence.computed += count
            if sequence.computed < sequence.prompt_tokens + sequence.generated:
                continue
            sequence.generated += 1
            self.metrics.generated_tokens += 1
            if sequence.generated == 1:
                self.metrics.record_first_token(sequence, now)
                self._publish_prompt(sequence)
            if sequence.generated < sequence.max_tokens:
                sequence.sink.token()
            else:
                sequence.finished = some_finished = True
                self._release(sequence)
                self.metrics.record_end(sequence, now)
                sequence.sink.finish(sequence.finish_reason)
        if some_finished:
            self.running = [sequence for sequence in self.running if not sequence.finished]

    def _schedule_running(self, work: list[tuple[Sequence, int]]) -> tuple[int, bool]:
        """Give each running sequence its tokens; the last ones lose their memory when there is too little."""
        budget, preempted = self._max_tokens, False
        if self._by_priority:
            self.running.sort(key=lambda sequence: (sequence.priority, sequence.number))
        index = 0
        while index < len(self.running) and budget > 0:
            sequence = self.running[index]
            count = min(sequence.prompt_tokens + sequence.generated - sequence.computed, budget)
            while not self._grow(sequence, count):
                preempted = True
                if self._preempt_last() is sequence:
                    break
            else:
                work.append((sequence, count))
                budget -= count
            index += 1
        return budget, preempted

    def _admit(self, work: list[tuple[Sequence, int]], budget: int) -> None:
        while self._waiting and len(self.running) < self._max_seqs and budget > 0:
            sequence = self._waiting[0][2]
            pinned = self.pool.pin_prefix(sequence.prompt_hashes)
            cached = len(pinned) * self._block_tokens
            missing = sequence.prompt_tokens + sequence.generated - cached
            count = min(missing, budget)
            sequence.pinned, sequence.computed = pinned, cached
            if (missing > budget and not self._chunked) or not self._grow(sequence, count):
                self._release(sequence)
                return
            heapq.heappop(self._waiting)
            self.running.append(sequence)
            work.append((sequence, count))
            budget -= count
            self._count_admission(sequence, cached)

    def _count_admission(self, sequence: Sequence, cached: int) -> None:
        if sequence.prompt_hashes:
            self.metrics.prefix_queries += sequence.prompt_tokens
            self.metrics.prefix_hits += cached

    def _grow(self, sequence: Sequence, count: int) -> bool:
        """Hold enough blocks for ``count`` more tokens; False if there are too few."""
        blocks = -(-(sequence.computed + count) // self._block_tokens)
        missing = blocks - sequence.private_blocks - len(sequence.pinned)
        if missing <= 0:
            return True
        if not self.pool.take(missing):
            return False
        sequence.private_blocks += missing
        return True

    def _preempt_last(self) -> Sequence:
        """vLLM recomputes: the sequence waits again, ahead of later ones, and starts from its prompt."""
        victim = self.running.pop()
        self._release(victim)
        self._enqueue(victim)
        self.metrics.preemptions += 1
        return victim

    def _publish_prompt(self, sequence: Sequence) -> None:
        published = self.pool.publish(sequence.prompt_hashes[len(sequence.pinned) :])
        sequence.private_blocks -= len(published)
        sequence.pinned.extend(published)

    def _release(self, sequence: Sequence) -> None:
        self.pool.release(sequence.private_blocks, sequence.pinned)
        sequence.private_blocks, sequence.pinned, sequence.computed = 0, [], 0

    def _enqueue(self, sequence: Sequence) -> None:
        priority = sequence.priority if self._by_priority else 0
        heapq.heappush(self._waiting, (priority, sequence.number, sequence))


def _load(work: list[tuple[Sequence, int]]) -> StepLoad:
    prefill = decodes = context = pairs = 0
    for sequence, count in work:
        if count == 1:
            decodes += 1
            context += sequence.computed
        else:
            prefill += count
            pairs += count * (sequence.computed + count // 2)
    return StepLoad(prefill, decodes, len(work), context, pairs)
