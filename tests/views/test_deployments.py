"""What this installation runs now, and stopping it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.runner.factories import experiment, living, running
from tests.views.users import operator, viewer
from tuning.models import Experiment, Task

pytestmark = pytest.mark.django_db

Status = Experiment.Status


def _active(number: int = 1, task: Task | None = None, **columns: object) -> Experiment:
    one = task or running()
    times = {"started_at": timezone.now(), "worker": living(), "claim": f"claim {number}", "attempt": 1}
    return experiment(one, number, **{"status": Status.BENCHMARKING, **times, **columns})


def _page() -> str:
    return viewer().get(reverse("deployments")).content.decode()


def test_only_engines_of_active_experiments_are_shown() -> None:
    """Pitfall D2c: nothing that somebody else started."""
    row = _active(handle={"mode": "local", "pid": 4711}, command_line="vllm serve <b>")
    experiment(row.task, 2, status=Status.SUCCESS, value=1.0, handle={"pid": 42})
    experiment(row.task, 3)
    page = _page()
    assert "process 4711" in page
    assert "vllm serve &lt;b&gt;" in page
    assert "process 42<" not in page
    assert "experiment 3" not in page


def test_it_says_when_nothing_runs() -> None:
    assert "No engine runs now" in _page()


def test_a_part_that_has_not_changed_is_not_sent_again() -> None:
    _active()
    page = _page()
    seen = page.partition("?seen=")[2].partition('"')[0]
    assert viewer().get(reverse("deployments-now"), {"seen": seen}).status_code == 204
    assert viewer().get(reverse("deployments-now"), {"seen": "else"}).status_code == 200


def test_the_number_of_queries_does_not_grow() -> None:
    one = running()
    client = viewer()
    counts = []
    for many in (range(1, 2), range(2, 30)):
        for number in many:
            _active(number, one)
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("deployments"))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_an_operator_stops_one_after_being_asked() -> None:
    row = _active()
    address = reverse("deployment-stop", args=[row.pk])
    client = operator()
    assert address in client.get(reverse("deployments")).content.decode()
    assert "what it measured so far is lost" in client.get(address).content.decode()
    answer = client.post(address, follow=True)
    assert "is stopped: its engine is removed within seconds" in answer.content.decode()
    row.refresh_from_db()
    assert (row.status, row.reason, row.message) == (Status.BENCHMARKING, "cancelled", "Stopped by ada.")
    page = client.get(reverse("deployments")).content.decode()
    assert "stopping" in page
    assert address not in page


def test_pressing_twice_is_harmless() -> None:
    row = _active()
    address = reverse("deployment-stop", args=[row.pk])
    client = operator()
    client.post(address)
    assert "it is being ended already" in client.post(address, follow=True).content.decode()


def test_a_viewer_cannot_stop_anything() -> None:
    row = _active()
    address = reverse("deployment-stop", args=[row.pk])
    assert address not in _page()
    assert viewer().post(address).status_code == 403
    row.refresh_from_db()
    assert row.reason == ""


def test_what_does_not_run_is_not_asked_about() -> None:
    row = _active(status=Status.FAILED, reason="out_of_memory")
    assert operator().get(reverse("deployment-stop", args=[row.pk])).status_code == 404
    assert operator().get(reverse("deployment-stop", args=[row.pk + 1])).status_code == 404
    assert "it is failed" in operator().post(reverse("deployment-stop", args=[row.pk]), follow=True).content.decode()


def test_where_an_engine_runs_is_said_before_and_after_it_has_started() -> None:
    _active(status=Status.DEPLOYING, command=["vllm", "--port", "4321"], deploy_s=0.1)
    page = _page()
    assert "local, port 4321" in page
    assert "loading" in page
