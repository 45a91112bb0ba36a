"""The page of an experiment: what it shows in each state, what it costs, and what it hides."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.overview.measured import failed, latency, measured, measurement
from tests.runner.factories import experiment, running
from tuning.errors import Reason
from tuning.models import Experiment, LogLine
from tuning.overview.reasons import advice
from tuning.runner.secrets import MASK

pytestmark = pytest.mark.django_db

Status = Experiment.Status
SPACE: dict[str, Any] = {"max-num-seqs": [8, 16, 32]}


@pytest.fixture
def viewer(client: Client) -> Client:
    """Signed in as somebody who may look."""
    client.force_login(User.objects.create(username="viewer"))
    return client


def address(row: Experiment, name: str = "experiment") -> str:
    return reverse(name, args=[row.task_id, row.number])


def page(client: Client, row: Experiment, name: str = "experiment") -> str:
    answer = client.get(address(row, name))
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_success_shows_its_worth_its_phases_and_what_was_measured(viewer: Client) -> None:
    task = running(parameters=SPACE, slo={"ttft_ms": {"p99": 100, "p99.9": 900}})
    measured(task, 1, 100.0)
    times = {"deploy_s": 1.0, "ready_s": 5.0, "benchmark_s": 3.0, "remove_s": 1.0}
    row = measured(task, 2, 150.0, feasible=False, parameters={"max-num-seqs": 16}, points=0, **times)
    measurement(row, 0, concurrency=4, ttft_ms={**latency(52.0), "p99.9": 300.0}, errors={"timeout": 3})
    text = page(viewer, row)
    assert "timeout: 3" in text
    assert "1.50x" in text
    assert "infeasible" in text
    assert "ttft_ms p99 480 (limit 400)" in text
    assert re.search(r'phase-ready" x="100.0" width="500.0"', text)
    assert "p99.9" in text
    assert ">met<" in text
    assert ">missed<" in text
    assert "serve --number 2" in text
    assert "hx-trigger" not in text


def test_parameters_that_differ_from_the_baseline_come_first(viewer: Client) -> None:
    task = running(parameters=SPACE)
    fixed = task.document["search_space"]["fixed"]
    measured(task, 1, 100.0, parameters=fixed)
    row = measured(task, 2, 150.0, parameters={**fixed, "max-num-seqs": 16})
    text = page(viewer, row)
    assert text.count("differs</small>") == 1
    assert text.index('<th scope="row">max-num-seqs') < text.index('<th scope="row">simulate-time-scale')


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained_and_says_what_to_do(reason: Reason) -> None:
    found = advice(reason)
    assert found is not None
    assert found.meaning.endswith(".")
    assert found.advice.endswith(".")


def test_a_failure_is_explained_with_its_line_and_the_end_of_its_log(viewer: Client) -> None:
    row = failed(running(parameters=SPACE), 1, message="CUDA out of memory <b>")
    LogLine.objects.bulk_create(
        LogLine(task=row.task, experiment=row, at=timezone.now(), level="info", source="engine", text=f"line {number}.")
        for number in range(40)
    )
    text = page(viewer, row, "experiment-now")
    assert "does not have the memory" in text
    assert "CUDA out of memory &lt;b&gt;" in text
    assert "line 39." in text
    assert "line 3." not in text


def test_an_experiment_that_runs_tells_its_phase_and_asks_again_until_it_has_ended(viewer: Client) -> None:
    row = experiment(running(parameters=SPACE), status=Status.DEPLOYING, attempt=1, deploy_s=0.2)
    text = page(viewer, row, "experiment-now")
    assert re.search(r"Loading, until it serves</dt><dd><span[^>]*>under way", text)
    again = re.findall(r'hx-get="([^"]+)" hx-trigger="every 2s"', text)
    assert len(again) == 1
    assert viewer.get(again[0]).status_code == 204
    Experiment.objects.filter(pk=row.pk).update(status=Status.BENCHMARKING, ready_s=3.0)
    text = viewer.get(again[0]).content.decode()
    assert re.search(r"Measuring</dt><dd><span[^>]*>under way", text)
    Experiment.objects.filter(pk=row.pk).update(status=Status.CANCELLED, reason="cancelled")
    text = viewer.get(again[0]).content.decode()
    assert "hx-trigger" not in text
    assert "stopped before it was measured" in text


def test_a_pending_experiment_has_a_page(viewer: Client) -> None:
    text = page(viewer, experiment(running(parameters=SPACE)))
    assert "The engine was not started yet." in text


def test_secrets_are_hidden_wherever_they_stand(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall D: the values of secret variables are never shown."""
    monkeypatch.setenv("SOME_API_KEY", "a-value-of-the-server")
    environment = {"HF_TOKEN": "very-secret-1", "OMP_NUM_THREADS": "4", "URL": "a-value-of-the-server"}
    task = running(parameters=SPACE, engine={"name": "simulated", "environment": environment})
    parameters = {"env:OTHER_SECRET": "very-secret-2", "api-key": "very-secret-3", "env:PLAIN": "shown"}
    row = experiment(task, parameters=parameters, command_line="KEY=a-value-of-the-server serve")
    text = page(viewer, row)
    assert "very-secret" not in text
    assert "a-value-of-the-server" not in text
    assert text.count(MASK) >= 4
    assert "OMP_NUM_THREADS" in text
    assert "shown" in text


def test_neighbours_and_replicates_are_linked(viewer: Client) -> None:
    task = running(parameters=SPACE)
    rows = [measured(task, number, 100.0, parameters_hash="same", replicate=number - 1) for number in (1, 2, 3)]
    text = page(viewer, rows[1])
    for other in (rows[0], rows[2]):
        assert text.count(f'href="{address(other)}"') == 2
    assert 'rel="prev"' not in page(viewer, rows[0])
    assert 'rel="next"' not in page(viewer, rows[2])


def test_gpu_use_is_shown_where_it_is_known(viewer: Client) -> None:
    task = running(parameters=SPACE)
    row = measured(task, 1, 100.0, points=0)
    use = {"gpu": "0", "name": "H100", "seconds": 5, "utilisation_percent": {"mean": 91.0, "max": 99.0}}
    unknown = {"used_mib": None, "memory_mib": None, "power_w": None, "temperature_c": None}
    measurement(row, 0, concurrency=4, gpu_use=[{**use, **unknown}])
    text = page(viewer, row)
    assert "GPU 0: H100" in text
    assert "91.0" in text


@pytest.mark.parametrize("name", ["experiment", "experiment-now"])
def test_what_is_not_there_is_not_found(viewer: Client, name: str) -> None:
    task = running(parameters=SPACE)
    other = experiment(running(parameters=SPACE, name="other"))
    assert viewer.get(reverse(name, args=[task.pk, other.number])).status_code == 404
    assert viewer.get(f"/tasks/{10**30}/experiments/1").status_code == 404
    assert viewer.post(address(other, name)).status_code == 405


def test_the_number_of_queries_does_not_grow_with_what_there_is(viewer: Client) -> None:
    """Pitfall E1."""
    small = measured(running(parameters=SPACE), 1, 100.0)
    many = running(parameters=SPACE, name="many", workload={"concurrency": list(range(1, 21))})
    rows = [measured(many, number, 100.0, parameters_hash="same", replicate=number - 1) for number in range(1, 21)]
    LogLine.objects.bulk_create(
        LogLine(task=many, experiment=rows[4], at=timezone.now(), level="info", source="engine", text="said")
        for _ in range(700)
    )
    counts = []
    for row in (small, rows[0]):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page(viewer, row)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 16


def test_the_time_before_a_later_attempt_is_not_called_a_queue(viewer: Client) -> None:
    now = timezone.now()
    task = running(parameters=SPACE)
    first = experiment(task, 1, attempt=1, created_at=now - timedelta(seconds=75), started_at=now)
    second = experiment(task, 2, attempt=2, created_at=now - timedelta(seconds=75), started_at=now)
    assert "<dt>Queued</dt><dd>1m 15s" in page(viewer, first)
    assert "<dt>Before this attempt</dt><dd>1m 15s" in page(viewer, second)
