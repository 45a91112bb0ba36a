"""Several worker hosts: data folders of their own, one database, one queue."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import Installation
from tests.runner.factories import text

pytestmark = pytest.mark.services

START = """
from pathlib import Path
from tuning import tasks
from tuning.management.documents import accept
from tuning.runner import lifecycle
from tuning.runner.intake import submit
lifecycle.start(submit(accept(Path({path!r})).document), tasks.wake)
"""
EXPERIMENTS = "select number, status, attempt from tuning_experiment order by number"
COMPLETED = "select 1 from tuning_task where status = 'completed'"


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Installation, Installation]]:
    """Two hosts with a slot each."""
    monkeypatch.setenv("AUTOTUNER_LEASE_S", "3")
    monkeypatch.setenv("AUTOTUNER_GPUS", "none")
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir(mode=0o700)
    first = Installation(folders[0])
    second = Installation(folders[1], first.database)
    code, _, err = first.manage("migrate", "--verbosity", "0")
    assert code == 0, err
    yield first, second
    second.close()
    first.close()


def start(host: Installation, document: str) -> None:
    """Submit and start a task there."""
    code, _, err = host.manage("shell", "--command", START.format(path=str(host.document(document))))
    assert code == 0, err


def measured_on(host: Installation) -> set[tuple[int, int]]:
    """Number and attempt of the experiments whose raw results lie there."""
    words = [folder.name.split("-") for folder in (host.folder / "results").glob("task-*/experiment-*")]
    return {(int(number), int(attempt)) for _, number, _, attempt in words}


def test_two_hosts_share_the_experiments_of_a_task_and_none_is_run_twice(
    hosts: tuple[Installation, Installation],
) -> None:
    """Pitfall A11."""
    start(hosts[0], text({"max-num-seqs": [1, 2, 3, 4, 5, 6, 7]}, max_parallel=2))
    workers = [host.start("run_worker") for host in hosts]
    hosts[0].wait_for(COMPLETED)
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(30) for worker in workers] == [0, 0]
    assert hosts[0].query(EXPERIMENTS) == [(number, "success", 1) for number in range(1, 9)]
    here, there = map(measured_on, hosts)
    assert here
    assert there
    assert here & there == set()
    assert here | there == {(number, 1) for number in range(1, 9)}


def test_another_host_takes_over_when_one_is_lost(hosts: tuple[Installation, Installation]) -> None:
    """Pitfalls A9c, A10: the lost attempt counts once, and its engine goes when its host comes back."""
    slow = {"simulate-ttft-ms": 5000}
    start(hosts[0], text({"max-num-seqs": [1, 2]}, fixed=slow))
    lost = hosts[0].start("run_worker")
    hosts[0].wait_for("select 1 from tuning_experiment where status = 'benchmarking'")
    lost.send_signal(signal.SIGKILL)
    lost.communicate()
    hosts[1].start("run_worker")
    hosts[1].wait_for(COMPLETED)
    assert hosts[1].query(EXPERIMENTS) == [(1, "success", 2), (2, "success", 1), (3, "success", 1)]
    assert measured_on(hosts[1]) == {(1, 2), (2, 1), (3, 1)}
    code, _, err = hosts[0].manage("shell", "--command", "from tuning.runner.reconcile import reconcile; reconcile()")
    assert code == 0, err
    assert hosts[0].processes() == []


CUT = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
"""


def test_a_database_that_cuts_its_connections_fails_no_experiment(hosts: tuple[Installation, Installation]) -> None:
    """Pitfall A9c: it is another attempt, or not even that."""
    start(hosts[0], text({"max-num-seqs": [1]}, fixed={"simulate-ttft-ms": 5000}))
    worker = hosts[0].start("run_worker")
    hosts[0].wait_for("select 1 from tuning_experiment where status = 'benchmarking'")
    hosts[0].query(CUT)
    hosts[0].wait_for(COMPLETED)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert [(number, status) for number, status, _ in hosts[0].query(EXPERIMENTS)] == [(1, "success"), (2, "success")]
