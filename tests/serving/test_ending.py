"""One signal ends web server and worker, and nothing of them is left."""

import os
import signal
import sys

import pytest

from tests.serving.conftest import STAND_IN, Stage, lives, wait_until


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_everything_and_lets_the_worker_hand_back_its_work(
    stage: Stage, number: signal.Signals
) -> None:
    """Pitfall C11: what was asked for reaches the worker, whichever way it is asked for."""
    served = stage.start()
    served.url()
    assert served.end(number) == 0, served.output
    assert served.lines.count("worker hands back") == 1
    assert stage.members() == []


def test_ctrl_c_on_a_terminal_ends_everything_once(stage: Stage) -> None:
    """Pitfall C11: the signal goes to the whole foreground group, and only `serve` is in it."""
    served = stage.start()
    served.url()
    assert {os.getpgid(process.pid) == served.process.pid for process in [served.web(), served.worker()]} == {False}
    os.killpg(served.process.pid, signal.SIGINT)
    assert served.wait() == 0, served.output
    assert served.lines.count("worker hands back") == 1
    assert stage.members() == []


def test_a_signal_before_the_web_server_answers_ends_everything_too(stage: Stage) -> None:
    served = stage.start()
    served.worker()
    assert served.end(signal.SIGINT) == 0, served.output
    assert stage.members() == []


def test_a_second_ctrl_c_ends_at_once_what_the_worker_has_started_too(stage: Stage) -> None:
    served = stage.start("--worker=--stubborn")
    served.wait_for_line("worker stays")
    (engine,) = served.worker().children()

    def is_heard() -> bool:
        served.process.send_signal(signal.SIGINT)
        return "Ending at once." in served.lines

    wait_until(is_heard)
    assert served.wait() == 0, served.output
    assert not lives(engine)
    assert stage.members() == []


def test_a_worker_that_does_not_end_in_time_is_killed_with_what_it_has_started(stage: Stage) -> None:
    served = stage.start("--hasty", "--worker=--stubborn")
    served.wait_for_line("worker stays")
    assert served.end(signal.SIGTERM) == 0, served.output
    assert "The worker has not ended in 1 s; it is killed." in served.lines
    assert stage.members() == []


def test_it_ends_with_the_process_that_started_it(stage: Stage) -> None:
    """Pitfall C11: `make serve` is killed, and nothing is left of what it had started."""
    starter = f"import subprocess, sys; subprocess.run({[*STAND_IN]!r} + sys.argv[1:])"
    served = stage.start("--with-parent", command=(sys.executable, "-c", starter))
    served.url()
    served.end(signal.SIGKILL)
    assert "worker hands back" in served.lines
    assert stage.members() == []


def test_a_parent_that_has_gone_before_it_could_look_is_noticed(stage: Stage) -> None:
    served = stage.start("--with-parent", str(os.getppid()))
    assert served.wait() == 0, served.output
    assert stage.members() == []
