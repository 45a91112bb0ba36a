"""run_task is killed, or stopped by Ctrl-C, and run again."""

import signal
from typing import Any

import pytest

from tests.commands.conftest import Installation
from tests.runner.factories import SLOW, text

ROWS = "select number, status, attempt, parameters, value, finished_at from tuning_experiment order by number"
IN_THE_SECOND = "select 1 from tuning_experiment where number = 2 and status = 'benchmarking'"


def _slow() -> str:
    return text({"max-num-seqs": [4, 8]}, fixed=SLOW, workload={"requests": 24})


def _interrupt(installed: Installation, number: signal.Signals) -> tuple[int, str, list[tuple[Any, ...]]]:
    process = installed.start("run_task", installed.document(_slow()))
    installed.wait_for(IN_THE_SECOND)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err, installed.query(ROWS)


def _check_all_counted_once(installed: Installation, before: list[tuple[Any, ...]]) -> None:
    rows = installed.query(ROWS)
    assert [row[0] for row in rows] == [1, 2, 3]
    assert {row[1] for row in rows} == {"success"}
    assert rows[0] == before[0]
    assert [row[2] for row in rows] == [1, 2, 1]
    assert len({row[3] for row in rows}) == 3
    measured = installed.query("select experiment_id, count(*) from tuning_measurementrow group by experiment_id")
    assert [count for _, count in measured] == [1, 1, 1]


def test_a_killed_task_is_taken_up_again_and_its_engine_removed(installed: Installation) -> None:
    """Pitfalls A1, A9c, A10: SIGKILL leaves an engine and active rows; the next run removes and finishes them."""
    code, _, before = _interrupt(installed, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert before[0][1] == "success"
    assert before[1][1] == "benchmarking"
    (orphan,) = installed.engines()

    code, _, err = installed.manage("run_task", installed.folder / "task.yaml")

    assert code == 0, err
    assert not orphan.is_running()
    assert installed.processes() == []
    _check_all_counted_once(installed, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_task_that_is_stopped_ends_cleanly_and_goes_on_when_it_is_run_again(
    installed: Installation, number: signal.Signals
) -> None:
    """Pitfalls A1, A6a: exit 130, no engine, what was finished is kept, and nothing runs twice."""
    code, err, before = _interrupt(installed, number)
    assert code == 130
    assert "Traceback" not in err
    assert installed.processes() == []
    assert [row[1] for row in before] == ["success", "cancelled"]
    assert installed.query("select status from tuning_task") == [("cancelled",)]

    code, _, err = installed.manage("run_task", installed.folder / "task.yaml")

    assert code == 0, err
    _check_all_counted_once(installed, before)


def test_a_task_that_runs_is_not_started_a_second_time(installed: Installation) -> None:
    """Pitfall A9b: the second command says why; the first goes on."""
    first = installed.start("run_task", installed.document(_slow()))
    installed.wait_for("select 1 from tuning_experiment where status = 'benchmarking'")
    code, out, err = installed.manage("run_task", installed.folder / "task.yaml")
    assert (code, out) == (1, "")
    assert f"Task a task is being run by foreground {first.pid} on " in err
    assert err.strip().endswith("; wait for it or stop it first.")
    assert "Traceback" not in err
    _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert installed.query("select count(*) from tuning_experiment") == [(3,)]
