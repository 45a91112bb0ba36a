"""The results of a task: pages for nothing, one and many experiments, and the data of its charts."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

from tests.overview.measured import failed, measured
from tests.runner.factories import running
from tuning.models import Experiment, Task

pytestmark = pytest.mark.django_db

SPACE: dict[str, Any] = {"parameters": {"max-num-seqs": [16, 64], "kv-cache-dtype": ["auto", "fp8"]}}
PARTS = ("summary", "history", "points", "experiments")


def page(client: Client, task: Task) -> str:
    answer = client.get(reverse("task-results", args=[task.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def charts(client: Client, task: Task, **query: Any) -> Any:
    return client.get(f"{reverse('task-charts', args=[task.pk])}?{urlencode(query)}")


def some(task: Task, count: int) -> None:
    measured(task, 1, 100.0)
    for number in range(2, count + 1):
        measured(task, number, 100.0 + number, parameters={"max-num-seqs": 16, "kv-cache-dtype": "fp8"})


@pytest.mark.parametrize(
    ("status", "said", "asks"),
    [
        ("pending", "when the task is started", True),
        ("running", "by themselves", True),
        ("failed", "No experiment of this task has finished. No worker &lt;b&gt;", False),
    ],
)
def test_without_results_the_page_says_when_there_will_be_some(
    admin_client: Client, status: str, said: str, asks: bool
) -> None:
    task = running()
    Task.objects.filter(pk=task.pk).update(status=status, message="No worker <b>")
    text = page(admin_client, task)
    assert said in text
    assert ("part=first" in text) == asks
    assert "<canvas" not in text


def test_a_page_without_results_is_loaded_again_when_there_are_some(admin_client: Client) -> None:
    task = running()
    address = f"{reverse('task-results-part', args=[task.pk])}?part=first"
    assert admin_client.get(address).status_code == 204
    measured(task, 1, 5.0)
    assert admin_client.get(address).headers["HX-Refresh"] == "true"


def test_the_best_configuration_is_told_with_its_gain_and_its_command(admin_client: Client) -> None:
    task = running(**SPACE)
    measured(task, 1, 1000.0)
    measured(task, 2, 1850.0, parameters={"max-num-seqs": 64}, command_line="serve --name '<b>'")
    text = page(admin_client, task)
    assert "1,850" in text
    assert "1.85x" in text
    assert "baseline: 1,000 tokens/s/GPU" in text
    assert "measured once" in text
    assert "<code>max-num-seqs</code>" in text
    assert "serve --name &#x27;&lt;b&gt;&#x27;" in text
    assert "<b>" not in text
    assert "Simulated." in text


def test_a_best_that_was_measured_again_has_an_interval_and_ties(admin_client: Client) -> None:
    task = running(**SPACE)
    measured(task, 1, 10.0)
    for number, value in enumerate((100.0, 104.0), 2):
        measured(task, number, value, parameters_hash="a", replicate=number - 2)
    for number, value in enumerate((101.0, 102.0), 4):
        measured(task, number, value, parameters_hash="b", replicate=number - 4)
    text = page(admin_client, task)
    assert "95 % interval, 2 measurements" in text
    assert "A tie:" in text
    assert f'id="tied-4" href="{reverse("experiment", args=[task.pk, 4])}"' in text


@pytest.mark.parametrize("outcome", ["failed", "infeasible"])
def test_where_nothing_meets_the_slo_the_page_says_so(admin_client: Client, outcome: str) -> None:
    task = running(**SPACE)
    if outcome == "failed":
        failed(task, 1, is_baseline=True)
    else:
        measured(task, 1, 5.0, feasible=False)
    text = page(admin_client, task)
    assert "No configuration meets the SLO so far." in text
    assert ("The only experiment failed" if outcome == "failed" else "1 of 1 misses it") in text
    assert "Best configuration" not in text


@pytest.mark.parametrize("count", [1, 3])
def test_every_chart_has_its_finding_in_words_and_its_numbers_in_a_table(admin_client: Client, count: int) -> None:
    task = running(**SPACE)
    some(task, count)
    text = page(admin_client, task)
    canvases = re.findall(r"<canvas ([^>]*)>", text)
    assert len(canvases) == 4
    for canvas in canvases:
        attributes = dict(re.findall(r'([a-z-]+)="([^"]*)"', canvas))
        assert attributes["role"] == "img"
        assert attributes["aria-label"] in re.sub(r"<[^>]*>", "", text)
        assert f'id="{attributes["aria-describedby"]}"' in text
    assert text.count(reverse("experiment", args=[task.pk, 1])) >= 3


def test_a_name_of_a_parameter_or_a_reason_never_becomes_markup(admin_client: Client) -> None:
    task = running(**SPACE)
    Task.objects.filter(pk=task.pk).update(name="<script>alert(1)</script>")
    measured(task, 1, 5.0, feasible=False, missed=["<img src=x>"], parameters={"max-num-seqs": "<i>"})
    text = page(admin_client, task)
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "<i>" not in text


def test_the_number_of_queries_is_the_same_for_one_and_for_many(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    """Pitfall E1."""
    small, large = running(**SPACE), running(**{**SPACE, "name": "large"})
    some(small, 1)
    some(large, 60)
    for task in (small, large):
        with django_assert_max_num_queries(8):
            page(admin_client, task)
        for part in PARTS:
            with django_assert_max_num_queries(7):
                answer = admin_client.get(f"{reverse('task-results-part', args=[task.pk])}?part={part}")
            assert answer.status_code == 200


def test_tables_are_bounded_and_say_so(admin_client: Client) -> None:
    task = running(**SPACE)
    some(task, 102)
    text = page(admin_client, task)
    assert "the last 100 of 102" in text
    assert "Experiments by rank: 51 of 102" in text


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_the_one_that_the_page_shows(admin_client: Client, part: str) -> None:
    task = running(**SPACE)
    some(task, 3)
    answer = admin_client.get(f"{reverse('task-results-part', args=[task.pk])}?part={part}").content.decode()
    assert answer.strip() in page(admin_client, task)


@pytest.mark.parametrize("query", ["", "part=", "part=../etc", "part=first%00", "x=1"])
def test_an_odd_part_is_refused(admin_client: Client, query: str) -> None:
    """Pitfall E7b."""
    answer = admin_client.get(f"{reverse('task-results-part', args=[running().pk])}?{query}")
    assert answer.status_code == 400


def test_the_data_come_once_and_then_nothing_until_something_is_new(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    task = running(**SPACE)
    some(task, 3)
    first = charts(admin_client, task).json()
    assert [one["number"] for one in first["experiments"]] == [1, 2, 3]
    known = {"seen": first["version"], "since": first["latest"]}
    with django_assert_max_num_queries(4):
        idle = charts(admin_client, task, **known)
    assert (idle.status_code, idle.content) == (204, b"")
    measured(task, 9, 7.0)
    news = charts(admin_client, task, **known).json()
    assert 9 in [one["number"] for one in news["experiments"]]
    assert 1 not in [one["number"] for one in news["experiments"]]
    assert "metrics" not in news


def test_the_data_hold_no_number_that_json_does_not_know(admin_client: Client) -> None:
    task = running(**SPACE)
    row = measured(task, 1, 5.0)
    Experiment.objects.filter(pk=row.pk).update(value=float("inf"))

    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(charts(admin_client, task).content, parse_constant=refuse)
    assert admin_client.get(reverse("task-results", args=[task.pk])).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"seen": "x"}, {"seen": "1-2-running"}, {"seen": "9" * 99}, {"since": "nan"}, {"since": "inf"}, {"since": -1},
        {"since": "1e300"}, {"since": "yesterday"}, {"only": "points"},
    ],
)  # fmt: skip
def test_an_odd_cursor_is_refused(admin_client: Client, query: dict[str, Any]) -> None:
    """Pitfall E7b."""
    assert charts(admin_client, running(), **query).status_code == 400


@pytest.mark.parametrize("name", ["task-results", "task-charts", "task-results-part"])
def test_what_is_not_there_is_not_found(admin_client: Client, name: str) -> None:
    assert admin_client.get(f"{reverse(name, args=[999])}?part=summary").status_code == 404


@pytest.mark.parametrize("name", ["task-results", "task-charts", "task-compare", "task-csv", "task-json"])
def test_nobody_sees_results_without_signing_in(client: Client, name: str) -> None:
    """Pitfall D1."""
    assert client.get(reverse(name, args=[running().pk])).status_code == 302
