"""With several experiments in flight, number and configuration belong together whatever ends first and whatever stops.

No database and no engine: rows that are not saved, and outcomes that follow from the configuration.
"""

import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.runner.factories import document
from tuning.document.goals import StrategyName
from tuning.document.task import TaskDocument
from tuning.models import Experiment
from tuning.runner.planner import Planned, Planner, Step

Status = Experiment.Status
SPACE: dict[str, Any] = {
    "max-num-seqs": {"min": 1, "max": 200},
    "max-num-batched-tokens": {"min": 256, "max": 8192, "log": True},
    "enable-chunked-prefill": [True],
}
REPEATS: dict[str, dict[str, int]] = {
    "once": {},
    "replicates": {"replicates": 2},
    "finalists": {"replicates": 3, "finalists": 2},
}


def plan_of(strategy: str, **others: Any) -> TaskDocument:
    """A search of sixteen configurations, of which the bayesian strategy models all but the first three."""
    budget = {"experiments": others.pop("experiments", 16)}
    section = {"name": str(strategy), "seed": 7, "initial_random": 3}
    return document(others.pop("space", SPACE), strategy=section, budget=budget, **others)


def row_of(number: int, planned: Planned, **columns: Any) -> Experiment:
    """The new row of a planned experiment, its parameters as the database gives them back."""
    return Experiment(
        number=number,
        parameters=json.loads(json.dumps(planned.parameters)),
        parameters_hash=planned.parameters_hash,
        replicate=planned.replicate,
        is_baseline=planned.is_baseline,
        gpus=planned.gpus,
        **columns,
    )


def outcome(row: Experiment) -> dict[str, Any]:
    """What becomes of an experiment: some crash, some miss the SLO, and a repeat may do so where the first did not."""
    noise = random.Random(f"{row.parameters_hash}/{row.replicate}")
    if noise.random() < 0.2:
        return {"status": Status.FAILED}
    excess = noise.uniform(-1, 0.4)
    return {"status": Status.SUCCESS, "value": noise.uniform(10, 100), "feasible": excess <= 0, "violations": [excess]}


@dataclass
class Life:
    """A task being run, at most `slots` experiments at the same time, with the rows that a database would hold."""

    plan: TaskDocument
    slots: int
    rows: dict[int, Experiment] = field(default_factory=dict)
    order: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.planner = Planner(self.plan)

    @property
    def unfinished(self) -> list[int]:
        """The numbers of experiments without an outcome."""
        return [number for number, row in self.rows.items() if not row.is_finished]

    def fill(self) -> Planned | Step:
        """Begin experiments until all slots are taken; what was answered last."""
        step: Planned | Step = Step.WAIT
        while len(self.unfinished) < self.slots:
            step = self.planner.next()
            assert self.planner.next() is step, "asking again changes nothing"
            if isinstance(step, Step):
                break
            self.begin(step)
        assert step is not Step.WAIT or self.unfinished, "somebody has to be waited for"
        return step

    def begin(self, planned: Planned) -> None:
        """Make the row of the next experiment."""
        number = self.planner.last_number + 1
        assert number not in self.rows
        self.rows[number] = row_of(number, planned)
        self.planner.record(self.rows[number])
        self.order.append((number, planned))

    def write(self, number: int, **columns: Any) -> None:
        """Change a row and show it to the planner, as a new object."""
        self.rows[number] = row_of(number, self.order[number - 1][1], **columns)
        self.planner.record(self.rows[number])

    def finish(self, number: int) -> None:
        """Give an experiment its outcome."""
        self.write(number, **outcome(self.rows[number]))

    def interrupt(self, rng: random.Random) -> None:
        """Forget the planner; active experiments are handed back, and rows come in any order."""
        rows = list(self.rows.values())
        for row in rows:
            row.status = row.status if row.is_finished else Status.PENDING
        self.planner = Planner(self.plan, rng.sample(rows, len(rows)))

    def disturb(self, rng: random.Random) -> None:
        """Something that may happen at any time."""
        match rng.randrange(4):
            case 0:
                self.interrupt(rng)
            case 1 if self.unfinished:
                states = [Status.DEPLOYING, Status.BENCHMARKING, Status.CANCELLED, Status.PENDING]
                self.write(rng.choice(self.unfinished), status=rng.choice(states))
            case _ if self.unfinished:
                self.finish(rng.choice(self.unfinished))


def undisturbed(plan: TaskDocument) -> list[tuple[Any, ...]]:
    """What is made when one experiment runs after the other."""
    life = Life(plan, slots=1)
    while life.fill() is not Step.END:
        life.finish(life.unfinished[0])
    return life.order


def disturbed(plan: TaskDocument, rng: random.Random) -> Life:
    """A life in which experiments end in any order and interruptions come at any time."""
    life = Life(plan, slots=plan.max_parallel)
    while life.fill() is not Step.END or life.unfinished:
        assert life.planner.unfinished == frozenset(life.unfinished)
        assert life.planner.last_number == len(life.rows)
        life.disturb(rng)
    return life


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("strategy", StrategyName)
def test_interruptions_and_the_order_of_outcomes_change_nothing(strategy: str, repeats: str, parallel: int) -> None:
    """Pitfalls A1, A3, A5, A11, B13: the same numbers for the same configurations, none lost and none twice."""
    plan = plan_of(strategy, max_parallel=parallel, **REPEATS[repeats])
    expected = undisturbed(plan)
    assert len({(planned.parameters_hash, planned.replicate) for _, planned in expected}) == len(expected)
    for seed in range(8):
        life = disturbed(plan, random.Random(seed))
        assert life.order == expected, seed
        assert life.planner.experiments == len(expected)


@pytest.mark.parametrize("strategy", StrategyName)
@pytest.mark.parametrize("repeats", REPEATS)
def test_a_used_up_space_ends_the_same_way_for_all(strategy: str, repeats: str) -> None:
    """Pitfall A5: the search ends before its budget, the number of experiments is the real one."""
    plan = plan_of(strategy, space={"max-num-seqs": [1, 2, 3]}, max_parallel=3, **REPEATS[repeats])
    expected = undisturbed(plan)
    for seed in range(4):
        life = disturbed(plan, random.Random(seed))
        assert life.order == expected
        assert life.planner.exhausted
        again = Planner(plan, life.rows.values())
        assert (again.next(), again.exhausted, again.experiments) == (Step.END, True, len(expected))


@pytest.mark.parametrize("strategy", [StrategyName.GRID, StrategyName.RANDOM])
def test_what_does_not_learn_waits_for_nobody(strategy: str) -> None:
    life = Life(plan_of(strategy, max_parallel=2), slots=64)
    assert life.fill() is Step.END
    assert life.unfinished == list(range(1, 17))
    assert life.planner.experiments == 16


def test_what_learns_waits_for_the_oldest_of_those_in_flight() -> None:
    life = Life(plan_of("bayesian", max_parallel=3), slots=64)
    assert life.fill() is Step.WAIT
    assert life.unfinished == [1, 2, 3], "the baseline and two draws; what a model chooses needs number 1"
    life.finish(3)
    life.finish(2)
    assert life.fill() is Step.WAIT
    life.finish(1)
    life.fill()
    assert life.unfinished == [4, 5, 6], "numbers 2 and 3 had come before"


@pytest.mark.parametrize("status", [Status.PENDING, Status.DEPLOYING, Status.BENCHMARKING, Status.CANCELLED])
def test_only_an_outcome_ends_the_wait(status: str) -> None:
    life = Life(plan_of("bayesian", max_parallel=3), slots=64)
    life.fill()
    life.write(1, status=status)
    assert life.fill() is Step.WAIT
    assert life.planner.unfinished == {1, 2, 3}
    life.write(1, status=Status.FAILED, reason="lost_worker")
    assert life.planner.unfinished == {2, 3}
    assert isinstance(life.planner.next(), Planned)


def test_an_outcome_that_came_early_is_not_used_before_its_turn() -> None:
    """Pitfall B13: a brilliant number 9 does not change number 10 of a task with three in flight."""

    def tenth(value: float, also: Sequence[int]) -> Planned | Step:
        life = Life(plan_of("bayesian", max_parallel=3), slots=1)
        while life.planner.last_number < 9:
            life.fill()
            number = life.planner.last_number
            if number <= 7:
                life.finish(number)
            elif number in also:
                life.write(number, status=Status.SUCCESS, value=value, feasible=True, violations=[-1.0])
            life.slots = max(1, number - 5)
        return life.planner.next()

    assert isinstance(tenth(1.0, []), Planned)
    assert tenth(1e9, [9]) == tenth(1.0, [8, 9]) == tenth(1e9, [8, 9]) == tenth(1.0, [])


def test_finalists_are_chosen_when_every_configuration_has_an_outcome() -> None:
    """Pitfall B10a."""
    plan = plan_of("grid", max_parallel=4, space={"max-num-seqs": [1, 2, 3]}, replicates=2, finalists=1)
    life = Life(plan, slots=4)
    life.fill()
    for number in (4, 2, 1):
        life.write(number, status=Status.SUCCESS, value=float(number), feasible=True)
        assert life.fill() is Step.WAIT
    life.write(3, status=Status.SUCCESS, value=9.0, feasible=True)
    assert life.fill() is Step.WAIT
    assert [(number, planned.replicate, planned.is_baseline) for number, planned in life.order[4:]] == [
        (5, 1, False),
        (6, 1, True),
    ]
    assert life.order[4][1].parameters["max-num-seqs"] == 2


def test_the_next_best_is_measured_again_when_a_finalist_falls() -> None:
    """Pitfall B10a: also when it falls as the last one in flight."""
    plan = plan_of(
        "grid", max_parallel=4, space={"max-num-seqs": [1, 2]}, replicates=2, finalists=1, baseline=False, experiments=2
    )
    life = Life(plan, slots=4)
    life.fill()
    for number in (1, 2):
        life.write(number, status=Status.SUCCESS, value=float(number), feasible=True)
    life.fill()
    assert life.order[2][1].parameters["max-num-seqs"] == 2
    assert life.fill() is Step.WAIT
    life.write(3, status=Status.FAILED)
    life.fill()
    assert (life.order[3][1].parameters["max-num-seqs"], life.order[3][1].replicate) == (1, 1)
    life.write(4, status=Status.SUCCESS, value=1.0, feasible=True)
    assert life.fill() is Step.END
    assert life.planner.experiments == 4


def test_what_all_are_compared_with_is_measured_before_them() -> None:
    """`balanced` compares with the baseline, or, if that fails, with the first success: it has to be known."""
    life = Life(plan_of("grid", max_parallel=3, objective={"name": "balanced"}), slots=3)
    for number in (1, 2):
        assert life.fill() is Step.WAIT
        assert life.unfinished == [number]
        life.write(number, status=Status.FAILED)
    life.fill()
    assert life.unfinished == [3]
    life.write(3, status=Status.SUCCESS, value=1.0, feasible=True)
    life.fill()
    assert life.unfinished == [4, 5, 6]


def test_the_best_one_is_known_at_once_and_falls_when_a_repeat_fails() -> None:
    """Pitfall B5a."""
    life = Life(plan_of("grid", max_parallel=4, replicates=2, baseline=False, experiments=2), slots=4)
    life.fill()
    assert life.planner.best is None
    life.write(3, status=Status.SUCCESS, value=5.0, feasible=True)
    life.write(1, status=Status.SUCCESS, value=4.0, feasible=True)
    assert life.planner.best is life.rows[3]
    life.write(4, status=Status.FAILED)
    assert life.planner.best is life.rows[1]
    life.write(2, status=Status.SUCCESS, value=2.0, feasible=False, violations=[0.5])
    assert life.planner.best is None


def test_how_many_experiments_it_will_be_is_told_at_once_for_any_budget() -> None:
    """Pitfall A4a: a budget of a million is not counted through."""
    digits = {f"env:DIGIT_{place}": list(range(10)) for place in range(9)}
    planner = Planner(plan_of("random", space=digits, experiments=1_000_000))
    began = time.thread_time()
    assert planner.experiments == 1_000_000
    assert time.thread_time() - began < 10
    small = Planner(plan_of("random", space={"max-num-seqs": [1, 2, 3]}, experiments=1_000_000))
    assert small.experiments == 4


@pytest.mark.parametrize("strategy", [StrategyName.GRID, StrategyName.RANDOM])
def test_the_last_of_a_thousand_experiments_costs_what_the_first_one_did(strategy: str) -> None:
    """Pitfall A4a: neither what comes next nor what is best looks at everything that was."""
    planner = Planner(plan_of(strategy, experiments=1000, max_parallel=4))
    assert planner.experiments == 1000
    seconds = []
    for number in range(1, 1001):
        began = time.thread_time()
        planned = planner.next()
        assert isinstance(planned, Planned)
        planner.record(row_of(number, planned))
        planner.record(row_of(number, planned, status=Status.SUCCESS, value=float(number), feasible=True))
        assert planner.best is not None
        seconds.append(time.thread_time() - began)
    assert statistics.median(seconds[-100:]) < 1.5 * statistics.median(seconds[:100])
