"""A task runs from its document to its best configuration, on real engine processes."""

import os
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from django.db import OperationalError

from tests.runner.factories import document, run, sections, task
from tuning.document.loading import load
from tuning.errors import ConflictError
from tuning.models import Experiment, LogLine, Task
from tuning.runner.experiment import results_folder
from tuning.runner.foreground import Progress, TaskRun
from tuning.runner.intake import submit
from tuning.runner.leases import Lease
from tuning.runner.results import TaskResults

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_task_measures_the_baseline_then_the_grid_in_order_and_keeps_everything() -> None:
    """Pitfalls A4b, A5, A18, A20, B13a: numbers, steps, durations, times and the parameters that really ran."""
    plan = sections({"simulate-time-scale": [0.02, 1.5], "max-num-seqs": [8, 16]}, workload={"concurrency": [2, 4]})
    del plan["search_space"]["fixed"]["simulate-time-scale"]
    one = submit(load(yaml.safe_dump(plan)).document)
    seen: list[Progress] = []
    began = datetime.now(UTC)

    experiments = run(one, progress=seen.append)

    assert one.status == Task.Status.COMPLETED
    assert one.message == "Every configuration of the search space was tried."
    assert [row.number for row in experiments] == [1, 2, 3, 4, 5]
    assert [row.is_baseline for row in experiments] == [True, False, False, False, False]
    assert experiments[0].parameters == plan["search_space"]["fixed"]
    varied = [(row.parameters["simulate-time-scale"], row.parameters["max-num-seqs"]) for row in experiments[1:]]
    assert varied == [(0.02, 8), (1.5, 8), (0.02, 16), (1.5, 16)]
    for row in experiments:
        _check_success(row, began)
    _check_best(TaskResults.of(one))
    _check_progress(seen)
    _check_log(one, began)


def _check_success(row: Experiment, began: datetime) -> None:
    assert (row.status, row.reason, row.attempt) == (Experiment.Status.SUCCESS, "", 1)
    assert row.value is not None
    assert row.value > 0
    assert row.feasible is True
    steps = [row.deploy_s, row.ready_s, row.benchmark_s, row.remove_s]
    assert all(step is not None and step >= 0 for step in steps)
    assert row.total_s is not None
    assert sum(step for step in steps if step) <= row.total_s
    assert began <= row.started_at <= row.finished_at <= datetime.now(UTC)
    measured = list(row.measurements.order_by("index"))
    assert [(one.index, one.concurrency, one.completed, one.failed) for one in measured] == [(0, 2, 8, 0), (1, 4, 8, 0)]
    assert all(one.ttft_ms["p50"] > 0 and one.output_tokens_per_s > 0 for one in measured)
    for name, value in row.parameters.items():
        assert row.command[row.command.index(f"--{name}") + 1] == str(value)
    assert results_folder(row).is_dir()


def _check_best(results: TaskResults) -> None:
    assert results.baseline == results.experiments[0]
    assert results.best in (results.experiments[1], results.experiments[3])
    ratio = results.ratio(results.best.value)
    assert ratio == pytest.approx(results.best.value / results.baseline.value)
    assert ratio > 1


def _check_progress(seen: list[Progress]) -> None:
    of_first = [progress.phase for progress in seen if progress.experiment.number == 1]
    assert of_first == ["deploying", "load 1/2 D(20,5) c=2", "load 2/2 D(20,5) c=4", "removing", "success"]
    assert all(progress.experiment.number <= progress.experiments == 5 for progress in seen)


def _check_log(one: Task, began: datetime) -> None:
    lines = list(LogLine.objects.filter(experiment__number=2, task=one))
    assert {line.source for line in lines} >= {"engine", "benchmark", "runner"}
    assert {line.level for line in lines} <= {"debug", "info", "warning", "error"}
    assert all(began <= line.at <= datetime.now(UTC) for line in lines)
    assert any("Application startup complete" in line.text for line in lines if line.source == "engine")
    assert [line.text for line in lines if line.source == "runner"][-1] == "success: done"
    assert LogLine.objects.filter(task=one, experiment=None, text__startswith="completed: ").count() == 1


def test_a_changed_document_is_a_new_run_with_none_of_the_old_results() -> None:
    """Pitfalls A2, A16b: results, counters and values of the old run stay with it."""
    first = task({"max-num-seqs": [8]})
    run(first)
    second = task({"max-num-seqs": [16]})
    assert (second.name, second.run, second.status) == (first.name, 2, Task.Status.PENDING)
    assert second.experiments.count() == 0
    experiments = run(second)
    assert [row.parameters.get("max-num-seqs") for row in experiments] == [None, 16]
    assert [row.parameters.get("max-num-seqs") for row in first.experiments.order_by("number")] == [None, 8]


def test_again_makes_a_new_run_of_a_task_that_has_ended_and_goes_on_with_one_that_has_not() -> None:
    """Pitfall A19c: the earlier results stay."""
    plan = document({"max-num-seqs": [8]})
    first = submit(plan)
    assert submit(plan, again=True) == first
    Task.objects.filter(pk=first.pk).update(status=Task.Status.COMPLETED)
    assert submit(plan) == first
    second = submit(plan, again=True)
    assert (second.run, second.status) == (2, Task.Status.PENDING)
    assert submit(plan) == second
    assert list(Task.objects.order_by("run")) == [first, second]


@pytest.mark.parametrize("change", [{"name": "another"}, {"baseline": False}, {"limits": {"stop_s": 3}}])
def test_any_change_of_the_document_makes_another_task(change: dict[str, Any]) -> None:
    """Pitfall A2: not only the search space counts."""
    assert task({"max-num-seqs": [8]}) != task({"max-num-seqs": [8]}, **change)


def test_two_configurations_with_one_command_line_run_once() -> None:
    """Pitfall B1a: null leaves the flag out, which is the baseline again."""
    experiments = run(task({"max-num-seqs": [None, 8]}))
    assert [row.parameters.get("max-num-seqs") for row in experiments] == [None, 8]


def test_a_defect_of_the_tuner_ends_one_experiment_and_the_engine() -> None:
    """Pitfall A18: reason, message, end and duration are written on this path too."""
    broken = task({"max-num-seqs": [8]})

    def fail_in_the_first(progress: Progress) -> None:
        if progress.experiment.number == 1 and progress.phase.startswith("load"):
            raise ZeroDivisionError("planted")

    first, second = run(broken, progress=fail_in_the_first)
    assert (first.status, first.reason) == (Experiment.Status.FAILED, "internal_error")
    assert "ZeroDivisionError: planted" in first.message
    assert first.finished_at is not None
    assert first.total_s is not None
    assert second.status == Experiment.Status.SUCCESS


@pytest.mark.parametrize("phase", ["deploying", "removing"])
def test_whatever_watches_the_progress_cannot_keep_an_engine_alive(phase: str) -> None:
    """Pitfall A6a: the fixture of this folder finds what is left."""

    def fail(progress: Progress) -> None:
        if progress.phase == phase:
            raise BrokenPipeError("planted")

    (only,) = run(task(), progress=fail)
    assert only.reason == "internal_error"


@pytest.mark.parametrize("column", ["deploy_s", "handle", "ready_s", "remove_s"])
def test_a_database_that_refuses_cannot_keep_an_engine_alive(column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disk full: whichever write fails, the engine is gone and the row says why."""
    write = Lease.write

    def fill_up(lease: Lease, **columns: Any) -> None:
        if column in columns:
            raise OperationalError("database or disk is full")
        write(lease, **columns)

    monkeypatch.setattr(Lease, "write", fill_up)
    (only,) = run(task())
    assert (only.status, only.reason) == (Experiment.Status.FAILED, "internal_error")
    assert "database or disk is full" in only.message


def test_replicates_of_finalists_are_measured_in_rounds() -> None:
    """Pitfall B10a: the best one and the baseline are measured again, and the answer has an interval."""
    one = task({"simulate-ttft-ms": [5000, 10000]}, replicates=2, finalists=1)
    experiments = run(one)
    assert [(row.number, row.replicate) for row in experiments[:3]] == [(1, 0), (2, 0), (3, 0)]
    again = [row for row in experiments if row.replicate == 1]
    assert {row.parameters_hash for row in again} >= {experiments[0].parameters_hash}
    results = TaskResults.of(one)
    assert results.result(results.best).half_width is not None


def test_a_task_that_is_being_run_is_not_run_twice() -> None:
    """Pitfalls A6b, A9b: refused in words, and the first run is not disturbed."""
    one = task()
    refusals: list[str] = []

    def second(progress: Progress) -> None:
        if progress.phase.startswith("load"):
            with pytest.raises(ConflictError) as refused:
                TaskRun(Task.objects.get(pk=one.pk)).run()
            refusals.append(str(refused.value))

    experiments = run(one, progress=second)
    assert len(refusals) == 1
    assert f"Task a task is being run by foreground {os.getpid()} on " in refusals[0]
    assert [row.status for row in experiments] == [Experiment.Status.SUCCESS]
    assert one.status == Task.Status.COMPLETED
