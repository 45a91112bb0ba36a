"""The engine fails as real engines do, when a configuration or a flag asks for it."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.simulated_engine.conftest import StartEngine
from tests.simulated_engine.processes import post, run, words

BODY = {"prompt": "hi", "max_tokens": 20, "ignore_eos": True}


@pytest.mark.parametrize(
    ("flags", "root_cause"),
    [
        (["--gpu-memory-utilization", "0.99"], "ValueError: Free memory on device cuda:0 (19.75/20.00 GiB) on startup"),
        (["--gpu-memory-utilization", "0.7"], "ValueError: No available memory for the cache blocks. Try increasing"),
        (["--dtype", "float32"], "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"),
        (["--simulate-failure", "startup-oom"], "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"),
        (["--simulate-failure", "crash-at-start"], "RuntimeError: CUDA error: an illegal memory access"),
    ],
)
def test_a_failed_start_shows_its_root_cause_and_ends_with_1(flags: list[str], root_cause: str) -> None:
    code, log = run("sim", "--port", "0", "--simulate-startup-s", "0", *flags)
    assert code == 1
    assert root_cause in log
    assert log.rstrip().endswith(
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    )
    assert "Application startup complete" not in log


def test_out_of_memory_under_load_ends_the_requests_and_the_process(start_engine: StartEngine) -> None:
    """A start that succeeds proves little about memory: this configuration dies when its batch is full."""
    greedy = ["--gpu-memory-utilization", "0.96", "--max-num-batched-tokens", "8192", "--no-enable-prefix-caching"]
    engine = start_engine(*greedy, "--simulate-time-scale", "0.05")
    url = engine.url()
    assert asyncio.run(post(f"{url}/v1/completions", BODY))[0] == 200
    long = BODY | {"prompt": words(7000)}

    async def load() -> tuple[list[object], int]:
        async with aiohttp.ClientSession() as session:
            answers = await asyncio.gather(*(_answer(session, url, long) for _ in range(8)))
            async with session.get(f"{url}/health") as health:
                return list(answers), health.status

    answers, health = asyncio.run(load())
    assert answers[-1] == 500
    assert health == 503
    assert engine.wait() == 1
    assert "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate" in engine.log
    assert "EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause." in engine.log


async def _answer(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> object:
    """The status of an answer that came completely, or the kind of failure."""
    try:
        async with session.post(f"{url}/v1/completions", json=body) as response:
            await response.read()
            return response.status
    except aiohttp.ClientError as error:
        return type(error)


async def _answers(url: str, count: int, body: dict[str, Any] = BODY) -> list[object]:
    """One request after the other."""
    async with aiohttp.ClientSession() as session:
        return [await _answer(session, url, body) for _ in range(count)]


def test_a_planned_out_of_memory_comes_after_the_given_number_of_requests(start_engine: StartEngine) -> None:
    flags = ["--simulate-failure", "load-oom", "--simulate-failure-after", "3", "--simulate-time-scale", "0.01"]
    engine = start_engine(*flags)
    assert asyncio.run(_answers(engine.url(), 4)) == [200, 200, 200, 500]
    assert engine.wait() == 1


def test_a_dying_engine_breaks_its_streams(start_engine: StartEngine) -> None:
    engine = start_engine("--simulate-failure", "load-oom", "--simulate-failure-after", "1", "--simulate-tpot-ms", "50")
    url = engine.url()

    async def load() -> object:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/v1/completions", json=BODY | {"stream": True}) as open_stream,
        ):
            assert await _answer(session, url, BODY) == 500
            try:
                return await open_stream.read()
            except aiohttp.ClientError as error:
                return type(error)

    assert asyncio.run(load()) in {aiohttp.ClientPayloadError, aiohttp.ClientOSError}


def test_a_crash_under_load_drops_the_connection_without_an_answer(start_engine: StartEngine) -> None:
    flags = ["--simulate-failure", "crash-under-load", "--simulate-failure-after", "2", "--simulate-time-scale", "0.01"]
    engine = start_engine(*flags)
    first, second, third = asyncio.run(_answers(engine.url(), 3))
    assert (first, second) == (200, 200)
    assert third == aiohttp.ServerDisconnectedError
    assert engine.wait() == 1
    assert "CUDA error: an illegal memory access was encountered" in engine.log


@pytest.mark.parametrize("exact", [[], ["--simulate-ttft-ms", "1"]])
def test_a_hanging_engine_stays_healthy_and_silent(start_engine: StartEngine, exact: list[str]) -> None:
    flags = ["--simulate-failure", "hang-under-load", "--simulate-failure-after", "1", "--simulate-time-scale", "0.01"]
    url = start_engine(*flags, *exact).url()

    async def load() -> int:
        timeout = aiohttp.ClientTimeout(total=0.3)
        async with aiohttp.ClientSession() as session:
            assert await _answer(session, url, BODY) == 200
            with pytest.raises(TimeoutError):
                await session.post(f"{url}/v1/completions", json=BODY, timeout=timeout)
            async with session.get(f"{url}/health") as health:
                return health.status

    assert asyncio.run(load()) == 200


def test_a_hang_at_start_never_becomes_ready_and_can_be_ended(start_engine: StartEngine) -> None:
    engine = start_engine("--simulate-failure", "hang-at-start")
    engine.wait_for_line("Starting to load model")
    engine.signal(15)
    assert engine.wait() == 0
    assert "Application startup complete" not in engine.log


def test_the_error_rate_is_kept_and_repeats_with_its_seed(start_engine: StartEngine) -> None:
    flags = ["--simulate-error-rate", "0.3", "--simulate-seed", "7", "--simulate-time-scale", "0.001"]
    runs = [asyncio.run(_answers(start_engine(*flags).url(), 60, BODY | {"max_tokens": 1})) for _ in range(2)]
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}
    assert 8 <= runs[0].count(500) <= 30


@pytest.mark.parametrize("stream", [True, False])
def test_a_truncated_answer_is_not_complete(start_engine: StartEngine, stream: bool) -> None:
    url = start_engine("--simulate-truncate-rate", "1", "--simulate-time-scale", "0.01").url()
    (answer,) = asyncio.run(_answers(url, 1, BODY | {"stream": stream}))
    assert answer in {aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError}


def test_errors_are_openai_errors(start_engine: StartEngine) -> None:
    url = start_engine("--simulate-error-rate", "1").url()
    status, body = asyncio.run(post(f"{url}/v1/completions", BODY))
    assert status == 500
    assert json.dumps(body).count("InternalServerError") == 1
