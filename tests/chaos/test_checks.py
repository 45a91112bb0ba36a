"""Whatever the chaos run looks for, it finds: each kind of trouble is planted and must be named."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.chaos import audit, checks, faults
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.installation import Answer, Installation, wait_for
from benchmarks.chaos.operator import Given
from benchmarks.chaos.sabotage import SABOTAGES
from benchmarks.chaos.watch import Watch
from tests.chaos.history import LEASE_S, History, copy


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with its database, on which nothing has run."""
    folder = tmp_path_factory.mktemp("installation")
    Installation(folder, LEASE_S).set_up()
    return folder


@pytest.fixture
def history(empty: Path, tmp_path: Path) -> Iterator[History]:
    """An installation that has worked without trouble; every process that bears its mark is gone afterwards."""
    one = copy(empty, tmp_path / "installation")
    yield one
    one.installation.kill()


def reported(history: History) -> set[str]:
    """The names of the checks that fail."""
    return {finding.name for finding in checks.check(history.evidence) if finding.problems}


def test_work_without_trouble_has_no_violation(history: History) -> None:
    assert list(checks.problems(checks.check(history.evidence))) == []


@pytest.mark.parametrize(
    ("sabotage", "check"),
    [
        ("duplicate", "duplicates: 0"),
        ("rewrite", "finished rows never changed, every change legal"),
        ("lose", "experiments with exactly one outcome"),
        ("slot", "leaked slots: 0"),
        ("worker", "workers left in the database: 0"),
        ("state", "tasks in the state that was asked for"),
        ("visit", "visited sets equal the undisturbed run's"),
        ("orphan", "orphaned processes: 0"),
    ],
)
def test_what_is_planted_is_found(history: History, sabotage: str, check: str) -> None:
    SABOTAGES[sabotage](history.installation, history.evidence)
    assert check in reported(history)


def test_every_sabotage_is_tried_here() -> None:
    (mark,) = test_what_is_planted_is_found.pytestmark  # type: ignore[attr-defined]
    assert {name for name, _ in mark.args[1]} == set(SABOTAGES)


def _reopened(history: History) -> None:
    history.change(23, status="pending", claim="")


def _stolen(history: History) -> None:
    history.take(23)
    history.change(23, claim="somebody else's")


def _foreign_handle(history: History) -> None:
    history.take(23, attempt=2)
    history.change(23, handle='{"marks": {"AUTOTUNER_ATTEMPT": "1"}}')


def _deleted(history: History) -> None:
    history.execute("PRAGMA foreign_keys = OFF; ")
    history.execute("DELETE FROM tuning_experiment WHERE id = 23")


@pytest.mark.parametrize("trouble", [_reopened, _stolen, _foreign_handle, _deleted])
def test_a_change_that_nobody_may_make_is_found(history: History, trouble: Callable[[History], None]) -> None:
    trouble(history)
    assert "finished rows never changed, every change legal" in reported(history)


def test_what_a_command_reopens_is_legal(history: History) -> None:
    began = time.time()
    history.execute("DROP TRIGGER chaos_task")
    history.take(23)
    history.change(23, status="failed", reason="engine_crashed")
    history.change(23, status="pending", claim="", reason="")
    history.evidence.given = [Given("retry", 2, began, time.time() + 1, Answer(0, "done"))]
    assert "finished rows never changed, every change legal" not in {
        finding.name
        for finding in checks.check(history.evidence)
        if any("failed -> pending" in problem for problem in finding.problems)
    }


def test_a_write_by_a_claim_that_was_taken_away_is_found(history: History) -> None:
    claim = history.take(23)
    history.change(23, status="pending", claim="", losses=1)
    history.change(23, status="benchmarking", claim=claim)
    assert "writes by a claim that was taken away: 0" in reported(history)


def test_a_log_line_of_an_attempt_that_was_taken_away_is_found(history: History) -> None:
    history.take(23)
    history.change(23, status="pending", claim="", losses=1)
    history.execute(
        "INSERT INTO tuning_logline (task_id, experiment_id, at, level, source, text) "
        "VALUES (2, 23, datetime('now'), 'info', 'runner', 'still here')"
    )
    assert any("still here" in problem for problem in checks.problems(checks.check(history.evidence)))


def test_a_loss_that_nothing_caused_is_found(history: History) -> None:
    history.take(23)
    history.change(23, status="pending", claim="", losses=1)
    assert "losses without a cause: 0" in reported(history)


def test_lost_worker_before_the_third_loss_is_found(history: History) -> None:
    history.take(23)
    history.change(23, status="failed", reason="lost_worker", losses=1)
    assert "lost_worker only after 3 losses" in reported(history)


def test_a_failure_that_nothing_caused_is_found(history: History) -> None:
    history.take(23)
    history.change(23, status="failed", reason="engine_crashed")
    assert "failures without a cause: 0" in reported(history)
    hit = Fault(faults.KILL_ENGINE, time.time() - 1, time.time(), facts={"attempt_of": (23, 1)})
    history.evidence.faults = [hit]
    assert "failures without a cause: 0" not in reported(history)


def test_a_filled_gpu_that_is_given_away_is_found(history: History) -> None:
    now = time.time()
    history.evidence.faults = [Fault(faults.FILL, now - 10, now + 10, "GPU 1", {"gpu": "1"})]
    assert "filled GPUs given away: 0" not in reported(history)
    history.execute("UPDATE tuning_slot SET claim = 'mine' WHERE \"index\" = 1")
    assert "filled GPUs given away: 0" in reported(history)


def test_a_recovery_that_is_late_or_never_comes_is_found(history: History) -> None:
    name = f"recovered within {LEASE_S + 5:g} s"
    now = time.time()
    history.evidence.faults = [Fault(faults.KILL_WORKER, now - 9, now - 9)]
    history.take(23)
    history.execute("UPDATE chaos_audit SET worker = 'the next' WHERE experiment = 23")
    history.execute("DELETE FROM chaos_audit WHERE worker IS NULL AND what = 'status'")
    assert name in reported(history)
    history.evidence.faults = [Fault(faults.KILL_WORKER, now - 2, now - 2)]
    assert name not in reported(history)
    history.evidence.faults = [Fault(faults.KILL_WORKER, now + 9, now + 9)]
    assert name in reported(history)


def test_too_few_faults_and_odd_answers_and_tracebacks_are_found(history: History) -> None:
    history.evidence.asked_faults = 1
    history.evidence.given = [Given("pause", 1, 0.0, 1.0, Answer(2, "Traceback"))]
    history.evidence.doubled = ["cancel of task 1"]
    history.installation.log.write_text("Traceback (most recent call last):\n")
    assert reported(history) == {
        "faults: at least 1",
        "commands done or refused in words",
        "tracebacks on the console: 0",
    }


def test_a_database_that_is_locked_without_a_cause_is_found(history: History) -> None:
    name = "commands done or refused in words"
    history.evidence.given = [Given("pause", 1, 10.0, 30.0, Answer(2, "Database: database is locked"))]
    assert name in reported(history)
    history.evidence.faults = [Fault(faults.STOP_WORKER, 9.0, 31.0, faults.NOTHING)]
    assert name not in reported(history)


def test_engines_on_one_gpu_and_two_engines_of_an_experiment_are_seen(history: History) -> None:
    """With real processes, as the run looks at them."""
    watch = Watch(history.installation.instance)
    children = [_engine(history, experiment, attempt) for experiment, attempt in ((21, 1), (21, 2), (22, 1))]
    try:
        assert wait_for(lambda: len(watch.engines()) == len(children), 10)
        watch.look()
        assert watch.seen.shared_gpus == ["GPU 0: experiments [21, 22]"]
        assert watch.seen.twins.keys() == {21}
    finally:
        for child in children:
            child.kill()
            child.wait()
    history.evidence.seen = watch.seen
    assert "never two engines on a GPU, nor for an experiment" in reported(history)


def _engine(history: History, experiment: int, attempt: int) -> "subprocess.Popen[bytes]":
    marks = {
        "AUTOTUNER_INSTANCE": history.installation.instance,
        "AUTOTUNER_TASK": "2",
        "AUTOTUNER_EXPERIMENT": str(experiment),
        "AUTOTUNER_ATTEMPT": str(attempt),
        "AUTOTUNER_ROLE": "engine",
        "CUDA_VISIBLE_DEVICES": "0",
    }
    return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], env={**os.environ, **marks})


def test_the_audit_writes_down_who_took_what(history: History) -> None:
    history.take(23)
    with audit.connected(history.installation.database) as connection:
        row = connection.execute("SELECT * FROM chaos_audit WHERE experiment = 23").fetchone()
    assert (row["old"], row["new"], row["new_claim"]) == ("pending", "deploying", "claim 23 again")
