"""A free port of this machine, kept from others until the engine has it."""

import socket
import sys
from types import TracebackType
from typing import Self

CAN_SHARE = sys.platform == "linux"
"""Whether a server can bind a port that we hold: Linux lets two sockets with SO_REUSEADDR bind as long as none listens.

Every asyncio, uvicorn and Go server sets SO_REUSEADDR. A held port is not given to anyone who asks for any free port,
nor to outgoing connections. Elsewhere the port is released just before the engine starts.
"""


class HeldPort:
    """A port of `host` that the system chose. Close it when the engine listens, or is gone."""

    def __init__(self, host: str) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, 0))
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give the port up; again does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
