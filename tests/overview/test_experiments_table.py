"""The table of a task's experiments: what it shows, and in which order."""

from typing import Any

import pytest
from django.http import QueryDict

from tests.runner.factories import experiment, running
from tuning.forms.experiments_table import ExperimentsTableForm
from tuning.models import Experiment, MeasurementRow, Task
from tuning.overview.experiments_table import ExperimentsTable, experiments_table, parameter_names, usual_parameters
from tuning.overview.progress import document_of
from tuning.overview.task import TASKS, counts_and_standing

pytestmark = pytest.mark.django_db

LATENCY = {"count": 8, "mean": 10.0, "p50": 10.0, "p90": 20.0, "p95": 25.0, "p99": 30.0}
COLUMNS: dict[str, Any] = {
    "scenario": "D(20,5)",
    "concurrency": 4,
    "window_s": 1.0,
    "completed": 8,
    "failed": 0,
    "output_tokens_per_s": 100.0,
    "input_tokens_per_s": 400.0,
    "requests_per_s": 8.0,
    "goodput_requests_per_s": 8.0,
}


def measured(row: Experiment, index: int = 0, **columns: Any) -> MeasurementRow:
    """A measurement of `row`."""
    return MeasurementRow.objects.create(experiment=row, index=index, **{**COLUMNS, **columns})


def success(task: Task, number: int, value: float | None = 1.0, **columns: Any) -> Experiment:
    """An experiment of `task` that was measured."""
    given = {"status": Experiment.Status.SUCCESS, "feasible": True, "value": value, "load_point": 0, "total_s": 60.0}
    return experiment(task, number, **{**given, **columns})


def table(task: Task, query: str = "") -> ExperimentsTable:
    """The table that the address shows."""
    row = TASKS.get(pk=task.pk)
    form = ExperimentsTableForm(QueryDict(query), document_of(row))
    assert form.is_valid(), form.errors
    return experiments_table(row, document_of(row), *counts_and_standing(row), form.choice)


def numbers(task: Task, query: str) -> list[int]:
    return [line.number for line in table(task, query).lines]


ODD: dict[str, Any] = {"a.b-c__d": [1, 2, 10], "env:MY__FLAG": ["x", "y"], "mixed": [True, None, "auto", 3]}


def odd_task() -> Task:
    """A task whose parameters have names that mean something to databases and to Django."""
    return running(parameters=ODD, engine={"name": "simulated", "allow_unknown_flags": True})


@pytest.mark.parametrize("name", ["a.b-c__d", "env:MY__FLAG"])
def test_parameters_of_any_name_can_be_sorted_by_and_what_is_absent_comes_last(name: str) -> None:
    one = odd_task()
    for number, value in enumerate([2, 10, 1, None], start=1):
        success(one, number, parameters={name: value, "other": 1})
    success(one, 5, parameters={})
    assert numbers(one, f"sort=parameter:{name}") == [3, 1, 2, 4, 5]
    assert numbers(one, f"sort=-parameter:{name}") == [2, 1, 3, 4, 5]


def test_texts_and_truths_are_sorted_too() -> None:
    one = odd_task()
    for number, value in enumerate(["fp8", "auto", "bf16"], start=1):
        success(one, number, parameters={"mixed": value})
    success(one, 4, parameters={"mixed": None})
    assert numbers(one, "sort=parameter:mixed") == [2, 3, 1, 4]
    other = running(parameters={"flag": [True, False]}, engine={"name": "simulated", "allow_unknown_flags": True})
    success(other, 1, parameters={"flag": True})
    success(other, 2, parameters={"flag": False})
    assert numbers(other, "sort=parameter:flag") == [2, 1]


def test_metrics_are_sorted_by_the_load_point_that_decided_or_by_the_chosen_one() -> None:
    one = running(workload={"concurrency": [1, 4]})
    for number, (first, second) in enumerate([(30.0, 1.0), (9.0, 20.0), (100.0, 5.0)], start=1):
        row = success(one, number, load_point=number % 2)
        measured(row, 0, ttft_ms={**LATENCY, "p99": first})
        measured(row, 1, ttft_ms={**LATENCY, "p99": second})
    experiment(one, 4, status=Experiment.Status.FAILED, reason="out_of_memory", message="no memory")
    assert numbers(one, "sort=ttft_ms.p99") == [1, 3, 2, 4]
    assert numbers(one, "sort=ttft_ms.p99&point=0") == [2, 1, 3, 4]
    assert numbers(one, "sort=-ttft_ms.p99&point=1") == [2, 3, 1, 4]
    shown = {line.number: line.figures[1:-1] for line in table(one, "metrics=ttft_ms.p99&point=1").lines}
    assert shown == {1: ("1.00",), 2: ("20.0",), 3: ("5.00",), 4: ("-",)}


def test_error_rates_and_values_by_gpu_are_sorted() -> None:
    one = running()
    for number, (done, failed, gpus) in enumerate([(8, 2, 1), (0, 0, 2), (8, 0, 4)], start=1):
        measured(success(one, number, gpus=gpus), completed=done, failed=failed)
    assert numbers(one, "sort=error_rate") == [3, 1, 2]
    assert numbers(one, "sort=-output_tokens_per_s/gpu") == [1, 2, 3]
    shown = table(one, "metrics=error_rate&metrics=output_tokens_per_s/gpu&sort=number")
    assert [line.figures[1:-1] for line in shown.lines] == [
        ("1", "20.0", "100.0"),
        ("2", "100", "50.00"),
        ("4", "0", "25.00"),
    ]
    assert [head.title for head in shown.figures[:2]] == ["x baseline", "GPUs"]


def test_a_load_point_that_failed_shows_nothing() -> None:
    one = running()
    measured(success(one, 1), reason="benchmark_failed", ttft_ms=LATENCY)
    measured(success(one, 2), ttft_ms=LATENCY)
    assert [line.figures[1:-1] for line in table(one, "metrics=ttft_ms.p50").lines] == [("10.0",), ("-",)]
    assert numbers(one, "sort=ttft_ms.p50") == [2, 1]


@pytest.mark.parametrize(
    ("state", "expected"),
    [("", [7, 6, 5, 4, 3, 2, 1]), ("feasible", [1]), ("infeasible", [2]), ("failed", [3]), ("running", [5, 4]),
     ("pending", [6]), ("cancelled", [7])],
)  # fmt: skip
def test_experiments_are_filtered_by_what_became_of_them(state: str, expected: list[int]) -> None:
    one = running()
    success(one, 1)
    success(one, 2, feasible=False, missed=["TTFT"])
    for number, status in enumerate(("failed", "deploying", "benchmarking", "pending", "cancelled"), start=3):
        experiment(one, number, status=status)
    shown = table(one, f"state={state}")
    assert [line.number for line in shown.lines] == expected
    assert {segment.state: segment.count for segment in shown.segments}[state] == len(expected)


def test_a_row_says_what_sets_its_experiment_apart() -> None:
    one = running(replicates=2)
    success(one, 1, 50.0, is_baseline=True, parameters_hash="base", parameters={})
    best = success(one, 2, 100.0, parameters_hash="a")
    success(one, 3, 102.0, parameters_hash="a", replicate=1)
    success(one, 4, 99.0, parameters_hash="b")
    success(one, 5, 103.0, parameters_hash="b", replicate=1)
    success(one, 6, 10.0, feasible=False, missed=["D(20,5) c=4: ttft_ms p99 900 (limit 500)"])
    experiment(one, 7, status="failed", reason="out_of_memory", message="No <b>memory</b>")
    Task.objects.filter(pk=one.pk).update(best=best, best_value=101.0, best_ratio=2.02)
    lines = {line.number: line for line in table(one).lines}
    assert [lines[number].marks for number in range(1, 6)] == [
        ("baseline",), ("best",), ("replicate 2",), ("tie with the best",), ("replicate 2",),
    ]  # fmt: skip
    assert [number for number, line in lines.items() if line.is_best] == [2]
    assert lines[2].figures[0] == "2.00x"
    assert "misses D(20,5) c=4" in lines[6].why.text
    assert (lines[7].reason, lines[7].why.text) == ("out of memory", "No <b>memory</b>")
    assert (lines[6].outcome, lines[7].outcome) == ("infeasible", "failed")


def test_the_first_parameters_are_columns_unless_others_are_chosen() -> None:
    many = {f"p{number}": [1, 2] for number in range(8)} | {"single": [5]}
    one = running(parameters=many, fixed={"kept": 1}, engine={"name": "simulated", "allow_unknown_flags": True})
    success(one, 1, parameters={"p7": "x" * 60, "kept": True})
    document = document_of(one)
    assert usual_parameters(document) == ("p0", "p1", "p2", "p3", "p4", "p5")
    assert parameter_names(document)[8] == "single"
    assert "kept" in parameter_names(document)
    assert [head.title for head in table(one).parameters] == ["p0", "p1", "p2", "p3", "p4", "p5"]
    (line,) = table(one, "columns=p7&columns=kept&columns=p0").lines
    assert [cell.text[:3] for cell in line.parameters] == ["xxx", "tru", "def"]
    assert len(line.parameters[0].text) < 60 == len(line.parameters[0].whole)


def test_pages_have_fifty_rows_and_the_last_one_stands_for_those_beyond() -> None:
    one = running()
    for number in range(1, 56):
        success(one, number, float(number))
    assert numbers(one, "") == list(range(55, 5, -1))
    assert numbers(one, "sort=value&page=2") == list(range(51, 56))
    assert numbers(one, "sort=number&page=99") == list(range(51, 56))


@pytest.mark.parametrize(
    "query",
    ["sort=nothing", "sort=parameter:nothing", "sort=parameter:", "state=odd", "page=0", "page=x", "point=7",
     "point=x", "columns=nothing", "metrics=nothing", "sort=%00", "page=99999999999999999999", "sort=--number"],
)  # fmt: skip
def test_what_means_nothing_is_an_error_of_its_field(query: str) -> None:
    form = ExperimentsTableForm(QueryDict(query), document_of(odd_task()))
    assert list(form.errors) == [query.partition("=")[0]]
