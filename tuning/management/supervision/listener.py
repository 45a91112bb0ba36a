"""The socket that the web server listens on, made once and kept while web servers come and go."""

import contextlib
import errno
import ipaddress
import os
import socket

import psutil

from tuning.errors import AutotunerError, ConflictError

BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes any free one.

    ConflictError when the port is taken, AutotunerError when this address cannot be listened on at all.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(f"Port {port} is taken{_by_whom(port)}. Give another one with --port.") from error
        raise AutotunerError(f"{host} port {port} cannot be listened on: {_reason(error)}.") from error


def url(listener: socket.socket) -> str:
    """Where a browser on this machine finds it."""
    host, port = reachable(listener)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def reachable(listener: socket.socket) -> tuple[str, int]:
    """Host and port to connect to from this machine: loopback when it listens on all addresses."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return ("127.0.0.1" if address.version == 4 else "::1"), port
    return host, port


def _by_whom(port: int) -> str:
    """The process that listens there, where the system tells it."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""


def _reason(error: OSError) -> str:
    """The system's own words, which `create_server` embroiders."""
    is_lookup = isinstance(error, socket.gaierror) or error.errno is None
    return str(error.strerror or error) if is_lookup else os.strerror(error.errno or 0)
