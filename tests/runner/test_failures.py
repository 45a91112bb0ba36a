"""What a failure is, and what it is not: never the best, never without a reason, never without an end."""

import time
from typing import Any

import psutil
import pytest

from tests.runner.factories import run, task
from tuning.document.goals import ObjectiveName
from tuning.models import Experiment, LogLine, Task
from tuning.runner.foreground import Progress
from tuning.runner.results import TaskResults

pytestmark = pytest.mark.django_db(transaction=True)

SLO = {"ttft_ms": {"p90": 5000}}


@pytest.mark.parametrize("objective", list(ObjectiveName))
def test_a_crash_is_never_the_best(objective: ObjectiveName) -> None:
    """Pitfalls B4, B5a, B5b, B7: every objective runs to its end with a real engine beside one that crashes."""
    one = task({"simulate-failure": ["crash-at-start"]}, objective={"name": objective.value}, slo=SLO)
    measured, crashed = run(one)
    assert (measured.status, crashed.status) == (Experiment.Status.SUCCESS, Experiment.Status.FAILED)
    assert measured.value is not None
    assert measured.value > 0
    assert (crashed.value, crashed.feasible, crashed.violations) == (None, None, [])
    assert crashed.reason == "engine_crashed"
    assert crashed.message
    results = TaskResults.of(one)
    assert results.best == measured
    assert [result.key for result in results.ranking.ordered] == [measured.parameters_hash]
    assert one.status == Task.Status.COMPLETED


def test_a_task_in_which_everything_fails_has_failed() -> None:
    """Pitfalls A18, B18: no best, and the reason in words."""
    one = task({"max-num-seqs": [4]}, fixed={"simulate-failure": "crash-at-start"})
    rows = run(one)
    assert [row.reason for row in rows] == ["engine_crashed"] * 2
    assert all(row.finished_at and row.total_s is not None for row in rows)
    assert (one.status, TaskResults.of(one).best) == (Task.Status.FAILED, None)
    assert one.message.startswith("No experiment succeeded.")
    assert one.finished_at is not None


def test_failures_in_a_row_end_the_task() -> None:
    """Pitfall B7: only those in a row count, and the limit is named."""
    parameters = {"simulate-failure": ["crash-at-start"], "max-num-seqs": [2, 4, 8, 16]}
    one = task(parameters, budget={"max_failures": 2})
    rows = run(one)
    assert [row.status for row in rows] == ["success", "failed", "failed"]
    assert (one.status, one.message) == (Task.Status.FAILED, "2 experiments failed one after another.")


def test_the_budget_counts_configurations_with_the_baseline() -> None:
    """Pitfall A5: the number that was announced is the number that ran."""
    one = task({"max-num-seqs": [2, 4, 8, 16]}, budget={"experiments": 2})
    assert len(run(one)) == 2
    assert one.message == "The budget of 2 configurations is used up."


def test_a_server_that_fails_many_requests_quickly_does_not_win() -> None:
    """Pitfall B9b."""
    one = task({"simulate-error-rate": [0.3]}, workload={"requests": 20})
    healthy, failing = run(one)
    assert failing.status == Experiment.Status.SUCCESS
    assert failing.measurements.get().failed > 2
    assert failing.feasible is False
    assert any("error" in item for item in failing.missed)
    assert TaskResults.of(one).best == healthy


HANG = {"simulate-failure": "hang-under-load", "simulate-failure-after": 2}


@pytest.mark.parametrize(
    ("fixed", "limit", "reason", "words"),
    [
        ({"simulate-failure": "hang-at-start"}, {"ready_s": 1}, "startup_timeout", "not ready after 1 s"),
        (HANG, {"experiment_s": 3}, "experiment_timeout", "limits.experiment_s 3"),
        (HANG, {"load_point_s": 1}, "load_point_timeout", "limits.load_point_s"),
        ({"simulate-failure": "startup-oom"}, {}, "out_of_memory", "memory"),
        ({"simulate-failure": "crash-under-load"}, {}, "engine_crashed", ""),
    ],
    ids=["ready_s", "experiment_s", "load_point_s", "startup-oom", "crash-under-load"],
)
def test_every_limit_and_every_failure_has_a_reason_of_its_own(
    fixed: dict[str, Any], limit: dict[str, float], reason: str, words: str
) -> None:
    """Pitfalls A7, A8, A18: the limit that fired is named, within seconds, and nothing is left."""
    fixed = {"simulate-failure-after": 2, **fixed}
    one = task(fixed=fixed, workload={"seconds": 1}, limits={"stop_s": 1, **limit})
    began = time.monotonic()
    (row,) = run(one)
    assert time.monotonic() - began < 30
    assert (row.status, row.reason) == (Experiment.Status.FAILED, reason)
    assert words in row.message
    assert row.value is None
    assert row.finished_at is not None
    assert row.total_s is not None
    assert LogLine.objects.filter(experiment=row, source="runner", level="error", text__contains=words).exists()


def test_the_wall_clock_budget_ends_a_running_experiment_and_the_task() -> None:
    """Pitfall A8: within seconds, and in words."""
    one = task(fixed=HANG, budget={"wall_clock_s": 2})
    began = time.monotonic()
    (row,) = run(one)
    assert 2 <= time.monotonic() - began < 30
    assert row.status == Experiment.Status.CANCELLED
    assert "wall-clock budget" in row.message
    assert one.status == Task.Status.FAILED
    assert "The wall-clock budget of 2 s is used up." in one.message


def test_no_descriptor_of_an_experiment_stays_open() -> None:
    """Pitfall A12b: what is open after twenty short experiments was open after the first few."""
    one = task(
        {"max-num-seqs": {"min": 1, "max": 19}},
        fixed={"simulate-failure": "crash-at-start"},
        budget={"max_failures": 99},
    )
    descriptors: list[int] = []

    def look(now: Progress) -> None:
        if now.phase == "failed":
            descriptors.append(psutil.Process().num_fds())

    assert len(run(one, progress=look)) == 20
    # The least of several looks: a thread may just have a connection to the database that it closes in a moment.
    assert min(descriptors[15:]) <= min(descriptors[5:10])
