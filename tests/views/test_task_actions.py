"""What is done with tasks from their list: by operators only, asked first where something is lost, harmless twice."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.runner.factories import experiment, running, task
from tests.views.users import operator, viewer
from tuning.models import Experiment, Task

pytestmark = pytest.mark.django_db(transaction=True)

Status = Task.Status


def _press(client: Client, action: str, one: Task) -> str:
    """The message after a button was pressed."""
    return client.post(reverse("task-act", args=[one.pk, action]), follow=True).content.decode()


def _status(one: Task) -> str:
    return str(Task.objects.values_list("status", flat=True).get(pk=one.pk))


def test_whoever_may_only_look_finds_no_buttons_and_is_refused() -> None:
    """Pitfall D1."""
    one, client = task(), viewer()
    page = client.get(reverse("tasks")).content.decode()
    assert "checkbox" not in page
    assert "/start" not in page
    for action in ("start", "pause", "resume", "cancel", "retry", "restart", "delete"):
        assert client.post(reverse("task-act", args=[one.pk, action])).status_code == 403
        assert client.get(reverse("task-act", args=[one.pk, action])).status_code == 403
    assert client.post(reverse("tasks-act"), {"action": "start", "task": one.pk}).status_code == 403
    assert _status(one) == Status.PENDING


def test_a_task_goes_through_its_life_by_buttons() -> None:
    one, client = task(), operator()
    for action, status in (
        ("start", Status.RUNNING),
        ("pause", Status.PAUSED),
        ("resume", Status.RUNNING),
        ("cancel", Status.CANCELLED),
        ("restart", Status.CANCELLED),
    ):
        _press(client, action, one)
        assert _status(one) == status
    assert Task.objects.count() == 2
    _press(client, "delete", one)
    assert not Task.objects.filter(pk=one.pk).exists()


def test_a_second_press_says_why_it_does_nothing() -> None:
    one, client = task(), operator()
    _press(client, "start", one)
    assert "cannot be started: it is running" in _press(client, "start", one)
    assert "cannot be deleted: it is running" in _press(client, "delete", one)
    assert _status(one) == Status.RUNNING


def test_a_second_press_of_delete_ends_on_the_list() -> None:
    one, client = task(), operator()
    url = reverse("task-act", args=[one.pk, "delete"])
    assert client.post(url).headers["Location"] == reverse("tasks")
    assert client.post(url).headers["Location"] == reverse("tasks")
    assert f"There is no task {one.pk} any more." in client.get(reverse("tasks")).content.decode()


def test_a_restart_leads_to_the_new_run() -> None:
    one, client = task(), operator()
    Task.objects.update(status=Status.COMPLETED)
    answer = client.post(reverse("task-act", args=[one.pk, "restart"]))
    again = Task.objects.exclude(pk=one.pk).get()
    assert answer.headers["Location"] == reverse("task", args=[again.pk])
    assert "cannot be restarted" in _press(client, "restart", one)


def test_only_what_can_be_done_now_is_offered() -> None:
    one, client = running(), operator()
    page = client.get(reverse("tasks")).content.decode()
    offered = [
        word for word in ("start", "pause", "resume", "cancel", "retry", "delete") if f"/{one.pk}/{word}" in page
    ]
    assert offered == ["pause", "cancel"]


def test_it_says_what_is_lost_before_it_is_done() -> None:
    """Pitfall E9b."""
    one, client = task(), operator()
    experiment(one)
    page = client.get(reverse("task-act", args=[one.pk, "delete"])).content.decode()
    assert "data-question" in page
    assert "Lost for ever: 1 experiment, 0 log lines, 0 files." in page
    assert Task.objects.exists()


def test_a_retry_runs_failed_experiments_again() -> None:
    one, client = running(), operator()
    experiment(one, status=Experiment.Status.FAILED)
    Task.objects.update(status=Status.FAILED)
    assert (
        "1 failed experiment will run again" in client.get(reverse("task-act", args=[one.pk, "retry"])).content.decode()
    )
    assert "will run again" in _press(client, "retry", one)
    assert Experiment.objects.get().status == Experiment.Status.PENDING


def test_what_cannot_be_done_is_said_instead_of_asked() -> None:
    one, client = task(), operator()
    for action, why in (("retry", "it is pending"), ("restart", "it is pending")):
        page = client.get(reverse("task-act", args=[one.pk, action])).content.decode()
        assert why in page
        assert "No, keep it" not in page
    Task.objects.update(status=Status.COMPLETED)
    page = client.get(reverse("task-act", args=[one.pk, "retry"])).content.decode()
    assert "none of its experiments has failed" in page


def test_a_message_about_many_names_some_and_counts_the_rest() -> None:
    client = operator()
    tasks = [task(name=f"task {number}") for number in range(12)]
    chosen = {"action": "start", "task": [*(one.pk for one in tasks), 999]}
    page = client.post(reverse("tasks-act"), chosen, follow=True).content.decode()
    assert "12 of 13 started: task 0, " in page
    assert "task 9, and 2 more. 1 of them does not exist any more." in page


def test_one_message_says_what_was_done_with_several_and_what_not() -> None:
    client = operator()
    waiting, runs = task(name="waits"), running(name="runs")
    chosen = {"action": "start", "task": [waiting.pk, runs.pk]}
    page = client.post(reverse("tasks-act"), chosen, follow=True).content.decode()
    assert "1 of 2 started: waits. Task runs cannot be started: it is running." in page
    assert _status(waiting) == Status.RUNNING


def test_several_are_asked_about_before_anything_is_lost() -> None:
    client = operator()
    waiting, runs = task(name="waits"), running(name="runs")
    chosen = {"action": "delete", "task": [waiting.pk, runs.pk]}
    question = client.post(reverse("tasks-act"), chosen).content.decode()
    assert "Delete 1 task?" in question
    assert "Task runs cannot be deleted: it is running." in question
    assert Task.objects.count() == 2
    page = client.post(reverse("tasks-act"), {**chosen, "sure": "1"}, follow=True).content.decode()
    assert "1 of 2 deleted: waits." in page
    assert list(Task.objects.all()) == [runs]


def test_nothing_chosen_is_said_and_nonsense_refused() -> None:
    client = operator()
    gone = client.post(reverse("tasks-act"), {"action": "delete", "task": ["998", "999"]}, follow=True)
    assert "0 of 2 deleted. 2 of them do not exist any more." in gone.content.decode()
    assert (
        "No task is selected." in client.post(reverse("tasks-act"), {"action": "start"}, follow=True).content.decode()
    )
    for odd in (
        {"action": "explode", "task": "1"},
        {"action": "start", "task": "x"},
        {"action": "start", "task": "9" * 30},
    ):
        assert client.post(reverse("tasks-act"), odd).status_code == 400
    assert client.get(reverse("tasks-act")).status_code == 405
    assert client.get(reverse("task-act", args=[999, "delete"])).status_code == 404


def test_afterwards_one_is_back_where_one_was_but_never_elsewhere() -> None:
    one, client = task(), operator()
    there = f"{reverse('tasks')}?status=pending"
    url = reverse("task-act", args=[one.pk, "start"])
    assert client.post(url, {"next": there}).headers["Location"] == there
    assert client.post(url, {"next": "//evil.example"}).headers["Location"] == reverse("task", args=[one.pk])
    question = client.get(reverse("task-act", args=[one.pk, "cancel"]), {"next": "//evil.example"}).content.decode()
    assert "evil" not in question
    question = client.get(reverse("task-act", args=[one.pk, "cancel"]), {"next": there}).content.decode()
    assert f'href="{there}"' in question
