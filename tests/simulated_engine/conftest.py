"""Fixtures that start engines and end them, whatever the test does."""

from collections.abc import Callable, Iterator

import pytest

from tests.simulated_engine.processes import EngineProcess

StartEngine = Callable[..., EngineProcess]


@pytest.fixture
def start_engine() -> Iterator[StartEngine]:
    """Start engines with flags; all of them are gone after the test."""
    started: list[EngineProcess] = []

    def start(*flags: str, model: str = "sim", startup_s: float = 0.0) -> EngineProcess:
        started.append(EngineProcess(*flags, model=model, startup_s=startup_s))
        return started[-1]

    yield start
    for engine in started:
        engine.close()


@pytest.fixture(scope="module")
def engine_url() -> Iterator[str]:
    """One fast engine for the tests of the API."""
    engine = EngineProcess("--simulate-time-scale", "0.02", "--served-model-name", "tuned", model="org/model")
    try:
        yield engine.url()
    finally:
        engine.close()
