"""The data of a task's charts: everything once, then what is new, and only real numbers."""

import json
import math
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.overview.measured import failed, finished, latency, measured, measurement
from tests.runner.factories import experiment, running, task
from tuning.document.goals import SLO
from tuning.models import Experiment, MeasurementRow, Task
from tuning.overview import charts, results
from tuning.overview.charts import Seen, chart_data
from tuning.overview.findings import NOTHING
from tuning.runner import lifecycle

pytestmark = pytest.mark.django_db

PARAMETERS: dict[str, Any] = {
    "max-num-seqs": [None, 16, 64],
    "gpu-memory-utilization": {"min": 0.5, "max": 0.9},
    "max-num-batched-tokens": {"min": 512, "max": 8192, "log": True},
    "block-size": [16],
}
SPACE: dict[str, Any] = {"parameters": PARAMETERS, "strategy": {"name": "random"}}


class Browser:
    """Keeps what it is sent as static/js/charts.js does."""

    def __init__(self, task: Task, *, points: bool = True) -> None:
        self.task, self.points = task, points
        self.known: dict[int, dict[str, Any]] = {}
        self.head: dict[str, Any] = {}
        self.sent: list[int] = []

    def ask(self) -> bool:
        """Whether there was anything new."""
        self.task.refresh_from_db()
        news = chart_data(self.task, Seen(self.head.get("version", ""), self.head.get("latest")), points=self.points)
        if news is None:
            return False
        news = json.loads(json.dumps(news, allow_nan=False))
        if news["reset"]:
            self.known.clear()
        self.sent = [one["number"] for one in news["experiments"]]
        self.known |= {one["number"]: one for one in news["experiments"]}
        self.head |= news
        return True

    def value(self, number: int, key: str, point: int = 0) -> Any:
        """What is drawn of a load point by a metric."""
        keys = [metric["key"] for metric in self.head["metrics"]]
        return self.known[number]["points"][point][2 + keys.index(key)]


def test_a_task_without_experiments_has_empty_charts() -> None:
    """Pitfall E5a."""
    one = Browser(running())
    assert one.ask()
    assert (one.known, one.head["best"], one.head["baseline"], one.head["finished"]) == ({}, None, None, False)
    assert one.head["findings"]["history"] == NOTHING
    assert not one.ask()


def test_one_experiment_is_drawn_with_its_value_and_its_load_points() -> None:
    browser = Browser(running(**SPACE))
    measured(browser.task, 1, 1200.0)
    browser.ask()
    row = browser.known[1]
    assert (row["outcome"], row["baseline"], row["value"], row["decided"]) == ("feasible", True, 1200.0, 0)
    assert browser.value(1, "output_tokens_per_s") == 1200.0
    assert browser.value(1, "ttft_ms.p50") == 45.9
    assert row["at"] == ["default", None, None]
    assert browser.head["findings"]["history"].startswith("Best 1,200 tokens/s/GPU in experiment 1, the baseline;")


def test_every_parameter_that_varies_has_an_axis_of_its_kind() -> None:
    browser = Browser(running(**SPACE))
    measured(browser.task, 1, 1.0, parameters={"max-num-seqs": 64, "gpu-memory-utilization": 0.7})
    browser.ask()
    assert browser.head["parameters"] == [
        {"name": "max-num-seqs", "kind": "category", "values": ["default", "16", "64"], "ends": None},
        {"name": "gpu-memory-utilization", "kind": "linear", "values": [], "ends": [0.5, 0.9]},
        {"name": "max-num-batched-tokens", "kind": "log", "values": [], "ends": [512, 8192]},
    ]
    assert browser.known[1]["at"] == ["64", 0.7, None]


def test_a_long_list_of_numbers_stands_on_an_axis_of_numbers() -> None:
    browser = Browser(running(parameters={"max-num-seqs": list(range(1, 40))}))
    browser.ask()
    assert browser.head["parameters"][0]["kind"] == "linear"


def test_each_experiment_comes_once_and_nothing_comes_where_nothing_is_new() -> None:
    browser = Browser(running())
    for number in range(1, 6):
        measured(browser.task, number, 100.0 * number)
        assert browser.ask()
        assert not browser.ask()
        assert sorted(browser.known) == list(range(1, number + 1))
    assert browser.sent == [3, 4, 5]


def test_one_that_commits_late_with_an_earlier_time_is_not_lost() -> None:
    browser = Browser(running())
    measured(browser.task, 1, 1.0)
    measured(browser.task, 3, 3.0)
    browser.ask()
    measured(browser.task, 2, 2.0, finished_at=finished(2).replace(second=59))
    assert browser.ask()
    assert sorted(browser.known) == [1, 2, 3]


def test_a_retry_takes_what_is_stale_away() -> None:
    browser = Browser(task())
    Task.objects.filter(pk=browser.task.pk).update(status=Task.Status.COMPLETED)
    measured(browser.task, 1, 100.0)
    failed(browser.task, 2)
    browser.ask()
    assert (browser.known[2]["outcome"], browser.head["finished"]) == ("failed", True)
    lifecycle.retry(Task.objects.get(pk=browser.task.pk), lambda _: None)
    assert browser.ask()
    assert (sorted(browser.known), browser.head["finished"]) == ([1], False)
    row = browser.task.experiments.get(number=2)
    Experiment.objects.filter(pk=row.pk).update(
        status=Experiment.Status.SUCCESS, value=7.0, feasible=True, finished_at=finished(9)
    )
    assert browser.ask()
    assert (browser.known[2]["outcome"], browser.known[2]["value"]) == ("feasible", 7.0)


def test_a_reset_takes_everything_away() -> None:
    browser = Browser(task())
    Task.objects.filter(pk=browser.task.pk).update(status=Task.Status.COMPLETED)
    measured(browser.task, 1, 100.0)
    browser.ask()
    lifecycle.reset(Task.objects.get(pk=browser.task.pk))
    assert browser.ask()
    assert browser.known == {}


def test_the_end_of_the_task_is_told() -> None:
    browser = Browser(running())
    measured(browser.task, 1, 100.0)
    browser.ask()
    Task.objects.filter(pk=browser.task.pk).update(status=Task.Status.CANCELLED)
    row = experiment(browser.task, 2, status=Experiment.Status.BENCHMARKING)
    assert browser.ask()
    assert not browser.head["finished"]
    Experiment.objects.filter(pk=row.pk).update(status=Experiment.Status.CANCELLED)
    assert browser.ask()
    assert browser.head["finished"]


@pytest.mark.parametrize("odd", [math.inf, -math.inf])
def test_what_is_no_finite_number_is_not_drawn(odd: float) -> None:
    """Pitfall E5a. A database keeps no NaN as a number; it may keep infinities."""
    browser = Browser(running())
    row = measured(browser.task, 1, 5.0)
    Experiment.objects.filter(pk=row.pk).update(value=odd, total_s=odd)
    MeasurementRow.objects.update(output_tokens_per_s=odd, ttft_ms=None, tpot_ms={"count": 1, "p50": "fast"})
    assert browser.ask()
    assert (browser.known[1]["value"], browser.known[1]["seconds"]) == (None, None)
    assert browser.value(1, "output_tokens_per_s") is None
    assert browser.value(1, "ttft_ms.p50") is None
    assert browser.value(1, "tpot_ms.p50") is None


def test_a_load_point_that_failed_is_not_drawn() -> None:
    browser = Browser(running())
    row = measured(browser.task, 1, 5.0, points=0)
    measurement(row, 0, concurrency=4, reason="benchmark_failed")
    browser.ask()
    assert browser.known[1]["points"] == []


def test_a_load_point_tells_whether_it_keeps_the_slo() -> None:
    slo = SLO(ttft_ms={"p99": 200}).model_dump(exclude_defaults=True)
    browser = Browser(running(slo=slo, workload={"concurrency": [1, 4]}))
    row = measured(browser.task, 1, 5.0, points=1)
    measurement(row, 1, concurrency=4, ttft_ms=latency(90.0))
    browser.ask()
    assert [point[1] for point in browser.known[1]["points"]] == [1, 0]
    assert browser.head["limits"] == {"ttft_ms.p99": 200.0, "error_rate": 1.0}


def test_rates_are_given_by_gpu_too() -> None:
    browser = Browser(running())
    measured(browser.task, 1, 100.0, gpus=4)
    browser.ask()
    assert browser.value(1, "output_tokens_per_s") == 400.0
    assert browser.value(1, "output_tokens_per_s/gpu") == 100.0


def test_replicates_tell_of_which_configuration_they_are() -> None:
    browser = Browser(running())
    measured(browser.task, 1, 100.0)
    measured(browser.task, 2, 120.0, parameters_hash="a")
    measured(browser.task, 3, 100.0, parameters_hash="a", replicate=1)
    browser.ask()
    assert [browser.known[number]["configuration"] for number in (1, 2, 3)] == [1, 2, 2]
    assert browser.head["best"] == {"number": 2, "value": 110.0}


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        (["failed"], "No configuration meets the SLO; 1 experiment finished, 1 failed."),
        (["infeasible", "infeasible"], "No configuration meets the SLO; 2 of 2 miss the SLO."),
        (["feasible", "infeasible", "failed"], "1 of 3 misses the SLO, 1 failed."),
        (["feasible"], "1 experiment finished, all within the SLO."),
    ],
)
def test_the_sentence_of_the_chart_says_how_many_do_not_count(outcomes: list[str], said: str) -> None:
    browser = Browser(running(**SPACE))
    for number, outcome in enumerate(outcomes, 1):
        if outcome == "failed":
            failed(browser.task, number)
        else:
            measured(browser.task, number, 100.0, feasible=outcome == "feasible")
    browser.ask()
    assert browser.head["findings"]["history"].endswith(said)
    assert all(browser.head["findings"].values())


def test_the_best_is_told_in_its_unit_with_its_ratio() -> None:
    """Pitfall E5b: never an internal score."""
    browser = Browser(running(**SPACE, objective={"name": "minimize_ttft"}))
    measured(browser.task, 1, 50.0)
    measured(browser.task, 2, 20.0, parameters={"max-num-seqs": 16})
    browser.ask()
    assert browser.head["findings"]["history"].startswith("Best 20.00 ms in experiment 2, 2.50x the baseline;")
    assert browser.head["findings"]["slice:max-num-seqs"] == "max-num-seqs: best 20.00 ms at 16; 50.00 at default."


def test_the_history_alone_reads_no_measurements() -> None:
    browser = Browser(running(), points=False)
    measured(browser.task, 1, 100.0)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        browser.ask()
    assert not [query for query in queries if "measurementrow" in query["sql"]]
    assert browser.known[1]["points"] == []


def test_the_number_of_queries_does_not_grow(django_assert_max_num_queries: Any) -> None:
    browser = Browser(running(**SPACE))
    for number in range(1, 30):
        measured(browser.task, number, float(number))
    browser.task.refresh_from_db()
    with django_assert_max_num_queries(3):
        data = chart_data(browser.task, Seen())
    with django_assert_max_num_queries(1):
        assert data is not None
        assert chart_data(browser.task, Seen(data["version"], data["latest"])) is None


def test_of_too_many_experiments_the_newest_and_the_best_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MOST", 6)
    monkeypatch.setattr(charts, "MOST_POINTS", 2)
    browser = Browser(running())
    for number, value in enumerate([1.0, 50.0, 60.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 1):
        measured(browser.task, number, value)
    browser.ask()
    assert sorted(browser.known) == [1, 2, 3, 7, 8, 9]
    assert "Shown are 6 of them" in browser.head["findings"]["history"]
    assert [number for number, row in browser.known.items() if row["points"]] == [2, 3]
    assert not browser.ask()
