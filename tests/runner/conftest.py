"""The certainty that no engine outlives a test."""

from collections.abc import Iterator

import pytest

from tests.runner.factories import processes_of
from tuning.runner.instance import instance_id


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    left = processes_of(instance_id())
    for process in left:
        process.kill()
    assert left == []
