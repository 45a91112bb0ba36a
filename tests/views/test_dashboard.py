"""The dashboard: what runs, on what, and what came out and failed in the last 24 hours."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.runner.factories import experiment, running
from tests.views.users import viewer
from tuning.models import Experiment, Slot
from tuning.overview import dashboard

pytestmark = pytest.mark.django_db

Status = Experiment.Status


def _ended(number: int, one: object, hours: float = 1.0, **columns: object) -> Experiment:
    at = timezone.now() - timedelta(hours=hours)
    times = {"started_at": at - timedelta(minutes=10), "finished_at": at, "total_s": 600.0}
    return experiment(one, number, **{**times, **columns})  # type: ignore[arg-type]


def _page(name: str = "dashboard") -> str:
    return viewer().get(reverse(name)).content.decode()


def test_a_gpu_is_shown_with_what_it_does_and_who_has_it() -> None:
    one = running()
    experiment(one, status=Status.BENCHMARKING, claim="held", started_at=timezone.now())
    readings = {"used_mib": 70000, "memory_mib": 81920, "utilisation_percent": 93.0, "temperature_c": 61.0}
    Slot.objects.create(node="here", index=0, gpu=3, name="H100", claim="held", **readings)
    page = _page()
    assert "70000 <small" in page
    assert "93 %" in page
    assert "61 °C" in page
    assert reverse("experiment", args=[one.pk, 1]) in page


def test_a_running_task_says_how_long_it_will_take() -> None:
    one = running(parameters={"max-num-seqs": [1, 2, 3]})
    _ended(1, one, status=Status.SUCCESS, feasible=True)
    (each,) = dashboard.under_way()
    assert each.left_s == 1800
    assert "30m 00s" in _page()


def test_failures_are_counted_by_reason_with_the_latest_of_each() -> None:
    one = running()
    for number, reason in enumerate(("out_of_memory", "out_of_memory", "pull_failed"), start=1):
        _ended(number, one, status=Status.FAILED, reason=reason, message=f"said <{number}>")
    _ended(4, one, hours=30, status=Status.FAILED, reason="engine_crashed")
    found = [(failure.reason, failure.count, failure.latest.number) for failure in dashboard.failures()]
    assert found == [("out_of_memory", 2, 2), ("pull_failed", 1, 3)]
    assert "said &lt;2&gt;" in _page()


def test_the_timeline_has_a_bar_for_each_experiment_at_its_time() -> None:
    """Pitfall E4b."""
    one = running()
    _ended(1, one, hours=12, status=Status.SUCCESS, feasible=False)
    _ended(2, one, hours=30, status=Status.SUCCESS)
    experiment(one, 3, status=Status.DEPLOYING, started_at=timezone.now() - timedelta(hours=1))
    (lane,) = dashboard.timeline().lanes
    bars = {bar.number: bar for bar in lane.bars}
    assert set(bars) == {1, 3}
    assert bars[1].start + bars[1].length == pytest.approx(dashboard.WIDTH / 2, abs=2)
    assert bars[3].start + bars[3].length == pytest.approx(dashboard.WIDTH, abs=2)
    assert "Experiment 1 of a task: infeasible" in _page()


def test_a_timeline_that_is_cut_says_so() -> None:
    one = running()
    for number in range(1, dashboard.MOST_BARS + 3):
        _ended(number, one, status=Status.FAILED, reason="out_of_memory")
    drawn = dashboard.timeline()
    assert (drawn.count, drawn.is_cut) == (dashboard.MOST_BARS, True)
    assert "there were more" in _page()


@pytest.mark.parametrize("name", ["dashboard", "dashboard-now", "dashboard-lately"])
def test_as_many_queries_with_a_long_history_as_with_a_short_one(name: str) -> None:
    """Pitfall E1."""
    one, client, counts = running(), viewer(), []
    for numbers in (range(1, 3), range(3, 40)):
        for number in numbers:
            _ended(number, one, status=Status.FAILED, reason="out_of_memory")
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse(name))
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["dashboard-now", "dashboard-lately"])
def test_a_part_that_has_not_changed_is_not_sent_again(name: str) -> None:
    client = viewer()
    seen = client.get(reverse(name)).content.decode().split("seen=")[1].split('"')[0]
    assert client.get(reverse(name), {"seen": seen}).status_code == 204
