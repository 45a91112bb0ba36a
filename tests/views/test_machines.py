"""Machines: their workers, their GPUs or slots, and who has them."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.runner.factories import experiment, living, running
from tests.views.users import viewer
from tuning.models import Experiment, Slot, Worker
from tuning.runner.instance import instance_id

pytestmark = pytest.mark.django_db


def _page() -> str:
    return viewer().get(reverse("machines")).content.decode()


def test_it_says_when_nothing_is_known_and_how_a_worker_is_started() -> None:
    page = _page()
    assert "No machine is known yet" in page
    assert "manage.py run_worker" in page


def test_a_living_worker_is_shown_with_what_it_runs() -> None:
    row = experiment(running(), status=Experiment.Status.BENCHMARKING, worker=living(), claim="held")
    page = _page()
    assert "No worker is running" not in page
    assert '<span class="badge badge-alive">alive</span>' in page
    assert reverse("experiment", args=[row.task_id, 1]) in page


def test_a_worker_that_is_gone_is_told_from_one_that_lives() -> None:
    """Pitfall E7a: on this machine the kernel tells it at once, without waiting for its lease."""
    columns = {"host": "gpu-box", "pid": 7, "kind": Worker.Kind.WORKER, "lease_until": 1e12}
    Worker.objects.create(pk="gone", node=instance_id(), **columns)
    page = _page()
    assert '<span class="badge badge-dead">gone</span>' in page
    assert "No worker is running" in page


def test_a_gpu_is_shown_with_its_readings_and_its_owner() -> None:
    row = experiment(running(), status=Experiment.Status.BENCHMARKING, claim="held")
    readings = {"used_mib": 40960, "memory_mib": 81920, "utilisation_percent": 93.4, "temperature_c": 61.0}
    now = timezone.now()
    Slot.objects.create(
        node="here", index=0, gpu=3, name="H100 <80>", claim="held", power_w=412.2, read_at=now, **readings
    )
    page = _page()
    assert "H100 &lt;80&gt;" in page
    assert 'value="50.0"' in page
    assert "93 %" in page
    assert "61 °C" in page
    assert "412 W" in page
    assert reverse("experiment", args=[row.task_id, 1]) in page


def test_what_the_driver_does_not_tell_is_a_dash_and_who_fills_a_gpu_is_said() -> None:
    Slot.objects.create(node="here", index=0, gpu=0, name="vGPU", foreign="process 9 (<x>) uses 3 MiB")
    page = _page()
    assert "process 9 (&lt;x&gt;) uses 3 MiB" in page
    assert "None" not in page


def test_slots_without_gpus_have_no_readings() -> None:
    Slot.objects.create(node="here", index=0)
    page = _page()
    assert "no GPU is used here" in page
    assert "Temperature" not in page


def test_the_number_of_queries_does_not_grow() -> None:
    client = viewer()
    one = running()
    counts = []
    for many in (range(1, 2), range(2, 30)):
        for number in many:
            columns = {"node": f"node {number}", "host": "host", "pid": number, "kind": Worker.Kind.WORKER}
            worker = Worker.objects.create(pk=str(number), lease_until=1.0, **columns)
            experiment(one, number, status=Experiment.Status.DEPLOYING, worker=worker, claim=str(number))
            Slot.objects.create(node=f"node {number}", index=0, claim=str(number))
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("machines"))
        counts.append(len(queries))
    assert counts[0] == counts[1]
