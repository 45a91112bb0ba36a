"""The page of a task: what it shows in each state, what it costs, and what it does with odd addresses."""

import re
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.overview.test_experiments_table import measured, success
from tests.runner.factories import experiment, living, running, task
from tuning.document.loading import load
from tuning.models import Experiment, LogLine, Task
from tuning.runner import lifecycle

pytestmark = pytest.mark.django_db

Status = Experiment.Status
THREE: dict[str, Any] = {"max-num-seqs": [8, 16, 32]}
SLO: dict[str, Any] = {"ttft_ms": {"p99": 500}}
LATENCY = {"count": 8, "mean": 10.0, "p50": 10.0, "p90": 20.0, "p95": 25.0, "p99": 30.0}


@pytest.fixture
def admin_client(client: Client) -> Client:
    """Signed in as somebody who may do everything; without a password, which takes longer to hash than a page."""
    client.force_login(User.objects.create(username="admin", is_superuser=True))
    return client


def page(client: Client, one: Task, name: str = "task", query: str = "") -> str:
    answer = client.get(f"{reverse(name, args=[one.pk])}{query}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def found(one: Task, best: Experiment, value: float, ratio: float | None = None) -> None:
    """Write down what the task found."""
    Task.objects.filter(pk=one.pk).update(best=best, best_value=value, best_ratio=ratio)


def ended(one: Task, status: Task.Status = Task.Status.COMPLETED, message: str = "All was tried.") -> None:
    Task.objects.filter(pk=one.pk).update(status=status, message=message)


def with_best(**others: Any) -> Task:
    """A task with a baseline, a better configuration, one that misses the SLO, and one that failed."""
    one = running(parameters=THREE, slo=SLO, **others)
    base = success(one, 1, 100.0, is_baseline=True, parameters={"simulate-seed": 1})
    best = success(
        one,
        2,
        150.0,
        parameters={"simulate-seed": 1, "max-num-seqs": 32},
        command_line='HF_TOKEN="$HF_TOKEN" serve <x>',
    )
    for row in (base, best):
        measured(row, ttft_ms=LATENCY, tpot_ms=LATENCY)
    missed = "D(20,5) c=4: ttft_ms p99 900 (limit 500)"
    success(one, 3, 190.0, feasible=False, missed=[missed], violations=[0.0, 0.0, 0.8], parameters={"max-num-seqs": 8})
    experiment(one, 4, status=Status.FAILED, reason="out_of_memory", message="No memory <b>", parameters={})
    found(one, best, 150.0, 1.5)
    return one


@pytest.mark.parametrize("name", ["task", "task-now", "task-experiments"])
def test_the_number_of_queries_does_not_grow_with_the_experiments(admin_client: Client, name: str) -> None:
    few, many = with_best(), with_best(budget={"experiments": 60})
    for number in range(5, 61):
        measured(success(many, number, float(number)), ttft_ms=LATENCY)
    counts = []
    for one in (few, many):
        page(admin_client, one, name)
        with CaptureQueriesContext(connection) as queries:
            page(admin_client, one, name)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_best_configuration_is_handed_over_with_its_evidence(admin_client: Client) -> None:
    text = page(admin_client, with_best(), "task-now")
    assert "150.0" in text
    assert "1.50x the baseline" in text
    assert re.search(r"max-num-seqs</th>\s*<td[^>]*>default</td>\s*<td[^>]*><strong>32", text)
    assert "simulate-seed</th>" not in text
    assert re.search(r"TTFT p99.*?30\.0 ms.*?≤ 500 ms.*?met", text, re.DOTALL)
    assert "HF_TOKEN=&quot;$HF_TOKEN&quot; serve &lt;x&gt;" in text
    assert "Measured once, so its noise is not known." in text
    assert "Simulated" in text


def test_a_best_that_was_measured_again_says_how_sure_it_is_and_calls_a_tie_a_tie(admin_client: Client) -> None:
    one = running(parameters=THREE, replicates=2)
    success(one, 1, 50.0, is_baseline=True, parameters_hash="base")
    best = success(one, 2, 100.0, parameters_hash="a")
    success(one, 3, 104.0, parameters_hash="a", replicate=1)
    success(one, 4, 99.0, parameters_hash="b")
    success(one, 5, 103.0, parameters_hash="b", replicate=1)
    found(one, best, 102.0, 2.04)
    text = page(admin_client, one, "task-now")
    assert re.search(r"95 % interval ± \d+ over 2 measurements", text)
    assert re.search(r"Not told from it by what was measured: <a[^>]*>experiment 4</a>\.", text)


def test_a_task_without_a_baseline_compares_with_nothing(admin_client: Client) -> None:
    one = running(parameters=THREE, baseline=False)
    found(one, success(one, 1, parameters={"max-num-seqs": 8}), 1.0)
    text = page(admin_client, one, "task-now")
    assert "What differs from the engine&#x27;s defaults" in text or "What differs from the engine's defaults" in text
    assert "the baseline" not in text


def test_a_task_of_which_nothing_ran_says_so(admin_client: Client) -> None:
    one = task(parameters=THREE)
    text = page(admin_client, one)
    assert "Not started yet; it will be up to 4 experiments" in text
    assert "Nothing measured yet." in text
    assert "No experiment was made yet." in text


def test_a_task_of_which_all_failed_says_so(admin_client: Client) -> None:
    one = running(parameters=THREE)
    experiment(one, 1, status=Status.FAILED, reason="out_of_memory", message="No memory <b>")
    ended(one, Task.Status.FAILED, "No experiment succeeded.")
    text = page(admin_client, one)
    assert "Nothing was measured." in text
    assert "No memory &lt;b&gt;" in text
    assert "No experiment succeeded." in text


def test_a_task_without_a_feasible_configuration_says_what_came_closest(admin_client: Client) -> None:
    one = running(parameters=THREE, slo=SLO)
    for number, excess in ((1, 2.0), (2, 0.5), (3, 1.0)):
        success(one, number, feasible=False, violations=[0.0, excess], missed=[f"{number} misses"])
    text = page(admin_client, one, "task-now")
    assert "No feasible configuration yet." in text
    assert re.search(r"Closest is <a[^>]*>experiment 2</a>", text)
    assert "2 misses" in text


def test_the_line_tells_where_the_running_experiment_is(admin_client: Client) -> None:
    one = running(parameters=THREE, workload={"concurrency": [1, 2, 4]})
    row = experiment(one, 1, status=Status.BENCHMARKING)
    assert "Experiment 1 of 4: benchmarking, load point 1 of 3" in page(admin_client, one, "task-now")
    measured(row)
    assert "Experiment 1 of 4: benchmarking, load point 2 of 3" in page(admin_client, one, "task-now")
    experiment(one, 2, status=Status.DEPLOYING)
    text = page(admin_client, one, "task-now")
    assert "2 experiments run, 0 of 4 experiments have finished" in text
    assert 'role="status"' in text


def test_what_runs_without_a_worker_says_so(admin_client: Client) -> None:
    """Pitfall E7a."""
    one = running(parameters=THREE)
    assert "No worker is running." in page(admin_client, one, "task-now")
    living()
    assert "No worker is running." not in page(admin_client, one, "task-now")


@pytest.mark.parametrize("name", ["task-now", "task-experiments"])
def test_a_part_is_sent_again_only_when_it_changed_and_asks_no_more_once_final(client: Client, name: str) -> None:
    client.force_login(User.objects.create_user("bob"))
    one = with_best()
    text = page(client, one, name)
    (url,) = re.findall(r'hx-get="([^"]+)"', text)
    url = url.replace("&amp;", "&")
    assert text.count("hx-trigger") == 1
    assert client.get(url).status_code == 204
    success(one, 5, 10.0)
    assert client.get(url).status_code == 200
    ended(one)
    assert "hx-trigger" not in client.get(url).content.decode()


def test_what_still_runs_of_a_task_that_was_cancelled_is_watched_to_its_end(admin_client: Client) -> None:
    one = with_best()
    experiment(one, 5, status=Status.BENCHMARKING)
    ended(one, Task.Status.CANCELLED, "Cancelled.")
    assert "hx-trigger" in page(admin_client, one, "task-now")
    Experiment.objects.filter(task=one, number=5).update(status=Status.CANCELLED)
    assert "hx-trigger" not in page(admin_client, one, "task-now")


def test_the_table_keeps_what_was_chosen_while_it_is_live(admin_client: Client) -> None:
    text = page(admin_client, with_best(), query="?state=feasible&sort=-value&columns=max-num-seqs")
    (url,) = re.findall(r'hx-get="([^"]+/experiments[^"]+)"', text)
    assert "state=feasible&amp;sort=-value&amp;columns=max-num-seqs&amp;seen=" in url
    assert re.search(r'href="\?state=feasible&amp;sort=number[^"]*columns=max-num-seqs', text) or "sort=-number" in text
    assert "Out of memory" not in text


@pytest.mark.parametrize(
    "query", ["sort=odd", "page=0", "page=1e9", "point=99", "columns=odd", "metrics=odd", "state=odd", "sort=%00"]
)
@pytest.mark.parametrize("name", ["task", "task-experiments"])
def test_odd_addresses_are_refused_with_the_name_of_the_field(admin_client: Client, name: str, query: str) -> None:
    """Pitfall E7b."""
    answer = admin_client.get(f"{reverse(name, args=[with_best().pk])}?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.content.decode()


@pytest.mark.parametrize("name", ["task", "task-now", "task-experiments", "task-document"])
def test_a_task_that_is_not_there_is_not_found(admin_client: Client, name: str) -> None:
    assert admin_client.get(reverse(name, args=[999_999_999])).status_code == 404


def test_names_and_values_never_become_markup(admin_client: Client) -> None:
    one = running(parameters={"speculative-config": ['{"a": "<script>"}', "x" * 500]})
    success(one, 1, parameters={"speculative-config": "<script>alert(1)</script>"})
    success(one, 2, parameters={"speculative-config": "x" * 500})
    Task.objects.filter(pk=one.pk).update(name="<script>alert(2)</script>", message="<script>alert(3)</script>")
    text = page(admin_client, one)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert f'title="{"x" * 500}"' in text


def test_many_experiments_are_drawn_as_a_bar(admin_client: Client) -> None:
    one = running(parameters={"max-num-seqs": list(range(1, 300))}, budget={"experiments": 300})
    assert 'class="cells"' not in page(admin_client, one, "task-now")
    success(one, 1)
    assert "bar-feasible" in page(admin_client, one, "task-now")


def test_what_happened_is_told_in_its_order_without_the_lines_of_experiments(admin_client: Client) -> None:
    one = task(parameters=THREE)
    lifecycle.start(one, lambda pk: None)
    lifecycle.pause(one)
    row = experiment(one)
    LogLine.objects.create(
        task=one, experiment=row, at=one.created_at, level="info", source=LogLine.Source.RUNNER, text="engine started"
    )
    text = page(admin_client, one, "task-now")
    assert re.findall(r"<span>(created|started|paused)</span>", text) == ["created", "started", "paused"]
    assert "engine started" not in text


def test_other_runs_of_its_name_are_linked(admin_client: Client) -> None:
    one = task(parameters=THREE)
    other = task(parameters=THREE, budget={"experiments": 2})
    text = page(admin_client, other)
    assert "run 2; other runs:" in text
    assert f'href="{reverse("task", args=[one.pk])}"' in text


def test_the_document_is_shown_and_can_be_kept(admin_client: Client) -> None:
    one = running(parameters=THREE, name="x")
    answer = admin_client.get(reverse("task-document", args=[one.pk]))
    assert answer.headers["Content-Disposition"] == f'attachment; filename="task-{one.pk}.yaml"'
    assert load(answer.content.decode()).document == one.task_document
    assert yaml.safe_load(answer.content)["search_space"]["parameters"] == THREE
    assert "max-num-seqs: [8, 16, 32]" in page(admin_client, one)


def test_only_operators_see_what_can_be_done(client: Client) -> None:
    one = with_best()
    viewer, operator = User.objects.create_user("bob"), User.objects.create_user("ada")
    operator.user_permissions.add(Permission.objects.get(codename="operate"))
    client.force_login(viewer)
    assert "task-now" in page(client, one)
    assert reverse("task-act", args=[one.pk, "pause"]) not in page(client, one)
    client.force_login(operator)
    text = page(client, one)
    assert f'form="act" formaction="{reverse("task-act", args=[one.pk, "pause"])}"' in text
    assert re.search(rf'href="{reverse("task-act", args=[one.pk, "cancel"])}"[^>]*data-dialog', text)
    assert reverse("task-act", args=[one.pk, "start"]) not in text
    assert "csrfmiddlewaretoken" not in page(client, one, "task-now")


def test_gpus_stand_beside_what_is_measured_where_there_are_several(admin_client: Client) -> None:
    one = running(parameters={"tensor-parallel-size": [1, 4]})
    measured(success(one, 1, 100.0, gpus=4))
    text = page(admin_client, one, "task-experiments", "?metrics=output_tokens_per_s/gpu")
    assert ">GPUs</a>" in text
    assert '<td class="number">25.00</td>' in text
