"""The log of a task and of an experiment: every line once, however it is asked for, and never as markup."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.runner.factories import experiment, running
from tuning.models import Experiment, LogLine, Task
from tuning.overview.log import COUNTED_LINES, LINES, MAX_ID, SCAN_LINES, is_growing
from tuning.runner.logs import LogBuffer
from tuning.views.log import log_view

pytestmark = pytest.mark.django_db

PARTS = ("log", "log-lines", "log-text")


def write(row: Experiment, count: int, *, level: str = "info", source: str = "engine", text: str = "line {}") -> None:
    """Lines of an experiment, numbered from 1 in their text."""
    now = timezone.now()
    columns = {"task_id": row.task_id, "experiment": row, "at": now, "level": level, "source": source}
    LogLine.objects.bulk_create(LogLine(text=text.format(index + 1), **columns) for index in range(count))


def active(task: Task | None = None, number: int = 1) -> Experiment:
    """An experiment that is measured now."""
    return experiment(task or running(), number, status=Experiment.Status.BENCHMARKING)


def address(owner: Task | Experiment, part: str = "log-lines") -> str:
    if isinstance(owner, Task):
        return reverse(f"task-{part}", args=[owner.pk])
    return reverse(f"experiment-{part}", args=[owner.task_id, owner.number])


def asked(client: Client, owner: Task | Experiment, **query: Any) -> dict[str, Any]:
    """The answer to a request for lines."""
    answer = client.get(address(owner), query)
    assert answer.status_code == 200, answer.headers.get("X-Reason")
    found: dict[str, Any] = answer.json()
    return found


def texts(answer: dict[str, Any]) -> list[str]:
    return [line[-1] for line in answer["lines"]]


def numbers(answer: dict[str, Any]) -> list[int]:
    return [line[1] for line in answer["lines"]]


def cursor(answer: dict[str, Any], edge: str) -> dict[str, Any]:
    """What a page sends to go on from an edge of what it has."""
    pk, number = answer[edge]
    return {"after" if edge == "last" else "before": pk, "number": number}


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


@pytest.mark.parametrize(
    "query",
    [
        {"after": "abc"},
        {"after": "-1"},
        {"after": "1.5"},
        {"after": MAX_ID + 1},
        {"after": "9" * 400},
        {"before": "0"},
        {"before": "'"},
        {"number": "-3", "after": "1"},
        {"after": "1", "before": "2"},
        {"level": "loud"},
        {"source": "moon"},
        {"q": "x" * 201},
        {"q": "\0"},
    ],
)
def test_a_place_or_filter_that_means_nothing_is_refused_with_its_name(
    admin_client: Client, query: dict[str, Any]
) -> None:
    """Pitfall E7b."""
    row = active()
    for part in ("log", "log-lines"):
        for owner in (row, row.task):
            answer = admin_client.get(address(owner, part), query, headers={"HX-Request": "true"})
            assert answer.status_code == 400
            assert answer.headers["X-Reason"].partition(":")[0] in query


def test_a_place_beyond_the_log_is_its_end(admin_client: Client) -> None:
    row = active()
    write(row, 2)
    assert admin_client.get(address(row), {"after": MAX_ID}).status_code == 204
    assert texts(asked(admin_client, row, before=MAX_ID)) == ["line 1", "line 2"]
    assert numbers(asked(admin_client, row, before=MAX_ID)) == [None, None]


@pytest.mark.parametrize("part", PARTS)
def test_there_is_no_log_of_what_does_not_exist(admin_client: Client, part: str) -> None:
    row = active()
    assert admin_client.get(reverse(f"task-{part}", args=[row.task_id + 1])).status_code == 404
    assert admin_client.get(reverse(f"experiment-{part}", args=[row.task_id, 2])).status_code == 404
    assert admin_client.get(reverse(f"experiment-{part}", args=[row.task_id + 1, 1])).status_code == 404
    assert admin_client.post(address(row, part)).status_code == 405


@pytest.mark.parametrize("part", PARTS)
def test_a_log_is_for_those_who_are_signed_in(client: Client, part: str) -> None:
    """Pitfall D1."""
    row = active()
    for owner in (row, row.task):
        assert client.get(address(owner, part)).status_code == 302
        assert client.get(address(owner, part), headers={"HX-Request": "true"}).status_code == 403


def test_a_line_never_becomes_markup(admin_client: Client) -> None:
    """Pitfall D4: log text is text."""
    row = active()
    write(row, 1, text="</div><script>alert(1)</script> & \"quoted\" 'too'")
    for owner in (row, row.task):
        page = admin_client.get(address(owner, "log")).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quoted&quot;" in page
    page = admin_client.get(address(row, "log"), {"q": '"><script>alert(2)</script>'}).content.decode()
    assert "<script>alert" not in page
    answer = admin_client.get(address(row))
    assert answer.headers["Content-Type"] == "application/json"


def test_the_log_of_a_task_says_which_experiment_a_line_is_of(admin_client: Client) -> None:
    row = active(number=7)
    write(row, 1)
    LogLine.objects.create(task=row.task, at=timezone.now(), level="info", source="runner", text="of the task itself")
    assert [line[5] for line in asked(admin_client, row.task)["lines"]] == [7, None]
    page = admin_client.get(address(row.task, "log")).content.decode()
    assert '<span class="source">engine 7</span>' in page
    assert '<span class="source">runner</span>' in page


def test_the_whole_log_is_a_file_of_its_own(admin_client: Client) -> None:
    row = active()
    write(row, 4500, level="warning")
    LogLine.objects.create(task=row.task, at=timezone.now(), level="info", source="runner", text="Größe: 5 µs")
    answer = admin_client.get(address(row.task, "log-text"))
    assert answer.headers["Content-Disposition"] == f'attachment; filename="task-{row.task_id}-log.txt"'
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    pieces = [piece.decode() for piece in answer.streaming_content]
    assert len(pieces) == 3
    lines = "".join(pieces).splitlines()
    assert len(lines) == 4501
    assert lines[0].split(maxsplit=2)[2].split() == ["warning", "engine", "1", "line", "1"]
    assert lines[-1].endswith("Größe: 5 µs")
    name = admin_client.get(address(row, "log-text")).headers["Content-Disposition"]
    assert name == f'attachment; filename="task-{row.task_id}-experiment-1-log.txt"'


def test_an_empty_log_says_what_to_expect(admin_client: Client) -> None:
    row = active()
    assert "Nothing was written yet" in admin_client.get(address(row, "log")).content.decode()
    assert b"".join(admin_client.get(address(row, "log-text")).streaming_content) == b""
    assert asked(admin_client, row)["last"] == [0, 0]
    assert admin_client.get(address(row), {"after": 0}).status_code == 204
    Experiment.objects.filter(pk=row.pk).update(status=Experiment.Status.FAILED)
    assert "There is no such line" in admin_client.get(address(row, "log")).content.decode()


def test_another_page_may_hold_the_log_and_keeps_its_own_address(rf: RequestFactory) -> None:
    row = active()
    write(row, 2, text="<b>line {}</b>")
    view = log_view(row, rf.get("/elsewhere", {"level": "of something else", "q": "x"}))
    assert [line.number for line in view["log"].slice.lines] == [1, 2]
    text = render_to_string("tuning/_log.html", view)
    assert "&lt;b&gt;line 2&lt;/b&gt;" in text
    assert f'action="{address(row, "log")}"' in text
    assert "data-own-page" not in text


@pytest.mark.parametrize("kind", ["task", "experiment"])
@pytest.mark.parametrize("query", ["", "?after=0", "?level=error&q=x", "?before=1000"])
def test_the_number_of_queries_does_not_grow_with_the_log(admin_client: Client, kind: str, query: str) -> None:
    """Pitfall E1."""
    task = running()
    rows = [active(task, number) for number in range(1, 4)]
    owner = task if kind == "task" else rows[0]
    write(rows[0], 1, level="error", text="x")
    for part in ("log", "log-lines"):
        counts = []
        for _ in range(2):
            with CaptureQueriesContext(connection) as queries:
                assert admin_client.get(address(owner, part) + query).status_code == 200
            counts.append(len(queries))
            for row in rows:
                write(row, 300, level="error", text="x")
        assert counts[0] == counts[1] <= 12


@pytest.mark.parametrize("kind", ["task", "experiment"])
def test_every_query_for_lines_walks_along_the_index_of_its_log(admin_client: Client, kind: str) -> None:
    """Pitfall E1: with millions of lines of others a scan of the table would take seconds."""
    row = active()
    write(row, LINES + 1)
    owner = row.task if kind == "task" else row
    with CaptureQueriesContext(connection) as queries:
        seen = asked(admin_client, owner, level="error")
        asked(admin_client, owner, q="line", **cursor(seen, "last") | {"after": 0})
        asked(admin_client, owner, **cursor(seen, "last") | {"after": 0})
        admin_client.get(address(owner, "log"))
    found = [query["sql"] for query in queries if 'FROM "tuning_logline"' in query["sql"]]
    assert len(found) >= 8
    for sql in found:
        with connection.cursor() as cursor_:
            cursor_.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = " ".join(row[3] for row in cursor_.fetchall())
        assert re.search(rf"INDEX (log_of|tuning_logline)_{kind}", plan), plan
        assert "TEMP B-TREE" not in plan


def test_a_log_too_long_to_count_has_no_numbers(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuning.overview.log.COUNTED_LINES", 5)
    assert COUNTED_LINES > 100_000
    row = active()
    write(row, 6)
    assert numbers(asked(admin_client, row)) == [None] * 6
    assert admin_client.get(address(row, "log")).status_code == 200
