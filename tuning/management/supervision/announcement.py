"""Tells a person where the web interface is, once it answers."""

import http.client
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

POLL_S = 0.1
ANSWER_S = 1.0


class Announcement:
    """Asks until somebody answers, beside the supervision, and then says one sentence; closing it ends the asking.

    `path` is asked for with HEAD, and any answer counts. It should be something that needs no login and no database.
    """

    def __init__(self, host: str, port: int, path: str, announce: Callable[[], None]) -> None:
        self._address = (host, port)
        self._path = path
        self._announce = announce
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="announcement", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._closed.is_set():
            if self._answers():
                self._announce()
                return
            self._closed.wait(POLL_S)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(*self._address, timeout=ANSWER_S)
        try:
            # Behind TLS an http request would be answered by a redirect, for which the host name must be known.
            connection.request("HEAD", self._path, headers={"X-Forwarded-Proto": "https"})
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True
