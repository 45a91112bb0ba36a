"""How tests use an installation as a person does: submit, press, wait, look."""

import signal
import time
from typing import Any

from tests.commands.conftest import Installation
from tests.runner.factories import SLOW, text

TASKS = "select status from tuning_task order by id"
ROWS = "select number, status, attempt, value, finished_at from tuning_experiment order by number"
BENCHMARKING = "select 1 from tuning_experiment where number = 2 and status = 'benchmarking'"
TTFT = "simulate-ttft-ms"


def slow(*others: int) -> str:
    """A quick baseline, an experiment of seven seconds, and others of which each is as slow as its number says."""
    return text({TTFT: [SLOW[TTFT], *others]}, workload={"requests": 280})


def done(installed: Installation, *arguments: Any) -> str:
    """What a command that succeeds says; nothing on stderr."""
    code, out, err = installed.manage(*arguments)
    assert (code, err) == (0, ""), err
    return out


def refused(installed: Installation, *arguments: Any) -> str:
    """The sentence of a command that does not."""
    code, out, err = installed.manage(*arguments)
    assert (code, out) == (1, ""), (out, err)
    assert "Traceback" not in err
    return err.removeprefix("CommandError: ").strip()


def submitted(installed: Installation, document: str) -> Any:
    """A worker that has begun the second experiment of a task."""
    assert "No worker is running; start one with" in done(installed, "submit_task", installed.document(document))
    worker = installed.start("run_worker")
    installed.wait_for(BENCHMARKING)
    return worker


def wait_for(installed: Installation, sql: str) -> None:
    """Wait until a query has rows; commands may have ended meanwhile, the worker has not."""
    give_up = time.monotonic() + 60
    while not installed.query(sql):
        assert time.monotonic() < give_up, (sql, installed.query(ROWS), installed.query(TASKS))
        time.sleep(0.01)


def end(worker: Any) -> None:
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 0


def state(installed: Installation) -> tuple[Any, ...]:
    """What reconciling could change; a load generator ends by itself when its worker is gone."""
    engines = [engine.pid for engine in installed.engines()]
    return installed.query(ROWS), installed.query("select claim from tuning_slot"), engines


def statuses(installed: Installation) -> list[str]:
    return [row[1] for row in installed.query(ROWS)]
