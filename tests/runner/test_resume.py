"""A task that was stopped goes on as if it had never been: nothing lost, nothing twice, the same order."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tests.runner.factories import cancel_when, document, experiment, run, snapshot, task
from tuning.deployers.base import DeployRequest, Owner
from tuning.deployers.local import LocalDeployer
from tuning.document.goals import StrategyName
from tuning.document.task import TaskDocument
from tuning.engines.registry import engine_for
from tuning.models import Experiment, Task
from tuning.runner.foreground import Progress
from tuning.runner.instance import instance_id
from tuning.runner.intake import submit
from tuning.runner.planner import Planned, Planner

pytestmark = pytest.mark.django_db(transaction=True)


def _loading(number: int) -> Callable[[Progress], bool]:
    return lambda now: now.experiment.number == number and now.phase.startswith("load")


def _after(number: int) -> Callable[[Progress], bool]:
    return lambda now: now.experiment.number == number and now.phase == "success"


@pytest.mark.parametrize(
    ("reached", "unfinished"), [(_loading(3), 1), (_after(2), 0), (lambda now: now.phase == "deploying", 1)]
)
def test_a_cancelled_task_goes_on_where_it_stopped(reached: Callable[[Progress], bool], unfinished: int) -> None:
    """Pitfalls A1, A3, A6a, B13b: while loading, between two experiments, and before the first engine."""
    one = task({"max-num-seqs": [4, 8, 16]})
    rows = run(one, **cancel_when(reached))
    assert one.status == Task.Status.CANCELLED
    finished = snapshot(one)
    cancelled = [row for row in rows if row.status == Experiment.Status.CANCELLED]
    assert len(rows) == len(finished) + unfinished
    assert len(cancelled) == unfinished
    assert all(row.value is None and row.finished_at and row.total_s is not None for row in cancelled)

    rows = run(one)

    assert one.status == Task.Status.COMPLETED
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert [row.parameters.get("max-num-seqs") for row in rows] == [None, 4, 8, 16]
    assert snapshot(one)[: len(finished)] == finished
    assert [row.status for row in rows] == [Experiment.Status.SUCCESS] * 4
    assert [row.attempt for row in rows if row.attempt != 1] == [2] * unfinished


def test_a_cancelled_run_tells_why_and_starts_nothing_further() -> None:
    """Pitfall A6a: the end does not overwrite `cancelled`."""
    one = task({"max-num-seqs": [4]})
    (only,) = run(one, **cancel_when(_loading(1)))
    assert (only.status, only.reason) == (Experiment.Status.CANCELLED, "cancelled")
    assert (one.status, one.message) == (Task.Status.CANCELLED, "Cancelled.")


@pytest.mark.parametrize("known", ["its process", "only its marks"])
def test_the_engine_of_an_interrupted_attempt_is_removed_first(known: str) -> None:
    """Pitfalls A9c, A10: a row that looks active, and an engine that still runs, are of a process that is gone."""
    one = task()
    row = _interrupted(one)
    handle = _left_running(one, row)
    if known == "only its marks":
        handle = dict(LocalDeployer().handle_of(Owner(instance_id(), one.pk, row.pk, row.attempt)))
    Experiment.objects.filter(pk=row.pk).update(handle=handle)
    (row,) = run(one)
    assert (row.status, row.attempt) == (Experiment.Status.SUCCESS, 2)


def _interrupted(one: Task) -> Experiment:
    """The row of a baseline as a process that was killed leaves it."""
    planned = Planner(one.task_document).next()
    assert isinstance(planned, Planned)
    columns = dataclasses.asdict(planned)
    return experiment(one, status=Experiment.Status.BENCHMARKING, attempt=1, claim="dead", **columns)


def _left_running(one: Task, row: Experiment) -> dict[str, Any]:
    plan = one.task_document
    owner = Owner(instance_id(), one.pk, row.pk, row.attempt)
    request = DeployRequest(owner, plan, engine_for(plan.engine.name), dict(plan.search_space.fixed))
    deployment = LocalDeployer().deploy(request, log=lambda level, text: None, stop=lambda: None)
    return dict(deployment.handle)


@dataclasses.dataclass
class _Life:
    """A task of which each experiment has an outcome that follows from its parameters."""

    plan: TaskDocument
    one: Task

    def go_on(self, planner: Planner, most: int) -> list[dict[str, Any]]:
        """What the next experiments are, at most so many."""
        made: list[dict[str, Any]] = []
        while len(made) < most and isinstance(planned := planner.next(), Planned):
            columns = {name: getattr(planned, name) for name in ("parameters", "parameters_hash", "replicate")}
            row = experiment(self.one, self.one.experiments.count() + 1, is_baseline=planned.is_baseline, **columns)
            planner.record(row)
            self._finish(row)
            planner.record(row)
            made.append({**columns, "is_baseline": planned.is_baseline})
        return made

    def _finish(self, row: Experiment) -> None:
        sequences, tokens = (row.parameters.get(name, 7) for name in ("max-num-seqs", "max-num-batched-tokens"))
        failed = sequences == 3
        row.status = Experiment.Status.FAILED if failed else Experiment.Status.SUCCESS
        row.value = None if failed else 100.0 * sequences + tokens / 64 + row.replicate
        row.feasible = None if failed else tokens < 2048
        row.violations = [] if failed else [tokens / 2048 - 1]
        row.save()


@pytest.mark.parametrize("stop_at", [1, 2, 5, 8])
@pytest.mark.parametrize(
    "repeats", [{}, {"replicates": 2}, {"replicates": 2, "finalists": 2}], ids=["once", "twice", "finalists"]
)
@pytest.mark.parametrize("strategy", [name.value for name in StrategyName])
def test_an_interrupted_search_visits_the_same_configurations_in_the_same_order(
    strategy: str, repeats: dict[str, int], stop_at: int
) -> None:
    """Pitfalls A1, A3, B13: the strategy is rebuilt from the rows that the database gives back."""
    plan = document(
        {"max-num-seqs": {"min": 1, "max": 6}, "max-num-batched-tokens": [512, 1024, 2048]},
        strategy={"name": strategy, "seed": 7, "initial_random": 3},
        budget={"experiments": 9},
        **repeats,
    )
    whole = _Life(plan, submit(plan))
    uninterrupted = whole.go_on(Planner(plan), 99)
    plan_again = plan.model_copy(update={"name": "interrupted"})
    parts = _Life(plan_again, submit(plan_again))
    made = parts.go_on(Planner(plan_again), stop_at)
    made += parts.go_on(Planner(plan_again, parts.one.experiments.order_by("number")), 99)
    assert made == uninterrupted
    assert len({(one["parameters_hash"], one["replicate"]) for one in made}) == len(made)
