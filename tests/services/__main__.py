"""Run pytest on a PostgreSQL and a Redis of its own, and stop both on every way out: `python -m tests.services ...`.

Without arguments, the tests that depend on the database or the queue are run.
"""

import os
import signal
import sys
from types import FrameType

import pytest

from tests.services.servers import ServerError, postgresql, redis_server

TESTS = ["tests/runner", "tests/commands", "tests/services"]


def main(arguments: list[str]) -> int:
    """Pytest's exit code; 2 when a server cannot be had."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        with postgresql() as database, redis_server() as queue:
            os.environ.update(DATABASE_URL=database, HUEY_URL=queue)
            return int(pytest.main(["-m", "not real", *(arguments or TESTS)]))
    except ServerError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
