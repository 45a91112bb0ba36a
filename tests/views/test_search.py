"""The search finds tasks, experiments and parameters, and never fails."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.runner.factories import experiment, task
from tests.views.users import viewer
from tuning.overview.search import MOST, find

pytestmark = pytest.mark.django_db


def test_tasks_are_found_by_name_and_by_model() -> None:
    one = task(name="night run")
    assert [line.task for line in find("NIGHT").tasks] == [one]
    assert [line.task for line in find("llama-1b night").tasks] == [one]
    assert find("day").count == 0


def test_experiments_are_found_by_number_within_the_tasks_that_are_named() -> None:
    for name in ("one", "two"):
        experiment(task(name=name), 12)
    assert [row.task.name for row in find("#12").experiments] == ["two", "one"]
    assert [row.task.name for row in find("one 12").experiments] == ["one"]


def test_parameters_are_found_however_they_are_spelled() -> None:
    task({"max-num-seqs": [1, 2]})
    for words in ("max-num-seqs", "--max_num_seqs", "NUM-SEQS"):
        assert [found.name for found in find(words).parameters] == ["max-num-seqs"]


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
