"""Processes of the tree are killed: it goes on, or ends, as a whole."""

import signal

from tests.serving.conftest import CSS, Stage, lives, status, wait_until
from tuning.management.supervision.child import Backoff


def test_a_killed_worker_is_started_again(stage: Stage) -> None:
    served = stage.start()
    served.worker().kill()
    assert served.worker(2).is_running()
    served.wait_for_line(r"^The worker \(process \d+\) was ended by SIGKILL; it is started again now\.$")


def test_a_worker_that_keeps_ending_is_started_less_and_less_often(stage: Stage) -> None:
    served = stage.start("--worker=--dying")
    for when in ("now", "in 1 s", "in 2 s"):
        served.wait_for_line(rf"^The worker \(process \d+\) ended with code 3; it is started again {when}\.$")
    assert served.end(signal.SIGINT) == 0, served.output
    assert stage.members() == []


def test_the_time_before_a_restart_is_bounded_and_forgotten_after_a_steady_life() -> None:
    backoff = Backoff()
    assert [backoff.after(4.9) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert [backoff.after(4.9) for _ in range(2000)][-1] == 30
    assert [backoff.after(5), backoff.after(4.9)] == [0, 1]


def test_a_killed_web_server_is_started_again_on_the_same_port(stage: Stage) -> None:
    served = stage.start()
    url = served.url()
    first = served.web()
    processes = [first, *first.children()]
    first.kill()
    served.wait_for_line(r"^The web server \(process \d+\) was ended by SIGKILL; it is started again now\.$")
    assert status(url + CSS) == 200
    assert served.web() != first
    assert not any(map(lives, processes))


def test_a_killed_web_process_is_replaced_without_a_restart(stage: Stage) -> None:
    served = stage.start()
    url = served.url()
    (process,) = served.web().children()
    process.kill()
    assert status(url + CSS) == 200
    assert "web server" not in served.output


def test_what_a_killed_serve_started_ends_by_itself(stage: Stage) -> None:
    """Pitfall C11: SIGKILL leaves neither a web server nor a worker behind."""
    served = stage.start()
    served.url()
    served.end(signal.SIGKILL)
    assert "worker has lost its parent" in served.lines
    assert stage.members() == []


def test_what_a_serve_started_that_is_killed_at_once_ends_by_itself_too(stage: Stage) -> None:
    """Pitfall C11: the parent may be gone before a child has looked who it is."""
    served = stage.start()
    wait_until(lambda: len(served.children()) == 2)
    served.end(signal.SIGKILL)
    assert "Web: " not in served.output
    assert stage.members() == []


def test_a_serve_that_is_started_right_after_a_killed_one_comes_up_on_its_port(stage: Stage) -> None:
    first = stage.start()
    port = first.url().rstrip("/").rpartition(":")[2]
    before = stage.members()
    first.process.kill()
    second = stage.start("--port", port)
    assert status(second.url() + CSS) == 200
    assert not any(map(lives, before))


def test_what_does_not_end_after_a_killed_one_is_named_and_nothing_is_started(stage: Stage) -> None:
    first = stage.start("--worker=--stubborn")
    first.wait_for_line("worker stays")
    worker = first.worker()
    worker.suspend()
    first.process.kill()
    second = stage.start("--hasty")
    assert second.wait() == 1
    assert second.lines[-1].endswith(f"/serve.lock and do not end: {worker.pid}.")
    assert not any("runs" in line for line in second.lines)


def test_waiting_for_a_killed_one_can_be_ended(stage: Stage) -> None:
    first = stage.start("--worker=--stubborn")
    first.wait_for_line("worker stays")
    first.url()
    first.worker().suspend()
    first.process.kill()
    second = stage.start()
    second.wait_for_line(r"^The last serve was killed and its processes are still ending; waiting for them\.$")
    assert second.end(signal.SIGTERM) == 0, second.output
    wait_until(lambda: len(stage.members()) <= 2)
