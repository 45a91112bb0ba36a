"""A task's results as files: everything, in pieces, and safe to open."""

import csv
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from tests.overview.measured import failed, measured
from tests.runner.factories import running
from tuning.models import Experiment, MeasurementRow, Task
from tuning.overview import downloads
from tuning.overview.downloads import guarded

pytestmark = pytest.mark.django_db

SPACE: dict[str, Any] = {"parameters": {"max-num-seqs": [16, 64], "kv-cache-dtype": ["auto", "fp8"]}}


def download(client: Client, name: str, task: Task) -> Any:
    answer = client.get(reverse(name, args=[task.pk]))
    assert answer.status_code == 200
    return answer


def rows(client: Client, task: Task) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(download(client, "task-csv", task).getvalue().decode())))


def test_there_is_a_line_for_each_load_point_of_each_experiment(admin_client: Client) -> None:
    task = running(**SPACE, workload={"concurrency": [1, 4]})
    measured(task, 1, 100.0)
    measured(task, 2, 150.0, feasible=False, parameters={"max-num-seqs": 64})
    failed(task, 3)
    lines = rows(admin_client, task)
    assert [(line["experiment"], line["load_point"]) for line in lines] == [
        *(("1", "0"), ("1", "1"), ("2", "0"), ("2", "1")),
        ("3", ""),
    ]
    second = lines[2]
    assert (second["max-num-seqs"], second["feasible"], second["objective"]) == ("64", "false", "150.0")
    assert (second["ratio"], second["output_tokens_per_s"], second["ttft_ms.mean"]) == ("1.5", "150.0", "52.0")
    assert (lines[4]["status"], lines[4]["reason"]) == ("failed", "out_of_memory")


def test_a_task_without_experiments_gives_the_head_alone(admin_client: Client) -> None:
    task = running(**SPACE)
    assert download(admin_client, "task-csv", task).getvalue().decode().startswith("experiment,replicate,baseline")
    assert rows(admin_client, task) == []
    assert json.loads(download(admin_client, "task-json", task).getvalue())["experiments"] == []


@pytest.mark.parametrize("name", ["task-csv", "task-json"])
def test_large_tasks_are_read_in_slices(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any, name: str
) -> None:
    """Pitfall E1."""
    task = running(**SPACE)
    for number in range(1, 12):
        measured(task, number, float(number))
    monkeypatch.setattr(downloads, "SLICE", 4)
    with django_assert_max_num_queries(16):
        text = download(admin_client, name, task).getvalue().decode()
    if name == "task-csv":
        assert [line["experiment"] for line in csv.DictReader(io.StringIO(text))] == [str(one) for one in range(1, 12)]
    else:
        assert [one["number"] for one in json.loads(text)["experiments"]] == list(range(1, 12))


def test_the_json_is_what_export_task_prints(admin_client: Client) -> None:
    task = running(**SPACE)
    measured(task, 1, 100.0)
    measured(task, 2, 150.0)
    out = io.StringIO()
    call_command("export_task", str(task.pk), "--format", "json", stdout=out)
    assert json.loads(download(admin_client, "task-json", task).getvalue()) == json.loads(out.getvalue())


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("fp8", "fp8"),
        (-1.5, -1.5),
        (True, "true"),
        (None, None),
        (float("inf"), None),
        (float("nan"), None),
        ([1, "a"], '[1, "a"]'),
    ],
)
def test_no_cell_is_a_formula_and_numbers_stay_numbers(cell: Any, written: Any) -> None:
    assert guarded(cell) == written


def test_a_parameter_that_looks_like_a_formula_is_text_in_the_file(admin_client: Client) -> None:
    task = running(**SPACE)
    measured(task, 1, 5.0, parameters={"kv-cache-dtype": '=HYPERLINK("http://x";"y")', "max-num-seqs": -3})
    line = rows(admin_client, task)[0]
    assert line["kv-cache-dtype"] == """'=HYPERLINK("http://x";"y")"""
    assert line["max-num-seqs"] == "-3"


@pytest.mark.parametrize("name", ["task-csv", "task-json"])
def test_a_file_is_named_by_the_number_of_the_task_only(admin_client: Client, name: str) -> None:
    """Pitfall D3a."""
    task = running()
    Task.objects.filter(pk=task.pk).update(name='../x"; y')
    disposition = download(admin_client, name, task).headers["Content-Disposition"]
    assert disposition == f'attachment; filename="task-{task.pk}-results.{name.removeprefix("task-")}"'


@pytest.mark.parametrize("name", ["task-csv", "task-json"])
def test_infinities_do_not_reach_a_file(admin_client: Client, name: str) -> None:
    task = running(**SPACE)
    row = measured(task, 1, 5.0)
    Experiment.objects.filter(pk=row.pk).update(value=float("inf"))
    MeasurementRow.objects.update(output_tokens_per_s=float("inf"))
    assert "inf" not in download(admin_client, name, task).getvalue().decode().lower().replace("infeasible", "")


@pytest.mark.parametrize("name", ["task-csv", "task-json"])
def test_no_handle_and_no_environment_is_in_a_file(admin_client: Client, name: str) -> None:
    """Pitfall D6."""
    task = running(**SPACE)
    measured(task, 1, 5.0, handle={"secret": "hf_planted"}, command=["serve", "--api-key", "hf_planted"])
    assert "hf_planted" not in download(admin_client, name, task).getvalue().decode()


@pytest.mark.parametrize("name", ["task-csv", "task-json"])
def test_a_task_that_is_not_there_is_not_found(admin_client: Client, name: str) -> None:
    assert admin_client.get(reverse(name, args=[999])).status_code == 404
