"""The list of all experiments: filters, order, pages, and what it costs."""

import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.overview.measured import failed, measured
from tests.runner.factories import experiment, running
from tuning.models import Experiment
from tuning.overview import counting

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(client: Client) -> Client:
    """Signed in as somebody who may look."""
    client.force_login(User.objects.create(username="viewer"))
    return client


def numbers(client: Client, query: str = "", name: str = "experiments") -> list[int]:
    answer = client.get(f"{reverse(name)}?{query}")
    assert answer.status_code == 200
    return [int(number) for number in re.findall(r'id="experiment-\d+-(\d+)"', answer.content.decode())]


@pytest.fixture
def some(db: None) -> list[Experiment]:
    """Of one task: feasible, infeasible, failed, running; of another one: a success."""
    task = running(name="alpha")
    rows = [measured(task, 1, 10.0, total_s=9.0), measured(task, 2, 20.0, feasible=False, total_s=3.0)]
    rows += [failed(task, 3, total_s=5.0), experiment(task, 4, status=Experiment.Status.DEPLOYING)]
    return [*rows, measured(running(name="beta"), 5, 7.0, total_s=4.0)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("status=failed", [3]),
        ("reason=out_of_memory", [3]),
        ("reason=lost_worker", []),
        ("outcome=feasible", [5, 1]),
        ("outcome=infeasible", [2]),
        ("q=ALPH", [4, 3, 2, 1]),
        ("q=%25", []),
        ("q=beta&status=failed", []),
        ("sort=finished", [1, 2, 3, 5, 4]),
        ("sort=-finished", [5, 3, 2, 1, 4]),
        ("sort=duration", [2, 5, 3, 1, 4]),
        ("sort=created&page=9", [1, 2, 3, 4, 5]),
    ],
)
def test_experiments_are_filtered_and_sorted(
    viewer: Client, some: list[Experiment], query: str, expected: list[int]
) -> None:
    assert numbers(viewer, query) == expected
    assert numbers(viewer, query, "experiments-now") == expected


def test_the_experiments_of_a_task_can_be_seen_alone(viewer: Client, some: list[Experiment]) -> None:
    assert numbers(viewer, f"task={some[-1].task_id}") == [5]


@pytest.mark.parametrize("query", ["status=odd", "sort=value", "task=0", f"task={10**30}", "page=0", "outcome=yes"])
@pytest.mark.parametrize("name", ["experiments", "experiments-now"])
def test_what_means_nothing_is_refused_with_the_name_of_the_field(viewer: Client, name: str, query: str) -> None:
    """Pitfall E7b; values of different units are never sorted together."""
    answer = viewer.get(f"{reverse(name)}?{query}")
    assert answer.status_code == 400
    assert query.split("=", maxsplit=1)[0] in answer.content.decode()


def test_the_list_asks_again_and_is_answered_when_something_changed(viewer: Client, some: list[Experiment]) -> None:
    """Pitfall E6."""
    text = viewer.get(reverse("experiments") + "?q=alpha&sort=created").content.decode()
    (again,) = re.findall(r'hx-get="([^"]+)"', text)
    again = again.replace("&amp;", "&")
    assert viewer.get(again).status_code == 204
    Experiment.objects.filter(pk=some[3].pk).update(status=Experiment.Status.BENCHMARKING)
    answer = viewer.get(again)
    assert answer.status_code == 200
    assert "seen" not in "".join(re.findall(r'href="([^"]+)"', answer.content.decode()))


def test_what_there_is_shown_when_there_is_nothing(viewer: Client) -> None:
    assert "No experiment yet" in viewer.get(reverse("experiments")).content.decode()
    assert "No experiment is like that" in viewer.get(reverse("experiments") + "?q=x").content.decode()


def test_fifty_stand_on_a_page_for_the_same_number_of_queries(viewer: Client) -> None:
    """Pitfall E1."""
    task = running()
    experiment(task, 1)
    with CaptureQueriesContext(connection) as one:
        assert numbers(viewer) == [1]
    for number in range(2, 60):
        experiment(task, number)
    with CaptureQueriesContext(connection) as many:
        assert len(numbers(viewer)) == 50
    assert len(one) == len(many)
    assert numbers(viewer, "page=2") == list(range(9, 0, -1))


def test_more_than_can_be_counted_is_said_so(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST", 60)
    task = running()
    for number in range(1, 63):
        experiment(task, number)
    text = viewer.get(reverse("experiments")).content.decode()
    assert "There are more than 60" in text
    assert len(numbers(viewer, "page=2")) == 10
