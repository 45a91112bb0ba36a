"""The list of tasks: found, filtered, sorted and paged by its address, and as quick with many as with one."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.runner.factories import experiment, living, running, task
from tests.views.users import operator, viewer
from tuning.models import Experiment, Task, Worker
from tuning.runner import best

pytestmark = pytest.mark.django_db

Status = Experiment.Status
SPACE = {"max-num-seqs": [1, 2, 3]}


def _page(query: str = "") -> str:
    return viewer().get(reverse("tasks") + query).content.decode()


def _many(count: int) -> None:
    for number in range(count):
        one = running(parameters=SPACE, name=f"task {number:03d}")
        for index, status in enumerate((Status.SUCCESS, Status.FAILED, Status.PENDING), start=1):
            experiment(one, index, status=status)


def _queries(name: str) -> int:
    client = operator()
    with CaptureQueriesContext(connection) as queries:
        assert client.get(reverse(name)).status_code == 200
    return len(queries)


@pytest.mark.parametrize("name", ["tasks", "tasks-now"])
def test_as_many_queries_for_many_tasks_as_for_one(name: str) -> None:
    """Pitfall E1."""
    _many(1)
    few = _queries(name)
    Task.objects.all().delete()
    _many(24)
    assert _queries(name) == few


def test_a_line_says_how_far_a_task_is_and_what_came_out() -> None:
    """Pitfall E5b: the value with its unit, its ratio to the baseline, and that it is simulated."""
    one = running(parameters=SPACE)
    experiment(one, 1, is_baseline=True, status=Status.SUCCESS, value=200.0, feasible=True)
    experiment(one, 2, status=Status.SUCCESS, value=300.0, feasible=True)
    experiment(one, 3, status=Status.FAILED)
    with transaction.atomic():
        best.recompute(one)
    page = _page()
    assert "3 of 4 finished: 2 feasible, 1 failed" in page
    assert 'class="cell cell-success cell-best" title="2: feasible, best"' in page
    assert page.count('<span class="cell"></span>') == 1
    assert "300.0" in page
    assert "tokens/s/GPU" in page
    assert "1.50x baseline, simulated" in page


def test_many_experiments_are_a_bar() -> None:
    one = running(parameters={"max-num-seqs": {"min": 1, "max": 200}}, budget={"experiments": 100})
    for number in range(1, 71):
        experiment(one, number, status=Status.FAILED)
    page = _page()
    assert "70 of 100 finished: 70 failed" in page
    assert '<rect class="bar-failed" x="0.0" width="70.0"' in page
    assert "cell-failed" not in page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?q=alpha", ["alpha"]),
        ("?q=simulated+llama", ["beta", "alpha"]),
        ("?q=nothing", []),
        ("?status=running", ["beta"]),
        ("?sort=name", ["alpha", "beta"]),
        ("?sort=-name", ["beta", "alpha"]),
        ("?sort=-ratio", ["alpha", "beta"]),
        ("?sort=duration", ["beta", "alpha"]),
    ],
)
def test_the_address_says_which_and_in_which_order(query: str, names: list[str]) -> None:
    Task.objects.filter(pk=task(name="alpha").pk).update(best_ratio=2.0)
    running(name="beta")
    page = _page(query)
    found = sorted(
        (name for name in ("alpha", "beta") if f">{name}</a>" in page), key=lambda name: page.index(f">{name}<")
    )
    assert found == names
    assert ("No task matches this filter" in page) == (not names)


@pytest.mark.parametrize("query", ["?status=odd", "?sort=odd", "?page=0", "?page=x", "?q=%00", "?q=" + "a" * 300])
@pytest.mark.parametrize("name", ["tasks", "tasks-now"])
def test_an_address_that_means_nothing_is_refused(name: str, query: str) -> None:
    """Pitfall E7b."""
    assert viewer().get(reverse(name) + query).status_code == 400


def test_a_page_beyond_the_last_one_is_the_last_one() -> None:
    _many(26)
    page = _page("?page=999&sort=name")
    assert "of 26 tasks" in page
    assert ">task 025</a>" in page


def test_names_are_never_markup() -> None:
    Task.objects.filter(pk=task().pk).update(name="<b>x</b>", message='"><script>alert(1)</script>')
    page = _page("?q=%3Cb%3E")
    assert "<b>x" not in page
    assert "<script>alert" not in page
    assert "&lt;b&gt;x" in page


def test_without_a_task_or_a_worker_it_says_what_to_do() -> None:
    """Pitfall E7a."""
    page = _page()
    assert "No task yet" in page
    assert "make demo" in page
    assert "No worker is running" in page
    Worker.objects.filter(pk=living().pk).update(kind=Worker.Kind.FOREGROUND)
    assert "No worker is running" in _page()
    Worker.objects.update(kind=Worker.Kind.WORKER)
    assert "No worker is running" not in _page()


def test_a_part_that_has_not_changed_is_not_sent_again() -> None:
    running()
    client = viewer()
    part = client.get(reverse("tasks-now"), {"status": "running"}).content.decode()
    url = part.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert "status=running" in url
    assert client.get(url).status_code == 204
    Task.objects.update(status=Task.Status.PAUSED)
    assert client.get(url).status_code == 200
