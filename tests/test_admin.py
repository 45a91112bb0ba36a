"""The admin shows every row and changes none."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from tests.runner.factories import experiment, living, task
from tuning.models import LogLine, Slot

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
