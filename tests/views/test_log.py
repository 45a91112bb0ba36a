"""The log of a task and of an experiment: every line once, however it is asked for."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.runner.factories import experiment, running
from tests.views.logs import active, address, asked, cursor, numbers, texts, write
from tuning.models import Experiment, LogLine, Task
from tuning.overview.log import LINES, SCAN_LINES, is_growing
from tuning.runner.logs import LogBuffer

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("kind", ["task", "experiment"])
def test_the_page_shows_the_last_lines_and_leads_to_the_older_ones(admin_client: Client, kind: str) -> None:
    """Pitfalls E1, E3: one slice, whatever the length."""
    row = active()
    write(row, LINES + 20)
    owner = row.task if kind == "task" else row
    page = admin_client.get(address(owner, "log"))
    assert page.content.decode().count('class="log-line log-') == LINES
    log = page.context["log"]
    assert [line.number for line in log.slice.lines] == list(range(21, LINES + 21))
    older = admin_client.get(log.older_url).context["log"]
    assert [line.text for line in older.slice.lines] == [f"line {number}" for number in range(1, 21)]
    assert [line.number for line in older.slice.lines] == list(range(1, 21))
    assert not older.slice.has_older
    newer = admin_client.get(older.newer_url).context["log"]
    assert [line.number for line in newer.slice.lines] == list(range(21, LINES + 21))
    assert admin_client.get(log.oldest_url).context["log"].slice.lines[0].number == 1


def test_a_log_is_read_forwards_and_backwards_without_gap_or_double(admin_client: Client) -> None:
    """Pitfalls E2a, E3: ids strictly increase, and a piece begins where the one before ended."""
    task = running()
    row, other = active(task), active(task, 2)
    for _ in range(13):
        write(row, 100)
        write(other, 7)
    wanted = [(index % 100) + 1 for index in range(1300)]
    forwards, answer = [], asked(admin_client, row, after=0)
    while answer["lines"]:
        forwards += answer["lines"]
        piece = admin_client.get(address(row), cursor(answer, "last"))
        answer = piece.json() if piece.status_code == 200 else {"lines": []}
    assert [line[1] for line in forwards] == list(range(1, 1301))
    assert [line[-1] for line in forwards] == [f"line {number}" for number in wanted]
    assert sorted({line[0] for line in forwards}) == [line[0] for line in forwards]
    answer = asked(admin_client, row)
    backwards = answer["lines"]
    while answer["older"]:
        answer = asked(admin_client, row, **cursor(answer, "first"))
        backwards = answer["lines"] + backwards
    assert backwards == forwards


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"level": "debug"}, ["d", "i", "w", "e"]),
        ({"level": "info"}, ["i", "w", "e"]),
        ({"level": "warning"}, ["w", "e"]),
        ({"level": "error"}, ["e"]),
        ({"source": "runner"}, ["w"]),
        ({"q": "W"}, ["w"]),
        ({"q": "%"}, []),
        ({"q": "_"}, []),
        ({"level": "error", "source": "runner"}, []),
    ],
)
def test_only_what_is_wanted_is_sent(admin_client: Client, query: dict[str, str], expected: list[str]) -> None:
    row = active()
    for text, level, source in (
        ("d", "debug", "engine"),
        ("i", "info", "benchmark"),
        ("w", "warning", "runner"),
        ("e", "error", "engine"),
    ):
        write(row, 1, level=level, source=source, text=text)
    assert texts(asked(admin_client, row, **query)) == expected
    assert texts(asked(admin_client, row, after=0, **query)) == expected


def test_wanted_lines_keep_their_numbers_and_are_found_however_rare_they_are(admin_client: Client) -> None:
    """The server looks at a bounded number of lines at once and says how far it came."""
    row = active()
    write(row, 1, level="error", text="the first")
    write(row, SCAN_LINES + 10)
    write(row, 1, level="error", text="the last")
    last = asked(admin_client, row, level="error")
    assert (texts(last), numbers(last), last["older"]) == (["the last"], [SCAN_LINES + 12], True)
    first = asked(admin_client, row, level="error", **cursor(last, "first"))
    assert (texts(first), numbers(first), first["older"]) == (["the first"], [1], False)
    first = asked(admin_client, row, level="error", after=0)
    assert (texts(first), numbers(first), first["newer"]) == (["the first"], [1], True)
    last = asked(admin_client, row, level="error", **cursor(first, "last"))
    assert (texts(last), numbers(last), last["newer"]) == (["the last"], [SCAN_LINES + 12], False)


def test_more_wanted_lines_than_one_piece_holds_come_in_several(admin_client: Client) -> None:
    row = active()
    for _ in range(LINES + 10):
        write(row, 1, level="error")
        write(row, 1)
    found = asked(admin_client, row, after=0, level="error")
    assert (len(found["lines"]), found["newer"]) == (LINES, True)
    rest = asked(admin_client, row, level="error", **cursor(found, "last"))
    assert numbers(found) + numbers(rest) == list(range(1, 2 * (LINES + 10), 2))
    found = asked(admin_client, row, level="error")
    assert (len(found["lines"]), found["older"]) == (LINES, True)
    rest = asked(admin_client, row, level="error", **cursor(found, "first"))
    assert numbers(rest) + numbers(found) == list(range(1, 2 * (LINES + 10), 2))


@pytest.mark.parametrize("query", [{}, {"level": "warning"}])
def test_who_follows_a_fast_log_may_skip_to_its_end_and_is_told_so(admin_client: Client, query: Any) -> None:
    row = active()
    write(row, 3, level="error")
    seen = asked(admin_client, row, **query)
    write(row, LINES, level="error")
    near = asked(admin_client, row, skip="on", **query, **cursor(seen, "last"))
    assert (numbers(near), near["skipped"]) == (list(range(4, LINES + 4)), False)
    assert admin_client.get(address(row), {"skip": "on", **query, **cursor(near, "last")}).status_code == 204
    write(row, SCAN_LINES, level="error")
    far = asked(admin_client, row, skip="on", **query, **cursor(seen, "last"))
    assert numbers(far) == list(range(SCAN_LINES + 4, SCAN_LINES + LINES + 4))
    assert (far["skipped"], far["older"], far["newer"]) == (True, True, False)
    older = asked(admin_client, row, **query, **cursor(far, "first"))
    assert numbers(older)[-1] == SCAN_LINES + 3


def test_nothing_new_costs_next_to_nothing(admin_client: Client) -> None:
    """Pitfall E3: an idle poll is an empty answer."""
    row = active()
    write(row, 3)
    seen = asked(admin_client, row)
    answer = admin_client.get(address(row), cursor(seen, "last"))
    assert (answer.status_code, answer.content) == (204, b"")
    assert len(str(answer.headers)) < 2000
    write(row, 1, text="new")
    assert texts(asked(admin_client, row, **cursor(seen, "last"))) == ["new"]


def test_a_reader_of_a_finished_log_is_told_that_nothing_will_come(admin_client: Client) -> None:
    """Pitfall E2b: the poll ends."""
    row = active()
    write(row, 3)
    seen = asked(admin_client, row)
    assert seen["growing"]
    Experiment.objects.filter(pk=row.pk).update(status=Experiment.Status.SUCCESS)
    answer = asked(admin_client, row, **cursor(seen, "last"))
    assert (answer["lines"], answer["newer"], answer["growing"]) == ([], False, False)
    assert answer["last"] == seen["last"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["task", "experiment"])
def test_every_line_of_a_concurrent_writer_arrives_once_and_then_the_poll_ends(admin_client: Client, kind: str) -> None:
    """Pitfalls E2a, E2b: also the lines that are written just before the end."""
    row = active()
    others = active(row.task, 2)
    count = 4000

    def work() -> None:
        try:
            with LogBuffer(row.task) as logs:
                say, other = logs.sink(LogLine.Source.ENGINE, row), logs.sink(LogLine.Source.ENGINE, others)
                for index in range(count):
                    say("info", f"line {index + 1}")
                    other("info", "of another one")
            ended = timezone.now() - timedelta(minutes=1)
            Task.objects.filter(pk=row.task_id).update(status=Task.Status.COMPLETED, finished_at=ended)
            Experiment.objects.filter(task=row.task_id).update(status=Experiment.Status.SUCCESS)
        finally:
            connection.close()

    owner = row.task if kind == "task" else row
    writer = threading.Thread(target=work)
    writer.start()
    place, found, goes_on = {"after": 0, "number": 0}, [], True
    while goes_on:
        answer = admin_client.get(address(owner), place)
        if answer.status_code == 204:
            continue
        piece = answer.json()
        assert len(piece["lines"]) <= LINES
        found += piece["lines"]
        place = cursor(piece, "last")
        goes_on = piece["growing"] or piece["newer"]
    writer.join()
    mine = [line[-1] for line in found if line[5] in (None, 1)]
    assert mine == [f"line {index + 1}" for index in range(count)]
    assert [line[1] for line in found] == list(range(1, len(found) + 1))
    assert len(found) == count * (2 if kind == "task" else 1)


def test_a_task_that_has_just_ended_may_still_say_so() -> None:
    """Pitfall E2b: its end is in its row before it is in its log; and experiments end after their task is cancelled."""
    task = running()
    assert is_growing(task)
    task.status, task.finished_at = Task.Status.CANCELLED, timezone.now()
    assert is_growing(task)
    task.finished_at = timezone.now() - timedelta(minutes=1)
    assert not is_growing(task)
    active(task)
    assert is_growing(task)


@pytest.mark.parametrize(("status", "grows"), [("running", True), ("completed", False), ("cancelled", False)])
def test_an_experiment_that_waits_will_say_something_unless_its_task_has_ended(status: str, grows: bool) -> None:
    task = running()
    task.status = status
    assert is_growing(experiment(task)) is grows
