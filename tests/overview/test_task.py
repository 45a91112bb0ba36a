"""What the page of a task is made from: its document in words, its standing, its best, its progress."""

from typing import Any

import pytest

from tests.overview.test_experiments_table import LATENCY, measured, success
from tests.runner.factories import document, experiment, running, task, with_gpus
from tuning.models import Experiment, Task
from tuning.overview.actions import possible
from tuning.overview.best import Best, best_of
from tuning.overview.facts import facts
from tuning.overview.progress import document_of
from tuning.overview.standing import standing
from tuning.overview.task import TASKS, TaskNow, counts_and_standing, task_now
from tuning.runner.results import TaskResults

pytestmark = pytest.mark.django_db

Status = Experiment.Status


def now(one: Task) -> TaskNow:
    """The snapshot of a task as it is now."""
    row = TASKS.get(pk=one.pk)
    return task_now(row, *counts_and_standing(row))


def changed(one: Task, **columns: Any) -> Task:
    """The task with other columns."""
    Task.objects.filter(pk=one.pk).update(**columns)
    return TASKS.get(pk=one.pk)


def best(one: Task) -> Best:
    """The best configuration of a task that has one."""
    row = TASKS.get(pk=one.pk)
    found = best_of(row, document_of(row), standing(row, document_of(row)))
    assert found is not None
    return found


def test_a_document_is_told_in_words() -> None:
    one = document(
        {"max-num-seqs": [1, 2]},
        slo={"ttft_ms": {"p99": 500}, "min_requests_per_s": 2, "error_rate": 0.02},
        objective={"name": "minimize_ttft", "statistic": "p90"},
        budget={"experiments": 7, "wall_clock_s": 3600, "gpu_hours": 2.5},
        replicates=3,
        finalists=2,
        max_parallel=2,
        workload={"concurrency": [1, 2, 4, 8, 16]},
    )
    said = {fact.name: fact.items for fact in facts(one)}
    assert said["Objective"] == ("lowest TTFT p90, ms",)
    assert said["SLO"] == ("TTFT p99 at most 500 ms", "request rate at least 2 requests/s", "error rate at most 2 %")
    assert said["Load"][0] == "5 load points, D(20,5) c=1 to D(20,5) c=16"
    assert said["Budget"] == ("7 configurations", "1h 00m of work", "2.5 GPU-hours")
    assert said["Repetition"] == ("the best 2 are measured 3 times", "up to 2 at the same time")
    assert said["Strategy"] == ("grid over 1 parameter",)


def test_a_deployment_names_its_gpus() -> None:
    said = {fact.name: fact.items for fact in facts(document_of(with_gpus([0, 1])))}
    assert said["Deployment"] == ("process on the worker's machine, GPUs 0, 1",)
    assert said["Engine"][0] == "vLLM"


def test_a_standing_says_what_all_rows_together_say() -> None:
    one = running(replicates=2)
    values = {"base": (50.0, 51.0), "a": (100.0, 104.0), "b": (99.0, 103.0), "c": (60.0, 60.5)}
    number = 0
    for key, pair in values.items():
        for replicate, value in enumerate(pair):
            number += 1
            success(one, number, value, parameters_hash=key, replicate=replicate, is_baseline=key == "base")
    one = changed(one, best=one.experiments.get(number=3))
    results, stands = TaskResults.of(one), standing(one, document_of(one))
    assert stands.baseline == results.result(one.experiments.get(number=1))
    assert stands.best == results.ranking.best
    assert stands.tied == tuple(row.number for row in results.tied) == (5,)
    assert stands.ratio(101.0) == results.ratio(101.0) == 2.0


def test_a_baseline_that_failed_is_no_measure() -> None:
    one = running()
    experiment(one, 1, is_baseline=True, status=Status.FAILED, reason="engine_crashed")
    one = changed(one, best=success(one, 2))
    stands = standing(one, document_of(one))
    assert stands.baseline is not None
    assert stands.ratio(5.0) is None


def test_a_latency_is_judged_where_it_is_worst_and_a_throughput_where_it_decided() -> None:
    slo, load = {"ttft_ms": {"p99": 500}}, {"concurrency": [1, 4]}
    verdicts = {}
    for name in ("minimize_ttft", "maximize_throughput"):
        one = running(slo=slo, workload=load, objective={"name": name})
        row = success(one, 1, load_point=0)
        measured(row, 0, ttft_ms={**LATENCY, "p99": 100.0}, concurrency=1)
        measured(row, 1, ttft_ms={**LATENCY, "p99": 400.0})
        changed(one, best=row, best_value=1.0)
        verdicts[name] = next(item for item in best(one).slo if item.label == "TTFT p99")
    assert (verdicts["minimize_ttft"].measured, verdicts["minimize_ttft"].where) == ("400 ms", "D(20,5) c=4")
    assert (verdicts["maximize_throughput"].measured, verdicts["maximize_throughput"].where) == ("100 ms", "")


def test_a_floor_and_a_share_of_errors_are_told_with_their_limits() -> None:
    one = running(slo={"min_requests_per_s": 10, "error_rate": 0.05})
    row = success(one, 1)
    measured(row, requests_per_s=8.0, completed=99, failed=1)
    changed(one, best=row, best_value=1.0)
    said = {item.label: (item.measured, item.limit, item.met) for item in best(one).slo}
    assert said == {
        "request rate": ("8.00 requests/s", "≥ 10 requests/s", False),
        "error rate": ("1.00 %", "≤ 5 %", True),
    }


def test_only_what_differs_from_the_baseline_is_handed_over() -> None:
    one = running(parameters={"max-num-seqs": [8, 16], "kv-cache-dtype": [None, "fp8"]})
    fixed = one.document["search_space"]["fixed"]
    row = success(one, 2, parameters={**fixed, "max-num-seqs": 16, "kv-cache-dtype": None})
    changed(one, best=row, best_value=1.0)
    (difference,) = best(one).differences
    assert (difference.name, difference.baseline.text, difference.best.text) == ("max-num-seqs", "default", "16")


@pytest.mark.parametrize(
    ("columns", "rows", "line"),
    [
        ({"status": "pending"}, (), "Not started yet; it will be up to 4 experiments"),
        ({}, (), "0 of 4 experiments have finished; the next one is being chosen"),
        ({}, ("pending",), "0 of 4 experiments have finished; the next one waits for a free slot"),
        ({}, ("failed", "deploying"), "Experiment 2 of 4: deploying"),
        ({"status": "paused"}, ("failed",), "1 of 4 experiments have finished"),
        ({"status": "cancelled"}, ("failed", "cancelled"), "after 1 of 4 experiments"),
        ({"status": "failed"}, ("failed",), "after 1 experiment"),
    ],
)
def test_the_line_says_how_far_a_task_is(columns: dict[str, Any], rows: tuple[str, ...], line: str) -> None:
    one = running(parameters={"max-num-seqs": [1, 2, 3]})
    for number, status in enumerate(rows, start=1):
        experiment(one, number, status=status)
    changed(one, **columns)
    assert now(one).line == line


def test_each_experiment_has_a_cell_and_those_to_come_too() -> None:
    one = running(parameters={"max-num-seqs": [1, 2, 3]})
    changed(one, best=success(one, 1))
    experiment(one, 2, status=Status.FAILED)
    squares = now(one).squares
    assert [(square.number, square.look, square.is_best) for square in squares] == [
        (1, "success", True), (2, "failed", False), (0, "planned", False), (0, "planned", False),
    ]  # fmt: skip


def test_time_passes_in_minutes_while_it_passes_and_exactly_afterwards() -> None:
    one = running()
    changed(one, worked_s=119.0)
    assert now(one).spent.worked_s == 60.0
    changed(one, status=Task.Status.COMPLETED)
    assert now(one).spent.worked_s == 119.0


def test_gpu_hours_are_told_where_gpus_are_real_or_counted() -> None:
    one = with_gpus()
    experiment(one, 1, status=Status.FAILED, spent_s=1800.0, gpus=4)
    assert now(one).spent.gpu_hours == 2.0
    assert now(running()).spent.gpu_hours is None


@pytest.mark.parametrize(
    ("status", "active", "failed", "words"),
    [
        ("pending", 0, 0, ["start", "cancel", "delete"]),
        ("running", 1, 1, ["pause", "cancel"]),
        ("paused", 1, 1, ["resume", "cancel"]),
        ("paused", 0, 1, ["resume", "retry", "cancel", "delete"]),
        ("cancelled", 1, 0, []),
        ("cancelled", 0, 0, ["resume", "restart", "delete"]),
        ("completed", 0, 2, ["retry", "restart", "delete"]),
    ],
)
def test_what_can_be_done_follows_from_the_state(status: str, active: int, failed: int, words: list[str]) -> None:
    one = task()
    one.status = status
    assert [action.word for action in possible(one, running=active, failed=failed)] == words
