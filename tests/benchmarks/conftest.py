"""Engines for the tests of the load generators."""

from collections.abc import Iterator

import pytest

from tests.simulated_engine.processes import EngineProcess

TTFT_MS, TPOT_MS = 50.0, 10.0


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The address of a simulated engine with a TTFT of 50 ms and a TPOT of 10 ms."""
    process = EngineProcess("--simulate-ttft-ms", f"{TTFT_MS:g}", "--simulate-tpot-ms", f"{TPOT_MS:g}")
    try:
        yield process.url()
    finally:
        process.close()
