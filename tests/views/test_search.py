"""The search finds tasks, experiments and parameters, and never fails."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.runner.factories import experiment, task
from tests.views.users import viewer
from tuning.models import Experiment
from tuning.overview.search import MOST, MOST_NAMED, find

pytestmark = pytest.mark.django_db


def _page(words: str) -> str:
    return viewer().get(reverse("search"), {"q": words}).content.decode()


def test_tasks_are_found_by_name_and_by_model() -> None:
    one = task(name="night run")
    assert [line.task for line in find("NIGHT").tasks] == [one]
    assert [line.task for line in find("llama-1b night").tasks] == [one]
    assert find("day").count == 0


def test_experiments_are_found_by_number_within_the_tasks_that_are_named() -> None:
    for name in ("one", "two"):
        experiment(task(name=name), 12)
    for words, names in (("#12", ["two", "one"]), ("12", ["two", "one"]), ("one 12", ["one"]), ("#12 two", ["two"])):
        assert [found.row.task.name for found in find(words).experiments] == names
    assert find("#13").count == 0


def test_parameters_are_found_however_they_are_spelled() -> None:
    task({"max-num-seqs": [1, 2]})
    for words in ("max-num-seqs", "--max_num_seqs", "NUM-SEQS"):
        assert [found.name for found in find(words).parameters] == ["max-num-seqs"]


def test_parameters_are_told_once_with_the_latest_tasks_that_vary_them() -> None:
    tasks = [task({"max-num-seqs": [1, 2], "seqs": [1, 2]}, name=f"task {number}") for number in range(5)]
    task({"other": [1, 2]}, name="seqs is its name only")
    few, many = find("max-num-seqs").parameters, find("seqs").parameters
    assert [found.name for found in many] == ["max-num-seqs", "seqs"]
    assert few[0].named == tuple(tasks[: -MOST_NAMED - 1 : -1])
    assert few[0].more == 2
    assert "and 2 more" in _page("max-num-seqs")


def test_an_experiment_is_shown_with_what_became_of_it() -> None:
    one = task(name="chat")
    experiment(one, 12, status=Experiment.Status.FAILED, reason="out_of_memory", message="said <b>so</b>")
    page = _page("chat #12")
    assert reverse("experiment", args=[one.pk, 12]) in page
    assert "badge-failed" in page
    assert "said &lt;b&gt;so" in page


def test_more_tasks_than_are_shown_are_in_the_list() -> None:
    for number in range(MOST + 1):
        task(name=f"run {number}")
    assert f"{reverse('tasks')}?q=run" in _page("run")
    assert f"{reverse('tasks')}?q=run" not in _page("run 20")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "Tasks are found by name"),
        ("a", "Two letters are needed"),
        ("zzz <b>", "Nothing is called “zzz &lt;b&gt;”"),
    ],
)
def test_where_nothing_is_found_it_says_what_can_be(words: str, said: str) -> None:
    task()
    page = _page(words)
    assert said in page
    assert "max-num-seqs" in page


def test_it_is_bounded_and_as_quick_with_many_as_with_few() -> None:
    """Pitfall E1."""
    client, counts = viewer(), []
    for names in (range(2), range(2, 40)):
        for name in names:
            experiment(task({"max-num-seqs": [1, 2]}, name=f"run {name}"), 3)
        with CaptureQueriesContext(connection) as queries:
            page = client.get(reverse("search"), {"q": "run #3"})
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert page.status_code == 200
    assert len(find("run").tasks) == len(find("3").experiments) == MOST


@pytest.mark.parametrize("words", ["", " ", "%", "_", "<b>", "' or 1=1", "#0", "#99999999999999999999", "\\", "💩"])
def test_odd_words_find_what_they_say_or_nothing(words: str) -> None:
    """Pitfall E7b."""
    task()
    page = viewer().get(reverse("search"), {"q": words})
    assert page.status_code == 200
    assert "<b>" not in page.content.decode()


def test_words_that_are_none_are_refused() -> None:
    for words in ("\x00", "a" * 201):
        assert viewer().get(reverse("search"), {"q": words}).status_code == 400


def test_every_page_has_the_search() -> None:
    assert f'action="{reverse("search")}"' in viewer().get(reverse("tasks")).content.decode()
