"""The log pages: who may see them, what they refuse, what they cost, and that a line is never markup."""

import re
from typing import Any

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.runner.factories import running
from tests.views.logs import active, address, asked, cursor, numbers, texts, write
from tuning.models import Experiment, LogLine
from tuning.overview.log import COUNTED_LINES, LINES, MAX_ID
from tuning.views.log import log_view

pytestmark = pytest.mark.django_db

PARTS = ("log", "log-lines", "log-text")


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
