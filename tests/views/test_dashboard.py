"""The dashboard: what runs, on what, and what came out and failed in the last 24 hours."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.runner.factories import experiment, living, running, task
from tests.views.users import operator, viewer
from tuning.models import Experiment, Slot, Task
from tuning.overview.timeline import MOST_BARS

pytestmark = pytest.mark.django_db

Status = Experiment.Status
PARTS = ("now", "slots", "lately")


def _ended(number: int, one: Task, **columns: Any) -> Experiment:
    at = timezone.now() - timedelta(hours=1)
    times = {"started_at": at - timedelta(minutes=10), "finished_at": at, "total_s": 600.0}
    return experiment(one, number, **{**times, **columns})


def _page(client: Client | None = None) -> str:
    return (client or viewer()).get(reverse("dashboard")).content.decode()


def test_a_gpu_is_shown_with_what_it_does_and_who_has_it() -> None:
    one = running()
    experiment(one, status=Status.BENCHMARKING, claim="held", started_at=timezone.now())
    readings = {"used_mib": 70000, "memory_mib": 81920, "utilisation_percent": 93.0, "temperature_c": 61.0}
    Slot.objects.create(node="here", index=0, gpu=3, name="H100", claim="held", power_w=612.4, **readings)
    page = _page()
    for words in ("68.4 of 80 GiB", "93 %", "61 °C, 612 W", "GPU 3: H100", reverse("experiment", args=[one.pk, 1])):
        assert words in page


def test_a_gpu_that_nobody_has_read_says_so() -> None:
    Slot.objects.create(node="here", index=0, gpu=3, name="H100")
    page = _page()
    assert "Memory not read yet" in page
    assert "None" not in page


def test_an_old_reading_says_when_it_was_made() -> None:
    at = timezone.now() - timedelta(hours=3)
    Slot.objects.create(node="here", index=0, gpu=3, utilisation_percent=93.0, read_at=at)
    assert f'read last <time datetime="{at.isoformat()}">' in _page()


def test_a_running_task_shows_how_far_it_is_its_best_and_how_long_it_will_take() -> None:
    one = running(parameters={"max-num-seqs": [1, 2, 3]})
    row = _ended(1, one, status=Status.SUCCESS, feasible=True)
    Task.objects.filter(pk=one.pk).update(best=row, best_value=1234.0, best_ratio=1.5)
    page = _page()
    for words in ("1 of 4 finished", "1,234", "simulated", "1.50x baseline", "about 30m 00s"):
        assert words in page


def test_a_task_that_will_have_many_experiments_has_a_bar_from_the_first_on() -> None:
    wide = {"max-num-seqs": {"min": 1, "max": 500}}
    one = running(parameters=wide, strategy={"name": "random"}, budget={"experiments": 90})
    _ended(1, one, status=Status.SUCCESS, feasible=True)
    page = _page()
    assert "1 of 90 finished" in page
    assert 'class="cells"' not in page
    assert '<rect class="bar-feasible" x="0.0" width="1.11"' in page


def test_failures_are_shown_in_words_with_the_latest_of_each_reason() -> None:
    one = running()
    for number in (1, 2):
        at = timezone.now() - timedelta(minutes=10 - number)
        _ended(number, one, status=Status.FAILED, reason="out_of_memory", message=f"said <{number}>", finished_at=at)
    page = _page()
    assert "Out of memory" in page
    assert "said &lt;2&gt;" in page
    assert "said &lt;1&gt;" not in page
    assert f"{reverse('experiments')}?status=failed&amp;reason=out_of_memory" in page


def test_the_timeline_leads_to_its_experiments_and_says_what_became_of_them() -> None:
    one = running()
    _ended(7, one, status=Status.SUCCESS, feasible=False)
    page = _page()
    assert f'<a href="{reverse("experiment", args=[one.pk, 7])}" tabindex="-1"><title>Experiment 7: infeasible' in page
    assert "a task: 1 infeasible" in page
    assert "data-clock=" in page


def test_a_timeline_that_is_cut_says_so() -> None:
    one = running()
    for number in range(1, MOST_BARS + 3):
        _ended(number, one, status=Status.FAILED, reason="out_of_memory")
    assert f"Only the latest {MOST_BARS} are shown" in _page()


def test_whoever_begins_is_told_what_to_do() -> None:
    page = _page(operator())
    assert "There is no task yet" in page
    assert "make demo" in page
    assert "No worker is running" in page
    assert "No experiment ran in the last 24 hours" in page
    task()
    assert "Nothing runs" in _page(operator())


def test_who_may_only_look_is_not_led_to_the_form() -> None:
    assert 'id="new-task"' not in _page(viewer())


def test_names_and_messages_never_become_markup() -> None:
    one = running(name="<b>bold</b>")
    _ended(1, one, status=Status.FAILED, reason="out_of_memory", message="<b>said</b>")
    Slot.objects.create(node="here", index=0, gpu=0, name="<b>H100</b>", foreign="<b>me</b>")
    assert "<b>" not in _page()


@pytest.mark.parametrize("name", ["", *PARTS])
def test_as_many_queries_with_a_long_history_as_with_a_short_one(name: str) -> None:
    """Pitfall E1."""
    one, client, counts = running(), viewer(), []
    url = f"{reverse('dashboard-now')}?part={name}" if name else reverse("dashboard")
    for numbers in (range(1, 3), range(3, 40)):
        for number in numbers:
            _ended(number, one, status=Status.FAILED, reason="out_of_memory")
            Slot.objects.create(node="here", index=number, gpu=number)
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_has_not_changed_is_not_sent_again(name: str) -> None:
    client, query = viewer(), {"part": name}
    living()
    answer = client.get(reverse("dashboard-now"), query).content.decode()
    assert answer.startswith(f'<div id="dashboard-{name}" hx-get="{reverse("dashboard-now")}?part={name}&')
    seen = answer.split("seen=")[1].split('"')[0]
    assert client.get(reverse("dashboard-now"), {**query, "seen": seen}).status_code == 204


@pytest.mark.parametrize("odd", ["nothing", "NOW", "\x00", "<b>", "0", "now,slots", "a" * 10_000])
def test_a_part_that_there_is_not_is_refused(odd: str) -> None:
    """Pitfall E7b."""
    assert viewer().get(reverse("dashboard-now"), {"part": odd}).status_code == 400
