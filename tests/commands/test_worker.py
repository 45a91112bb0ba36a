"""run_worker as a process: stopped, killed, asleep, doubled, locked out; nothing is lost, doubled or left running."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psutil
import psycopg
import pytest

from tests.commands.conftest import Installation
from tests.runner.factories import SLOW, text

STATES = "select number, status, attempt, losses from tuning_experiment order by id"
HELD = "select 1 from tuning_slot where claim <> ''"
WORKERS = "select pid from tuning_worker"
ROWS = "select * from tuning_experiment order by id"
LINES = "select * from tuning_logline order by id"
IN_THE_SECOND = "select 1 from tuning_experiment where number = 2 and status = 'benchmarking'"
COMPLETED = "select 1 from tuning_task where status = 'completed'"
LEASE_S = 3.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTUNER_LEASE_S", str(LEASE_S))
    monkeypatch.setenv("AUTOTUNER_GPUS", "none")


def _submit(installed: Installation, *, requests: int = 24, max_parallel: int = 1) -> None:
    """Three experiments, long enough to act meanwhile: a second for each forty requests."""
    workload = {"requests": requests}
    plan = text({"max-num-seqs": [4, 8]}, fixed=SLOW, workload=workload, max_parallel=max_parallel)
    code, _, err = installed.manage("submit_task", installed.document(plan))
    assert code == 0, err


def _until(reached: Callable[[], Any], worker: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + 60
    while not reached():
        assert worker.poll() is None, worker.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.01)


def _wait(installed: Installation, sql: str, worker: subprocess.Popen[str]) -> None:
    _until(lambda: installed.query(sql), worker)


def _end(worker: subprocess.Popen[str]) -> str:
    """Stop it as a supervisor does; what it said."""
    worker.send_signal(signal.SIGTERM)
    began = time.monotonic()
    _, err = worker.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert worker.returncode == 0, err
    assert "Traceback" not in err
    return err


def _check_nothing_is_held(installed: Installation) -> None:
    assert installed.processes() == []
    assert installed.query(HELD) == []
    assert installed.query(WORKERS) == []


def _check_measured_once(installed: Installation, experiments: int) -> None:
    measured = installed.query("select experiment_id, count(*) from tuning_measurementrow group by experiment_id")
    assert [count for _, count in measured] == [1] * experiments


def test_a_stopped_worker_hands_its_work_back_and_the_next_one_goes_on(installed: Installation) -> None:
    """Pitfalls A1, A9c, C11: also with a task that was started while no worker ran; a second worker is refused."""
    _submit(installed)
    worker = installed.start("run_worker")
    _wait(installed, IN_THE_SECOND, worker)

    _end(worker)
    assert installed.query(STATES)[:2] == [(1, "success", 1, 0), (2, "pending", 1, 0)]
    _check_nothing_is_held(installed)

    worker = installed.start("run_worker")
    _wait(installed, WORKERS, worker)
    code, out, err = installed.manage("run_worker")
    assert (code, out) == (1, "")
    assert f"A worker on this data folder is running already, as process {worker.pid}." in err
    assert "Traceback" not in err

    _wait(installed, COMPLETED, worker)
    _end(worker)
    assert installed.query(STATES) == [(1, "success", 1, 0), (2, "success", 2, 0), (3, "success", 1, 0)]
    _check_measured_once(installed, 3)
    _check_nothing_is_held(installed)


def test_after_a_killed_worker_the_next_one_finishes_everything_once(installed: Installation) -> None:
    """Pitfalls A1, A10: the orphan is removed, and the next experiment runs within the lease and 5 s."""
    _submit(installed)
    worker = installed.start("run_worker")
    _wait(installed, IN_THE_SECOND, worker)
    before = installed.query("select * from tuning_experiment where number = 1")
    worker.kill()
    worker.wait()
    killed = time.monotonic()
    (orphan,) = installed.engines()

    worker = installed.start("run_worker")
    _wait(installed, "select 1 from tuning_experiment where number = 2 and attempt = 2", worker)
    assert time.monotonic() - killed < LEASE_S + 5
    assert orphan not in installed.engines()
    _wait(installed, COMPLETED, worker)
    said = _end(worker)

    assert "experiment 2 of task 1 is pending again: attempt 1 lost its worker" in said
    assert f"process {orphan.pid} (" in said
    assert installed.query(STATES) == [(1, "success", 1, 0), (2, "success", 2, 1), (3, "success", 1, 0)]
    assert installed.query("select * from tuning_experiment where number = 1") == before
    _check_measured_once(installed, 3)
    _check_nothing_is_held(installed)


def _lease_has_run_out(installed: Installation) -> bool:
    postgresql = bool(os.environ.get("DATABASE_URL"))
    now = "select extract(epoch from clock_timestamp())" if postgresql else None
    reading = installed.query(now)[0][0] if now else time.clock_gettime(time.CLOCK_BOOTTIME)
    (lease_until,) = installed.query("select max(lease_until) from tuning_experiment")[0]
    return bool(lease_until < reading)


PAUSE_AND_RECONCILE = """
from django.core.management import call_command
call_command("task", "pause", "1")
call_command("reconcile")
"""


def test_a_worker_that_was_asleep_for_longer_than_its_lease_writes_nothing(installed: Installation) -> None:
    """Pitfall A7: its experiment was taken back and its engine removed by another process meanwhile."""
    _submit(installed)
    worker = installed.start("run_worker")
    _wait(installed, IN_THE_SECOND, worker)
    worker.send_signal(signal.SIGSTOP)
    try:
        _until(lambda: _lease_has_run_out(installed), worker)
        code, out, err = installed.manage("shell", "--command", PAUSE_AND_RECONCILE)
        assert code == 0, err
        assert "experiment 2 of task 1 is pending again: attempt 1 lost its worker" in out + err
        assert installed.processes() == []
        rows, lines = installed.query(ROWS), installed.query(LINES)
        seen = installed.query("select seen_at from tuning_worker")
    finally:
        worker.send_signal(signal.SIGCONT)
    _until(lambda: installed.query("select seen_at from tuning_worker") != seen, worker)
    said = _end(worker)
    assert (installed.query(ROWS), installed.query(LINES)) == (rows, lines)
    assert "experiment 2 was taken over by another attempt" in said
    _check_measured_once(installed, 1)
    _check_nothing_is_held(installed)


@contextlib.contextmanager
def _locked(installed: Installation) -> Iterator[None]:
    """Nobody else writes."""
    url = installed.database.environment.get("DATABASE_URL")
    with contextlib.ExitStack() as stack:
        if url:
            server = stack.enter_context(psycopg.connect(url))
            server.execute("lock table tuning_task, tuning_experiment, tuning_worker in exclusive mode")
        else:
            path = installed.folder / "autotuner.sqlite3"
            file = stack.enter_context(closing(sqlite3.connect(path, timeout=20, isolation_level=None)))
            file.execute("begin immediate")
        yield


THREE_TIMES = "from tuning import tasks; [tasks.run_experiment(pk) for pk in (1, 2, 3) * 3 + (999,)]"


def test_messages_that_come_three_times_and_a_database_that_is_locked_do_no_harm(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pitfalls A9a, A9b, A19b: the lock outlasts the leases; nothing is lost or run twice all the same."""
    monkeypatch.setenv("AUTOTUNER_SLOTS", "3")
    _submit(installed, requests=120, max_parallel=3)
    code, _, err = installed.manage("shell", "--command", THREE_TIMES)
    assert code == 0, err
    worker = installed.start("run_worker")
    _wait(installed, IN_THE_SECOND, worker)
    with _locked(installed):
        _until(lambda: _lease_has_run_out(installed), worker)
    _wait(installed, COMPLETED, worker)
    _end(worker)
    assert installed.query(STATES) == [(1, "success", 1, 0), (2, "success", 1, 0), (3, "success", 1, 0)]
    _check_measured_once(installed, 3)
    _check_nothing_is_held(installed)


PARENT = """
import os, signal, subprocess, sys
environment = {**os.environ, "SERVE_PID": str(os.getpid())}
subprocess.Popen([sys.executable, "manage.py", "run_worker", "--with-parent"], env=environment)
signal.pause()
"""


def test_a_worker_that_was_started_with_its_parent_ends_with_it(installed: Installation) -> None:
    """Pitfall C11: however the parent ends."""
    parent = installed.start("shell", "--command", PARENT)
    _wait(installed, WORKERS, parent)
    ((pid,),) = installed.query(WORKERS)
    worker = psutil.Process(pid)
    try:
        assert worker.ppid() == parent.pid
        parent.kill()
        _, err = parent.communicate(timeout=60)  # the pipe is closed when the worker ends
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    assert "hands its work back" in err
    assert installed.query(WORKERS) == []
