"""The lines of tasks: what can be done with each, what is found, and what their documents say without validation."""

from itertools import product
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.runner.factories import experiment, running, task
from tuning.models import Experiment, Task
from tuning.overview.actions import WORDS, possible, rule_of
from tuning.overview.tasks import MOST_CELLS, TaskLine, is_simulated, matching, task_lines, with_cells

pytestmark = pytest.mark.django_db

Status = Experiment.Status
FOUR: dict[str, Any] = {"max-num-seqs": [1, 2, 3, 4]}


@pytest.mark.parametrize(("status", "active"), list(product(Task.Status.values, [None, *Experiment.ACTIVE])))
def test_what_is_offered_is_what_the_rules_allow(status: str, active: str | None) -> None:
    one = task(FOUR)
    if active:
        experiment(one, 1, status=active)
    experiment(one, 2, status=Status.FAILED)
    Task.objects.update(status=status)
    (line,) = task_lines(Task.objects.all())
    allowed = [word for word in WORDS if Task.objects.filter(rule_of(word).rows).exists()]
    assert [action.word for action in line.actions] == allowed


def test_a_retry_is_offered_only_where_something_failed() -> None:
    one = task(FOUR)
    Task.objects.update(status=Task.Status.COMPLETED)
    one.refresh_from_db()
    assert "retry" not in [action.word for action in possible(one, running=0, failed=0)]
    assert "retry" in [action.word for action in possible(one, running=0, failed=1)]


def _line(**document: Any) -> TaskLine:
    """A line of a task whose document is this, whether a document can be so or not."""
    one = task(FOUR)
    Task.objects.filter(pk=one.pk).update(document=document, status=Task.Status.COMPLETED)
    return task_lines(Task.objects.filter(pk=one.pk))[0]


def test_a_document_from_another_time_still_has_a_line() -> None:
    line = _line(engine={"name": "an engine of old"}, model="a text", deployment=None)
    assert (line.engine, line.model, line.deployment, line.is_simulated) == ("an engine of old", "", "", False)
    assert line.total == 0
    assert line.said == "0 of 0 finished"


def test_only_engines_that_simulate_are_marked() -> None:
    assert is_simulated("simulated")
    assert not is_simulated("vllm")
    assert not is_simulated("")


def test_a_line_has_a_cell_for_each_experiment_and_a_place_for_each_that_is_to_come() -> None:
    one = running(parameters=FOUR)
    for number, (status, feasible) in enumerate(
        [("success", True), ("success", False), ("failed", None), ("benchmarking", None)], start=1
    ):
        experiment(one, number, status=status, feasible=feasible, value=1.0 if status == "success" else None)
    Task.objects.update(best=one.experiments.first())
    (line,) = with_cells([Task.objects.get()])
    looks = [(cell.number, cell.look, cell.is_best) for cell in line.cells]
    assert looks == [(1, "success", True), (2, "infeasible", False), (3, "failed", False), (4, "benchmarking", False)]
    assert len(line.rest) == 1
    assert line.said == "3 of 5 finished: 1 feasible, 1 infeasible, 1 failed, 1 running"


def test_the_parts_of_a_bar_are_as_long_as_their_shares() -> None:
    one = running(parameters={"max-num-seqs": {"min": 1, "max": 500}}, budget={"experiments": 2 * MOST_CELLS})
    for number in range(1, MOST_CELLS + 2):
        experiment(one, number, status=Status.FAILED if number % 2 else Status.CANCELLED)
    (line,) = with_cells([one])
    assert not line.cells
    assert not line.rest
    failed, cancelled = line.shares
    assert (failed.look, failed.start, failed.length) == ("failed", 0.0, round(100 * 31 / 120, 2))
    assert (cancelled.look, cancelled.start, cancelled.length) == ("cancelled", failed.length, 25.0)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", True),
        ("CHAT", True),
        ("chat simulated", True),
        ("llama-1b", True),
        ("50%", True),
        ("50_", False),
        ("chat vllm", False),
        ("\\", False),
        ("'; --", False),
        ("[0]", False),
    ],
)
def test_words_are_looked_for_in_name_engine_and_model(words: str, found: bool) -> None:
    """Pitfall D5a: whatever they hold is looked for as it is."""
    task(FOUR, name="Chat, 50% shorter")
    assert Task.objects.filter(matching(words)).exists() == found


def test_as_many_queries_for_many_lines_as_for_one() -> None:
    """Pitfall E1."""
    for number in range(5):
        experiment(running(parameters=FOUR, name=f"task {number}"), status=Status.SUCCESS, feasible=True)
    for tasks in (Task.objects.all()[:1], Task.objects.all()[:5]):
        with CaptureQueriesContext(connection) as queries:
            assert [line.said for line in with_cells(list(tasks))]
        assert len(queries) == 3
