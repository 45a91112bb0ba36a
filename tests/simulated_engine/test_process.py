"""The engine as a process: start, readiness, signals, port, idle cost."""

import asyncio
import json
import signal
import socket
import time
from urllib.parse import urlsplit

import psutil
import pytest

from tests.simulated_engine.conftest import StartEngine
from tests.simulated_engine.processes import run


def open_stream(url: str) -> socket.socket:
    """A connection with a streamed answer under way."""
    parts = urlsplit(url)
    body = json.dumps({"prompt": "hi", "max_tokens": 1000, "stream": True, "ignore_eos": True})
    client = socket.create_connection((parts.hostname, parts.port), timeout=10)
    client.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    received = b""
    while b"data:" not in received:
        received += client.recv(4096)
    return client


def ends_orderly(client: socket.socket) -> bool:
    """Read to the end; whether that was the end of a complete answer."""
    last = b""
    try:
        while received := client.recv(4096):
            last = received
    except ConnectionResetError:
        return False
    return last.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_open_streams(start_engine: StartEngine, number: int) -> None:
    engine = start_engine("--simulate-tpot-ms", "100")
    with open_stream(engine.url()) as client:
        asked = time.monotonic()
        engine.signal(number)
        assert engine.wait() == 0
        assert time.monotonic() - asked < 3  # below 0.1 s on an idle machine
        assert not ends_orderly(client)
    assert "Traceback" not in engine.log


def test_a_signal_ends_a_start_that_is_not_finished(start_engine: StartEngine) -> None:
    engine = start_engine(startup_s=1000)
    engine.wait_for_line("Simulated engine version")
    engine.signal(signal.SIGTERM)
    assert engine.wait() == 0


def test_a_port_in_use_is_reported_in_the_words_of_the_real_engine() -> None:
    """Pitfall A14b: the port may be taken between its choice and the start."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, log = run("sim", "--port", str(port), "--simulate-startup-s", "1000")
    assert code == 1
    text = f"error while attempting to bind on address ('127.0.0.1', {port}): address already in use"
    assert f"OSError: [Errno {48 if psutil.MACOS else 98}] {text}" in log


def test_it_refuses_connections_until_it_is_ready(start_engine: StartEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    engine = start_engine("--port", str(port), startup_s=1000)
    engine.wait_for_line("Starting to load model|Simulated engine version")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_the_start_takes_its_time_and_tells_its_phases(start_engine: StartEngine) -> None:
    begin = time.monotonic()
    engine = start_engine("--simulate-time-scale", "0.1", "--simulate-slow-start-s", "0.1", startup_s=4)
    engine.url()
    assert time.monotonic() - begin >= 0.5
    phases = [
        "Starting to load model",
        "Model loading took",
        "GPU KV cache size",
        "Graph capturing",
        "startup complete",
    ]
    positions = [engine.log.index(phase) for phase in phases]
    assert positions == sorted(positions)


def test_it_is_ready_within_half_a_second_of_processor_time(start_engine: StartEngine) -> None:
    """Processor time, because the machine may be busy: on an idle one it is also the wall-clock time."""
    engine = start_engine()
    engine.url()
    times = psutil.Process(engine.pid).cpu_times()
    assert times.user + times.system < 0.6


def test_an_idle_engine_uses_no_processor_time(start_engine: StartEngine) -> None:
    engine = start_engine("--simulate-time-scale", "0.01")
    open_stream(engine.url()).close()
    process = psutil.Process(engine.pid)

    async def used_in(seconds: float) -> float:
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(seconds)
        return sum(process.cpu_times()[:2]) - before

    asyncio.run(used_in(0.3))
    assert asyncio.run(used_in(0.5)) <= 0.01
