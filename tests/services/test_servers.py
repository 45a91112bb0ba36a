"""The servers of the tests are reached from this machine only, and are gone whatever ends their run."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

pytestmark = pytest.mark.services

PROJECT = Path(__file__).parents[2]
PROGRAMS = ("postgres", "redis-server")
WAITS = """
import signal
def test_that_waits():
    print("waiting", flush=True)
    signal.pause()
"""


@pytest.fixture
def a_run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m tests.services` in the middle of a test that does not end."""
    (tmp_path / "test_waits.py").write_text(WAITS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ["-c", str(tmp_path / "pytest.ini"), "-s", "-p", "no:django", "-p", "no:cacheprovider", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.services", *options],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "waiting" in line:
            break
    servers = children(process)
    assert {server.name() for server in servers} >= set(PROGRAMS), said
    yield process
    process.kill()
    process.communicate()
    for server in servers:
        if server.is_running():
            server.kill()


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_server_outlives_its_run(number: signal.Signals, a_run: subprocess.Popen[str]) -> None:
    servers = children(a_run)
    folders = {Path(server.cwd()) for server in servers}
    folders = {folder.parent if folder.name == "data" else folder for folder in folders}
    a_run.send_signal(number)
    assert a_run.wait(30) != 0
    _, left = psutil.wait_procs(servers, timeout=30)
    assert left == []
    if number == signal.SIGKILL:  # nobody was left to remove them
        for folder in folders:
            shutil.rmtree(folder)
    assert not [folder for folder in folders if folder.exists()]


@pytest.mark.parametrize("variable", ["DATABASE_URL", "HUEY_URL"])
def test_a_server_listens_on_loopback_only(variable: str) -> None:
    port = urlsplit(os.environ[variable]).port
    listening = [
        line.laddr for line in psutil.net_connections("inet") if line.status == psutil.CONN_LISTEN and line.laddr
    ]
    assert {address.ip for address in listening if address.port == port} == {"127.0.0.1"}


def test_a_server_that_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tests.services.servers import redis_server as r\nwith r(): pass"],
        cwd=PROJECT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ServerError: redis-server is not installed: apt-get install redis" in done.stderr
