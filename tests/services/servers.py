"""PostgreSQL and Redis of one's own: on a free port of the loopback interface, kept in a folder that goes with them."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import redis

TRIES = 5
"""A port that was free may be taken when the server starts; another one is tried then."""
START_S = 30
STOP_S = 20


class ServerError(Exception):
    """A server is not installed or does not start; the message says why."""


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a new PostgreSQL server; its user may make databases."""
    programs = _postgresql_programs()
    owner = "postgres" if os.geteuid() == 0 else None  # as root it refuses to run
    with _folder(owner) as folder:
        password = secrets.token_urlsafe(12)
        (folder / "password").write_text(password)
        data = str(folder / "data")
        _run(
            [
                *(str(programs / "initdb"), "--pgdata", data, "--username", "tuner", "--no-sync", "--encoding", "UTF8"),
                *("--locale", "C", "--auth", "scram-sha-256", "--pwfile", str(folder / "password")),
            ],
            folder,
            owner,
        )
        quick = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"]

        def command(port: int) -> list[str]:
            options = [*quick, "listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={port}"]
            return [str(programs / "postgres"), "-D", data, *(word for each in options for word in ("-c", each))]

        def url(port: int) -> str:
            return f"postgresql://tuner:{password}@127.0.0.1:{port}/postgres"

        def answers(port: int) -> None:
            psycopg.connect(url(port), connect_timeout=5).close()

        with _server(command, folder, answers, psycopg.OperationalError, owner=owner) as port:
            yield url(port)


@contextmanager
def redis_server(databases: int = 4096) -> Iterator[str]:
    """The URL of a new Redis server that keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        raise ServerError("redis-server is not installed: apt-get install redis")
    with _folder(None) as folder:
        password = secrets.token_urlsafe(12)

        def command(port: int) -> list[str]:
            file = folder / "redis.conf"
            lines = ["bind 127.0.0.1", f"port {port}", f"databases {databases}", f"dir {folder}", "appendonly no"]
            file.write_text("\n".join([*lines, 'save ""', f"requirepass {password}", ""]))
            return [program, str(file)]

        def url(port: int) -> str:
            return f"redis://:{password}@127.0.0.1:{port}/0"

        def answers(port: int) -> None:
            with redis.Redis.from_url(url(port)) as client:
                client.ping()

        with _server(command, folder, answers, redis.RedisError) as port:
            yield url(port)


def _postgresql_programs() -> Path:
    """The folder of initdb and postgres; Debian keeps it out of PATH."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    whole = [folder for folder in found if all((folder / name).exists() for name in ("initdb", "postgres"))]
    if not whole:
        raise ServerError("PostgreSQL is not installed: apt-get install postgresql")
    return whole[0]


@contextmanager
def _folder(owner: str | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="autotuner-services-"))
    try:
        if owner:
            user = pwd.getpwnam(owner)
            os.chown(folder, user.pw_uid, user.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder)


def _run(command: Sequence[str], folder: Path, owner: str | None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **_as(owner))
    if done.returncode:
        raise ServerError(f"{command[0]}: {done.stderr}")


@contextmanager
def _server(
    command: Callable[[int], Sequence[str]],
    folder: Path,
    answers: Callable[[int], None],
    silent: type[Exception],
    *,
    owner: str | None = None,
) -> Iterator[int]:
    """The port of a server that answers; it is gone after the block."""
    for _ in range(TRIES):
        port = _free_port()
        process = _start(command(port), folder, owner)
        try:
            if _wait_until(partial(answers, port), silent, process):
                yield port
                return
        finally:
            _stop(process)
    raise ServerError((folder / "log").read_text())


def _start(command: Sequence[str], folder: Path, owner: str | None) -> subprocess.Popen[bytes]:
    # Where it can be had, the kernel's promise that the server goes when we do, however that happens.
    setpriv = shutil.which("setpriv")
    bound = [setpriv, "--pdeathsig", "INT", *command] if setpriv else command
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            bound, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **_as(owner)
        )


def _as(owner: str | None) -> dict[str, Any]:
    return {"user": owner, "group": owner, "extra_groups": []} if owner else {}


def _wait_until(answers: Callable[[], None], silent: type[Exception], process: subprocess.Popen[bytes]) -> bool:
    give_up = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < give_up:
        try:
            answers()
        except silent:
            time.sleep(0.02)
        else:
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a server: at once, without waiting for its clients; PostgreSQL ends its own processes."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
