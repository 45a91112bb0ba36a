"""Experiments of a task side by side."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.overview.measured import failed, measured, measurement
from tests.runner.factories import running
from tuning.models import Task
from tuning.overview.comparison import compare

pytestmark = pytest.mark.django_db

SPACE: dict[str, Any] = {"parameters": {"max-num-seqs": [16, 64], "kv-cache-dtype": ["auto", "fp8"]}}


def answer(client: Client, task: Task, query: str) -> Any:
    return client.get(f"{reverse('task-compare', args=[task.pk])}?{query}")


def two(task: Task) -> None:
    measured(task, 1, 1000.0, parameters={"block-size": 16})
    measured(task, 2, 1250.0, parameters={"block-size": 16, "max-num-seqs": 64}, total_s=30.0)


def test_parameters_that_differ_come_before_those_that_are_equal(admin_client: Client) -> None:
    task = running(**SPACE)
    two(task)
    text = answer(admin_client, task, "experiment=1&experiment=2").content.decode()
    assert text.index("<code>max-num-seqs</code>") < text.index("1 parameter that is equal") < text.index("block-size")
    assert "<strong>64</strong>" in text


def test_the_better_one_is_told_in_words_and_by_how_much(admin_client: Client) -> None:
    """Pitfall E5b: in the metric's own direction."""
    task = running(**SPACE)
    two(task)
    comparison = compare(task, [1, 2])
    throughput = comparison.objective.cells
    assert [(cell.value, cell.percent, cell.word, cell.is_best) for cell in throughput] == [
        (1000.0, None, "", False),
        (1250.0, 25.0, "better", True),
    ]
    by_title = {line.title: line.cells[1] for line in comparison.loads[0].lines}
    assert (by_title["TTFT p50"].word, by_title["output throughput"].word) == ("worse", "better")
    assert {line.title: line.cells[1].word for line in comparison.steps}["total"] == "better"
    assert [column.ratio for column in comparison.columns] == [1.0, 1.25]
    text = re.sub(r"\s+", " ", answer(admin_client, task, "experiment=1&experiment=2").content.decode())
    assert "+25.0 % better" in text
    assert "1.25x" in text


def test_the_first_experiment_is_what_the_others_are_compared_with(admin_client: Client) -> None:
    task = running(**SPACE)
    two(task)
    text = answer(admin_client, task, "experiment=2&experiment=1").content.decode()
    assert text.index("Experiment 1</a>") < text.index("Experiment 2</a>")
    assert "+25.0 % better" in text


def test_by_gpu_where_configurations_differ_in_their_gpus() -> None:
    task = running(**SPACE)
    measured(task, 1, 1000.0)
    measured(task, 2, 900.0, gpus=2)
    lines = {line.title: line for line in compare(task, [1, 2]).loads[0].lines}
    assert lines["output throughput"].cells[1].word == "better"
    assert lines["output throughput per GPU"].cells[1].word == "worse"


def test_one_that_failed_stands_beside_one_that_did_not(admin_client: Client) -> None:
    task = running(**SPACE)
    measured(task, 1, 1000.0)
    failed(task, 2, message="no memory for <b>")
    text = answer(admin_client, task, "experiment=1&experiment=2").content.decode()
    assert "no memory for &lt;b&gt;" in text
    assert "better" not in text


def test_a_load_point_that_failed_has_no_numbers() -> None:
    task = running(**SPACE)
    measured(task, 1, 1000.0)
    row = measured(task, 2, 1000.0, points=0)
    measurement(row, 0, concurrency=4, reason="benchmark_failed")
    assert {line.cells[1].value for line in compare(task, [1, 2]).loads[0].lines} == {None}


def test_two_that_were_not_measured_have_no_load_points() -> None:
    task = running(**SPACE)
    failed(task, 1)
    failed(task, 2)
    assert compare(task, [1, 2]).loads == ()


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "two to 5"),
        ("experiment=1", "two to 5"),
        ("experiment=1&experiment=1", "two to 5"),
        ("&".join(f"experiment={number}" for number in range(1, 7)), "two to 5"),
        ("experiment=1&experiment=x", "is the number"),
        ("experiment=1&experiment=-2", "is the number"),
        ("experiment=1&experiment=0", "is the number"),
        ("experiment=1&experiment=²", "is the number"),
        ("experiment=1&experiment=99999999999999999999", "is the number"),
        ("experiment=1&experiment=2%00", "is the number"),
        ("experiment=1&experiment=77", "no experiment 77"),
    ],
)
def test_odd_choices_are_refused_in_words(admin_client: Client, query: str, reason: str) -> None:
    """Pitfall E7b."""
    task = running(**SPACE)
    two(task)
    refused = answer(admin_client, task, query)
    assert refused.status_code == 400
    assert reason in refused.content.decode()


def test_the_experiments_of_another_task_are_not_compared(admin_client: Client) -> None:
    mine, other = running(**SPACE), running(**SPACE, name="other")
    two(mine)
    measured(other, 1, 5.0)
    assert answer(admin_client, other, "experiment=1&experiment=2").status_code == 400


def test_the_number_of_queries_does_not_grow(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    task = running(**SPACE, workload={"concurrency": [1, 2, 4, 8]})
    for number in range(1, 6):
        measured(task, number, 100.0 + number)
    for query in ("experiment=1&experiment=2", "&".join(f"experiment={number}" for number in range(1, 6))):
        with django_assert_max_num_queries(6):
            assert answer(admin_client, task, query).status_code == 200
