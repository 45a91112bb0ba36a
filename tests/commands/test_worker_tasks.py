"""submit_task, task and run_worker together, as processes: what is pressed while an experiment runs."""

import signal
import time

import pytest

from tests.commands.conftest import Installation
from tests.commands.pressing import ROWS, TASKS, done, end, refused, slow, state, statuses, submitted, wait_for
from tests.runner.factories import text

CANCEL_S = 10.0


def test_cancel_ends_what_runs_within_seconds_and_nothing_further_begins(installed: Installation) -> None:
    """Pitfalls A6a, A9b: engine gone, task cancelled, a second press is refused, resume goes on where it stopped."""
    worker = submitted(installed, slow(500))
    first = installed.query(ROWS)[0]
    began = time.monotonic()
    assert "a task is cancelled" in done(installed, "task", "cancel", "a task")
    wait_for(installed, "select 1 from tuning_experiment where number = 2 and status = 'cancelled'")
    assert installed.processes() == []
    assert time.monotonic() - began < CANCEL_S
    assert refused(installed, "task", "cancel", "1") == "Task a task cannot be cancelled: it is cancelled."
    assert installed.query(TASKS) == [("cancelled",)]
    assert statuses(installed) == ["success", "cancelled"]
    assert installed.query("select claim from tuning_slot") == [("",)]

    assert "The worker takes it up now" in done(installed, "task", "resume", "1")
    wait_for(installed, "select 1 from tuning_task where status = 'completed'")
    assert [row[:3] for row in installed.query(ROWS)] == [(1, "success", 1), (2, "success", 2), (3, "success", 1)]
    assert installed.query(ROWS)[0] == first
    end(worker)


def test_cancel_while_an_engine_starts_ends_it(installed: Installation) -> None:
    """Pitfall A6a: the engine that is being deployed is gone, too."""
    done(installed, "submit_task", installed.document(text(fixed={"simulate-startup-s": 2000})))
    worker = installed.start("run_worker")
    wait_for(installed, "select 1 from tuning_experiment where status = 'deploying' and command_line <> ''")
    began = time.monotonic()
    done(installed, "task", "cancel", "1")
    wait_for(installed, "select 1 from tuning_experiment where status = 'cancelled'")
    assert installed.processes() == []
    assert time.monotonic() - began < CANCEL_S
    end(worker)


def test_pause_lets_what_runs_finish_and_resume_goes_on(installed: Installation) -> None:
    worker = submitted(installed, slow(500))
    assert "what runs is finished" in done(installed, "task", "pause", "1")
    assert refused(installed, "task", "pause", "1") == "Task a task cannot be paused: it is paused."
    wait_for(installed, "select 1 from tuning_experiment where number = 2 and status = 'success'")
    wait_for(installed, "select 1 from tuning_slot where claim = ''")
    done(installed, "reconcile")
    assert statuses(installed) == ["success", "success"]
    assert installed.query(TASKS) == [("paused",)]
    done(installed, "task", "resume", "1")
    wait_for(installed, "select 1 from tuning_task where status = 'completed'")
    assert [row[:3] for row in installed.query(ROWS)] == [(1, "success", 1), (2, "success", 1), (3, "success", 1)]
    end(worker)


def test_retry_runs_failed_experiments_only(installed: Installation) -> None:
    """Pitfall A1: what succeeded is not touched."""
    failing = text({"simulate-failure": [None, "crash-at-start"]})
    done(installed, "submit_task", installed.document(failing))
    worker = installed.start("run_worker")
    wait_for(installed, "select 1 from tuning_task where status = 'completed'")
    before = installed.query(ROWS)
    failed = [row[0] for row in before if row[1] == "failed"]
    assert len(failed) == 1
    assert "1 failed experiment of a task will run again" in done(installed, "task", "retry", "1")
    wait_for(installed, f"select 1 from tuning_experiment where number = {failed[0]} and attempt = 2")  # noqa: S608
    wait_for(installed, "select 1 from tuning_task where status = 'completed'")
    after = installed.query(ROWS)
    assert [row for row in after if row[0] not in failed] == [row for row in before if row[0] not in failed]
    assert [row[1:3] for row in after if row[0] in failed] == [("failed", 2)]
    end(worker)


def test_restart_makes_a_run_of_its_own(installed: Installation) -> None:
    """Pitfalls A6b, A19c: refused while it runs; the first results are kept beside those of the second run."""
    worker = submitted(installed, slow())
    assert refused(installed, "task", "restart", "1") == "Task a task cannot be restarted: it is running."
    wait_for(installed, "select 1 from tuning_task where status = 'completed'")
    first = installed.query("select * from tuning_experiment where task_id = 1 order by number")
    assert "a task (run 2) is started as task 2" in done(installed, "task", "restart", "a task")
    wait_for(installed, "select 1 from tuning_task where run = 2 and status = 'completed'")
    assert installed.query("select * from tuning_experiment where task_id = 1 order by number") == first
    assert installed.query("select count(*) from tuning_experiment where task_id = 2") == [(len(first),)]
    end(worker)


def test_a_task_that_is_submitted_while_the_queue_is_down_is_found_by_the_next_worker(installed: Installation) -> None:
    """Pitfall A9a: said on stderr; the row is what counts."""
    kept = dict(installed.database.environment)
    installed.database.environment["HUEY_URL"] = "redis://127.0.0.1:1/0"
    code, out, err = installed.manage("submit_task", installed.document(text()))
    installed.database.environment.clear()
    installed.database.environment.update(kept)
    assert (code, "Traceback" in err) == (0, False)
    assert "started" in out
    assert "the queue does not answer" in err
    assert installed.query(TASKS) == [("running",)]
    worker = installed.start("run_worker")
    wait_for(installed, "select 1 from tuning_task where status = 'completed'")
    end(worker)


def test_a_second_worker_on_a_data_folder_refuses_and_names_the_first(installed: Installation) -> None:
    first = installed.start("run_worker")
    installed.wait_for("select 1 from tuning_worker where kind = 'worker'")
    sentence = f"A worker on this data folder is running already, as process {first.pid}."
    assert refused(installed, "run_worker") == sentence
    assert f"worker, process {first.pid} on " in done(installed, "list_slots")
    end(first)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_reconcile_says_what_it_would_do_and_does_it(installed: Installation, how: signal.Signals) -> None:
    """Pitfalls A9c, A10: after SIGKILL an engine and a row are left; after SIGTERM nothing is."""
    worker = submitted(installed, slow(500))
    worker.send_signal(how)
    worker.communicate(timeout=60)
    before = state(installed)
    planned = done(installed, "reconcile", "--dry-run")
    assert state(installed) == before
    said = done(installed, "reconcile")
    assert said.startswith(planned)
    if how == signal.SIGTERM:
        assert said == "nothing to do\n"
    else:
        lost, removed, freed = said.splitlines()
        assert lost == "experiment 2 of task 1 is pending again: attempt 1 lost its worker"
        assert " is removed: attempt 1 of experiment 2 (task 1) is not running" in removed
        assert freed.endswith("is free again: the experiment that had it is not running")
    assert installed.processes() == []
    assert statuses(installed) == ["success", "pending"]
    assert done(installed, "reconcile") == "nothing to do\n"
