"""What `serve` listens on and serves, and when it refuses to start."""

import os
import socket
import urllib.request

import psutil
import pytest

from tests.serving.conftest import CSS, Served, Stage, members, status


def test_it_is_reachable_from_this_machine_only_unless_asked_otherwise(running: Served) -> None:
    """Pitfall D1."""
    assert running.url().startswith("http://127.0.0.1:")
    listening = {
        connection.laddr[0]
        for process in members(running.folder)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")])  # noqa: S104
def test_other_addresses_can_be_chosen(stage: Stage, host: str, shown: str) -> None:
    served = stage.start("--host", host)
    assert served.url().startswith(f"http://{shown}")
    assert status(served.url() + CSS) == 200


def test_pages_need_a_login_and_look_as_they_should_without_debug(running: Served) -> None:
    """Pitfall D1: static files are served without DEBUG and without a step that collects them."""
    url = running.url()
    assert status(url + "admin/login/") == 200
    assert status(url + "admin/") == 302
    with urllib.request.urlopen(url + CSS) as response:
        assert response.headers["Content-Type"].startswith("text/css")
        assert b"--primary" in response.read()
    assert "Warning" not in running.output


def test_behind_a_proxy_with_tls_the_scheme_that_it_names_counts(stage: Stage) -> None:
    served = stage.start(AUTOTUNER_TLS="1", AUTOTUNER_ALLOWED_HOSTS="tuner.example.org")
    url = served.url() + "admin/login/"
    assert status(url, {"Host": "tuner.example.org", "X-Forwarded-Proto": "https"}) == 200
    assert status(url, {"Host": "tuner.example.org"}) == 301
    assert status(url, {"X-Forwarded-Proto": "https"}) == 400


def test_a_port_that_is_taken_is_said_with_who_has_it_and_nothing_is_started(stage: Stage) -> None:
    """Pitfall C11: nobody is killed to get a port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = stage.start("--port", str(port))
        assert served.wait() == 1
    (line,) = served.lines
    name = psutil.Process().name()
    assert line == (
        f"CommandError: Port {port} is taken by process {os.getpid()} ({name}). Give another one with --port."
    )
    assert stage.members() == []


def test_an_address_of_another_machine_is_refused_with_a_sentence(stage: Stage) -> None:
    served = stage.start("--host", "192.0.2.1")
    assert served.wait() == 1
    assert served.lines[0].startswith("CommandError: 192.0.2.1 port 0 cannot be listened on: ")
    assert len(served.lines) == 1


@pytest.mark.parametrize("arguments", [("--port", "65536"), ("--port", "http"), ("--workers", "0")])
def test_an_odd_number_is_refused_with_its_limits(stage: Stage, arguments: tuple[str, str]) -> None:
    served = stage.start(*arguments)
    assert served.wait() == 2
    assert f"'{arguments[1]}' is not a whole number from" in served.lines[-1]


def test_a_second_one_on_the_same_data_folder_is_refused_with_the_number_of_the_first(
    running: Served, stage: Stage
) -> None:
    second = stage.start(AUTOTUNER_DATA_DIR=str(running.folder))
    assert second.wait() == 1
    assert second.lines == [f"CommandError: {running.folder} is already served by process {running.process.pid}."]
    assert running.worker().is_running()


def test_a_lock_file_of_somebody_else_is_refused_with_a_sentence(stage: Stage) -> None:
    (stage.folder / "serve.lock").mkdir()
    served = stage.start()
    assert served.wait() == 1
    assert served.lines == [f"CommandError: {stage.folder}/serve.lock cannot be opened: Is a directory."]
