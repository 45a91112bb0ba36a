"""Pitfall E7a: `/healthz` turns red when a part is really away, and tells strangers nothing else."""

import json
import re
import resource
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.db import connection
from django.test import Client
from huey.contrib.djhuey import HUEY
from pytest_django.fixtures import Settings

from tests.runner.factories import living
from tuning.models import Worker
from tuning.overview import health
from tuning.queue import QUEUE_ERRORS
from tuning.runner.instance import instance_id
from tuning.runner.worker import WorkerProcess

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
sqlite_only = pytest.mark.skipif(connection.vendor != "sqlite", reason="locks a file")


def ask(client: Client | None = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON."""
    answer = (client or Client()).get("/healthz")
    return answer.status_code, answer.json()


def failing(found: dict[str, Any]) -> dict[str, str]:
    """The parts that fail, with their reasons."""
    return {name: part["reason"] for name, part in found.items() if name != "status" and part["status"] != "ok"}


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker that really lives: this process, with its lock and its lease."""
    with WorkerProcess(Worker.Kind.WORKER) as process:
        yield Worker.objects.get(pk=process.id)


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else writes into this file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other
        if other.in_transaction:
            other.execute("ROLLBACK")


def test_all_is_well_when_a_worker_lives(worker: Worker) -> None:
    HUEY.flush()  # of what other tests have started
    code, found = ask()
    free_mb = found["disk"].pop("free_mb")
    assert (code, found) == (
        200,
        {
            "status": "ok",
            "database": {"status": "ok"},
            "queue": {"status": "ok", "waiting": 0},
            "worker": {"status": "ok", "alive": 1},
            "disk": {"status": "ok"},
        },
    )
    assert free_mb > 0


def test_without_a_worker_it_fails() -> None:
    code, found = ask()
    assert (code, found["status"], failing(found)) == (503, "failing", {"worker": "no worker is running"})


def test_it_fails_as_soon_as_the_worker_has_stopped() -> None:
    with WorkerProcess(Worker.Kind.WORKER):
        assert ask()[0] == 200
    assert ask()[0] == 503


def test_a_worker_that_was_killed_and_left_its_row_does_not_count() -> None:
    columns = {"kind": Worker.Kind.WORKER, "host": "here", "pid": 1, "lease_until": 2**40}
    Worker.objects.create(pk="killed", node=instance_id(), **columns)
    assert failing(ask()[1]) == {"worker": "no worker is running"}


def test_a_worker_of_another_host_counts_and_a_task_in_the_foreground_does_not() -> None:
    with WorkerProcess(Worker.Kind.FOREGROUND):
        assert ask()[0] == 503
    living()
    assert ask()[0] == 200


@sqlite_only
def test_a_database_that_is_locked_for_a_moment_is_well(worker: Worker) -> None:
    path = Path(connection.settings_dict["NAME"])
    with locked(path) as other:
        asked = threading.Event()
        answers: list[int] = []

        def look() -> None:
            asked.set()
            answers.append(ask()[0])
            connection.close()

        thread = threading.Thread(target=look)
        thread.start()
        asked.wait(10)
        thread.join(0.2)
        other.execute("ROLLBACK")
        thread.join(10)
    assert answers == [200]


@sqlite_only
def test_a_database_that_stays_locked_fails_in_about_two_seconds(worker: Worker) -> None:
    with locked(Path(connection.settings_dict["NAME"])):
        began = time.monotonic()
        code, found = ask()
        took_s = time.monotonic() - began
    assert (code, set(failing(found))) == (503, {"database", "worker"})
    assert found["database"]["reason"] == "the database cannot be written"
    assert took_s < 5
    assert ask()[0] == 200


@sqlite_only
def test_a_database_that_can_only_be_read_fails(worker: Worker) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = 1")
    try:
        code, found = ask()
        assert (code, "database" in failing(found)) == (503, True)
    finally:
        connection.close()


@sqlite_only
def test_pages_wait_for_a_lock_as_long_as_before() -> None:
    def wait_ms() -> int:
        with connection.cursor() as cursor:
            return int(cursor.execute("PRAGMA busy_timeout").fetchone()[0])

    before = wait_ms()
    ask()
    assert wait_ms() == before > health.BUSY_MS


def test_a_queue_that_is_away_fails(worker: Worker) -> None:
    def waiting() -> int:
        with closing(sqlite3.connect(f"file:{project.DATA_DIR}/none.sqlite3?mode=ro", uri=True)) as queue:
            return int(queue.execute("select count(*) from task").fetchone()[0])

    found = health.health(waiting, QUEUE_ERRORS)
    assert (found.is_ok, failing(found.as_json())) == (False, {"queue": "the queue does not answer"})


def test_a_data_folder_that_is_away_fails(worker: Worker, settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "unmounted"
    code, found = ask()
    reasons = {"worker": "the data folder does not tell", "disk": "the data folder cannot be written"}
    assert (code, failing(found)) == (503, reasons)


def test_a_disk_that_takes_no_byte_more_fails(worker: Worker) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        part = health._disk()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert part.reason == "the data folder cannot be written"


def test_a_disk_that_is_nearly_full_fails(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LEAST_FREE_BYTES", 10**18)
    code, found = ask()
    assert (code, list(failing(found))) == (503, ["disk"])
    assert re.fullmatch(r"less than \d+ MB are free", found["disk"]["reason"])


def test_it_needs_no_user_no_session_and_no_page(worker: Worker, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(7):
        answer = Client().get("/healthz")
    assert answer.status_code == 200
    assert answer.cookies == {}
    assert "no-store" in answer.headers["Cache-Control"]
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_it_is_asked_by_get_and_head_only(worker: Worker) -> None:
    client = Client()
    assert client.head("/healthz").status_code == 200
    assert [client.generic(method, "/healthz").status_code for method in ("POST", "PUT", "DELETE")] == [405] * 3


def test_it_tells_nothing_of_hosts_paths_and_versions(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "unmounted"
    text = json.dumps(ask()[1])
    assert "/" not in text
    assert socket.gethostname() not in text
    assert not re.search(r"\d\.\d|sqlite|django|python|Errno", text, re.IGNORECASE)


def test_behind_tls_a_probe_by_http_is_answered(worker: Worker, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/healthz").status_code == 200
    assert Client().get("/").status_code == 301


def test_it_is_quick(worker: Worker) -> None:
    """Less than 15 ms on a quiet machine; the quickest of several says what it takes."""
    client = Client()
    ask(client)
    took_s = []
    for _ in range(20):
        began = time.perf_counter()
        assert client.get("/healthz").status_code == 200
        took_s.append(time.perf_counter() - began)
    assert min(took_s) < 0.015


def test_the_page_about_it_shows_what_it_answers(worker: Worker) -> None:
    well, ill = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL))
    _, found = ask()
    assert _shape(found) == _shape(well)
    Worker.objects.all().delete()
    _, found = ask()
    assert _shape(found) == _shape(ill)
    assert failing(found) == failing(ill)


def _shape(found: dict[str, Any]) -> dict[str, Any]:
    return {name: sorted(part) if isinstance(part, dict) else part for name, part in found.items()}
