"""Continuous batching, without a clock."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_engine.cli import parse
from simulated_engine.kv_cache import BlockPool, block_hashes
from simulated_engine.metrics import EngineMetrics
from simulated_engine.scheduler import Scheduler, Step
from simulated_engine.sequence import Sequence


@dataclass
class CountingSink:
    """Remembers what it was given."""

    tokens: int = 0
    reasons: list[str] = field(default_factory=list)

    def token(self) -> None:
        self.tokens += 1

    def finish(self, reason: str) -> None:
        self.tokens += 1
        self.reasons.append(reason)

    def fail(self, error: Exception) -> None:
        self.reasons.append(str(error))


def scheduler(*flags: str, blocks: int = 1000) -> Scheduler:
    parsed = parse(["serve", "sim", *flags])
    return Scheduler(parsed, BlockPool(blocks, caching=parsed.enable_prefix_caching), EngineMetrics())


def sequence(prompt: int, output: int, *, hashes: tuple[int, ...] = (), priority: int = 0) -> Sequence:
    return Sequence(prompt, output, "length", CountingSink(), 0.0, hashes, priority)


def tokens_of(one: Sequence) -> int:
    """How many tokens a sequence has sent."""
    assert isinstance(one.sink, CountingSink)
    return one.sink.tokens


def steps(of: Scheduler, limit: int = 10_000) -> list[list[tuple[Sequence, int]]]:
    """Run until there is nothing to do; the work of each step."""
    done: list[list[tuple[Sequence, int]]] = []
    while (step := of.schedule()) is not None:
        done.append(step.work)
        of.complete(step, 0.0)
        assert len(done) < limit
    return done


def first_step(of: Scheduler) -> Step:
    step = of.schedule()
    assert step is not None
    return step


def test_prefill_chunks_share_the_token_budget_with_decodes() -> None:
    engine = scheduler("--max-num-batched-tokens", "100", "--max-num-seqs", "8")
    running, long = sequence(10, 50), sequence(250, 5)
    engine.add(running)
    engine.complete(first_step(engine), 0.0)
    engine.add(long)
    work = steps(engine)
    assert [count for one in work[:3] for owner, count in one if owner is long] == [99, 99, 52]
    assert all((running, 1) in one for one in work[:3])


def test_without_chunked_prefill_a_prompt_waits_until_it_fits_whole() -> None:
    engine = scheduler("--max-num-batched-tokens", "8192", "--no-enable-chunked-prefill")
    first, second = sequence(5000, 1), sequence(5000, 1)
    engine.add(first)
    engine.add(second)
    assert steps(engine) == [[(first, 5000)], [(second, 5000)]]


def test_no_more_sequences_run_than_max_num_seqs() -> None:
    engine = scheduler("--max-num-seqs", "3")
    for _ in range(10):
        engine.add(sequence(5, 4))
    assert max(map(len, steps(engine))) == 3


def test_a_sequence_that_loses_its_memory_starts_again_and_sends_no_token_twice() -> None:
    engine = scheduler("--max-num-seqs", "8", "--no-enable-prefix-caching", blocks=10)
    sequences = [sequence(60, 80) for _ in range(3)]
    for one in sequences:
        engine.add(one)
    steps(engine)
    assert [tokens_of(one) for one in sequences] == [80, 80, 80]
    assert engine.metrics.preemptions > 0
    assert engine.pool.usage == 0


def test_an_equal_prompt_beginning_is_computed_once() -> None:
    engine = scheduler()
    hashes = block_hashes(["same"] * 100, 16)
    for expected in (100, 4):
        one = sequence(100, 2, hashes=hashes)
        engine.add(one)
        assert steps(engine)[0] == [(one, expected)]
    assert engine.metrics.prefix_hits == 96
    assert engine.pool.usage == 0


def test_prompts_share_blocks_only_up_to_their_first_difference() -> None:
    first = block_hashes([*range(32), 1, 2], 16)
    second = block_hashes([*range(16), 99, *range(17, 32), 1, 2], 16)
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_cached_blocks_make_room_for_new_sequences() -> None:
    engine = scheduler(blocks=8)
    for start in range(5):
        engine.add(sequence(100, 2, hashes=block_hashes(range(start, start + 100), 16)))
        steps(engine)
    assert engine.pool.usage == 0


def test_a_lower_priority_number_is_served_first() -> None:
    engine = scheduler("--max-num-seqs", "1", "--scheduling-policy", "priority")
    late, urgent = sequence(5, 1, priority=5), sequence(5, 1, priority=0)
    engine.add(late)
    engine.add(urgent)
    assert [owner for work in steps(engine) for owner, _ in work] == [urgent, late]


def test_an_aborted_sequence_leaves_nothing_behind() -> None:
    engine = scheduler("--max-num-seqs", "1")
    running, waiting = sequence(50, 10), sequence(50, 10)
    engine.add(running)
    engine.add(waiting)
    step = engine.schedule()
    assert step is not None
    engine.remove(running)
    engine.remove(waiting)
    engine.complete(step, 0.0)
    assert engine.schedule() is None
    assert (engine.waiting, engine.running, engine.pool.usage, tokens_of(running)) == (0, [], 0, 0)


@settings(max_examples=60, deadline=None)
@given(
    requests=st.lists(
        st.tuples(st.integers(1, 200), st.integers(1, 60), st.booleans(), st.integers(0, 3)), min_size=1, max_size=20
    ),
    flags=st.tuples(st.integers(1, 12), st.integers(12, 300), st.sampled_from(["fcfs", "priority"])),
    blocks=st.integers(17, 40),
)
def test_every_sequence_gets_exactly_its_tokens_whatever_the_limits(
    requests: list[tuple[int, int, bool, int]], flags: tuple[int, int, str], blocks: int
) -> None:
    max_seqs, max_tokens, policy = flags
    limits = ["--max-num-seqs", str(max_seqs), "--max-num-batched-tokens", str(max_tokens)]
    engine = scheduler(*limits, "--scheduling-policy", policy, blocks=blocks)
    sequences = [
        sequence(prompt, output, hashes=block_hashes(range(prompt), 16) if shared else (), priority=priority)
        for prompt, output, shared, priority in requests
    ]
    for one in sequences:
        engine.add(one)
    for work in steps(engine):
        assert len(work) <= max_seqs
        assert sum(count for _, count in work) <= max_tokens
    assert [tokens_of(one) for one in sequences] == [output for _, output, _, _ in requests]
    assert all(one.finished for one in sequences)
    assert engine.pool.usage == 0
