"""The whole program as it is started: `manage.py serve` and `make serve`, with the real worker."""

import os
import signal
import sys

import pytest

from tests.serving.conftest import Served, Stage

SERVE = (sys.executable, "manage.py", "serve")
MAKE = ("make", "--old-file=setup", "serve", "PORT=0")


def test_the_real_worker_hands_back_its_work_and_everything_ends(stage: Stage) -> None:
    served = stage.start(command=SERVE)
    served.url()
    served.worker()
    assert served.end(signal.SIGTERM) == 0, served.output
    served.wait_for_line("hands its work back")
    assert stage.members() == []


def test_a_killed_real_worker_is_started_again(stage: Stage) -> None:
    served = stage.start(command=SERVE)
    served.worker().kill()
    assert served.worker(2).is_running()


def test_a_schema_that_does_not_fit_is_said_before_anything_is_started(stage: Stage) -> None:
    (stage.folder / "autotuner.sqlite3").unlink()
    served = stage.start(command=SERVE)
    assert served.wait() == 1
    assert served.lines == ["CommandError: The database is not up to date; run `manage.py migrate` first."]


def _make(stage: Stage) -> Served:
    served = stage.run(*MAKE)
    served.url()
    served.worker()
    return served


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_make_serve(stage: Stage, number: signal.Signals) -> None:
    """Pitfall C11."""
    served = _make(stage)
    assert served.end(number) != 0
    served.wait_for_line("hands its work back")
    assert stage.members() == []


def test_ctrl_c_ends_make_serve(stage: Stage) -> None:
    """Pitfall C11: make and `serve` are in the foreground group of the terminal, the children are not."""
    served = _make(stage)
    os.killpg(served.process.pid, signal.SIGINT)
    served.wait()
    assert len([line for line in served.lines if "hands its work back" in line]) == 1
    assert "Ending at once." not in served.lines
    assert stage.members() == []
