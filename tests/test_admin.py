"""The admin shows every row and changes none."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.overview.measured import failed, measured
from tests.runner.factories import experiment, living, task
from tuning.models import Experiment, LogLine, MeasurementRow, Slot, Task, Worker
from tuning.overview import counting

pytestmark = pytest.mark.django_db

OURS = sorted(model.__name__.lower() for model in admin.site._registry if model._meta.app_label == "tuning")


@pytest.fixture
def rows(admin_client: Client) -> dict[str, Any]:
    """A row of every model that is shown."""
    one = task()
    row = experiment(one)
    return {
        "task": one,
        "experiment": row,
        "logline": LogLine.objects.create(task=one, at=one.created_at, level="info", source="runner", text="a line"),
        "worker": living(),
        "slot": Slot.objects.create(node="here", index=0),
    }


@pytest.mark.parametrize("model", OURS)
def test_each_model_is_listed(admin_client: Client, rows: dict[str, Any], model: str) -> None:
    assert admin_client.get(f"/admin/tuning/{model}/").status_code == 200


@pytest.mark.parametrize("model", ["task", "experiment", "logline", "worker", "slot"])
def test_a_row_is_shown_and_can_neither_be_changed_nor_deleted(
    admin_client: Client, rows: dict[str, Any], model: str
) -> None:
    """Pitfall A16a: a running task cannot be deleted behind the runner's back."""
    page = f"/admin/tuning/{model}/{rows[model].pk}"
    assert admin_client.get(f"{page}/change/").status_code == 200
    assert admin_client.post(f"{page}/change/", {"status": "completed"}).status_code == 403
    assert admin_client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"/admin/tuning/{model}/add/").status_code == 403


def _more(number: int) -> None:
    """A further task with an experiment, a measurement, log lines, a worker and a slot."""
    one = task(name=f"task {number}")
    columns = {"node": "elsewhere", "host": "elsewhere", "pid": number, "kind": Worker.Kind.WORKER}
    worker = Worker.objects.create(pk=f"worker {number}", lease_until=1.0, **columns)
    row = measured(one, 1, 10.0, worker=worker)
    Task.objects.filter(pk=one.pk).update(best=row, best_value=10.0, worker=worker)
    failed(one, 2)
    for of in (row, None):
        LogLine.objects.create(task=one, experiment=of, at=one.created_at, level="info", source="runner", text="said")
    Slot.objects.create(node="here", index=number)


@pytest.mark.parametrize("model", OURS)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_one(admin_client: Client, model: str) -> None:
    """Pitfall E1."""
    counts = []
    for numbers in (range(1, 2), range(2, 12)):
        for number in numbers:
            _more(number)
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(f"/admin/tuning/{model}/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("model", [Task, Experiment, MeasurementRow, LogLine, Worker, Slot])
def test_a_row_takes_as_many_queries_among_many_as_alone(admin_client: Client, model: Any) -> None:
    _more(1)
    first = model.objects.order_by("pk").first()
    page = f"/admin/tuning/{model.__name__.lower()}/{admin.utils.quote(first.pk)}/change/"
    admin_client.get(page)  # what is remembered from then on is asked for once
    counts = []
    for numbers in (range(0), range(2, 12)):
        for number in numbers:
            _more(number)
            measured(Task.objects.get(name="task 1"), number + 1, 3.0)
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(page).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_counts_and_the_best_value_are_shown_with_links_to_the_pages(admin_client: Client) -> None:
    _more(1)
    one = Task.objects.get()
    text = admin_client.get("/admin/tuning/task/").content.decode()
    assert 'class="field-finished">2<' in text
    assert 'class="field-failed">1<' in text
    assert 'class="field-best_value">10.0<' in text
    assert reverse("task", args=[one.pk]) in text
    assert reverse("experiment", args=[one.pk, 1]) in admin_client.get("/admin/tuning/experiment/").content.decode()
    assert reverse("experiment", args=[one.pk, 1]) in admin_client.get("/admin/tuning/logline/").content.decode()


def test_long_lists_are_not_counted_to_their_end(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST", 5)
    one = task()
    for _ in range(9):
        LogLine.objects.create(task=one, at=one.created_at, level="info", source="runner", text="said")
    with CaptureQueriesContext(connection) as queries:
        assert admin_client.get("/admin/tuning/logline/").status_code == 200
    counting_queries = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert all("LIMIT 6" in sql for sql in counting_queries)
    assert counting_queries


def test_users_and_groups_can_be_edited_and_the_site_is_linked(admin_client: Client) -> None:
    assert admin_client.get("/admin/auth/group/add/").status_code == 200
    user = User.objects.get()
    assert 'name="_save"' in admin_client.get(f"/admin/auth/user/{user.pk}/change/").content.decode()
    assert f'<a href="{reverse("dashboard")}">View site</a>' in admin_client.get("/admin/").content.decode()
