"""These tests are about the servers themselves, so there is nothing to run without them."""

import os

import pytest


@pytest.fixture(autouse=True)
def _servers_are_there() -> None:
    missing = [name for name in ("DATABASE_URL", "HUEY_URL") if not os.environ.get(name)]
    assert not missing, f"{' and '.join(missing)} must lead to servers: run `make test-services`"
