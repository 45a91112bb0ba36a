"""From a bound socket to the exit code."""

import asyncio
import gc
import logging
import signal
import socket
from typing import Literal

from simulated_engine.api import Api, Server
from simulated_engine.log import process_line, uvicorn_line
from simulated_engine.service import Service
from simulated_engine.settings import Settings
from simulated_engine.startup import start

logger = logging.getLogger(__name__)

BACKLOG = 2048


def run(settings: Settings, bound: socket.socket) -> int:
    """Start, serve until a signal (0) or until the engine dies (1). Raises ConfigError or StartupError."""
    return asyncio.run(_run(settings, bound))


async def _run(settings: Settings, bound: socket.socket) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopped = asyncio.ensure_future(stop.wait())
    starting = asyncio.ensure_future(start(settings))
    await asyncio.wait({stopped, starting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        return 0
    started = starting.result()
    service = Service(settings, started.limits, started.plan, started.cost)
    return await _serve(service, bound, stopped)


async def _serve(service: Service, bound: socket.socket, stopped: "asyncio.Future[Literal[True]]") -> int:
    server = Server(Api(service).handle)
    process_line()
    uvicorn_line("Waiting for application startup.")
    listener = await asyncio.get_running_loop().create_server(server, sock=bound, backlog=BACKLOG)
    # A collection over what the imports left takes milliseconds, which would show up in the latencies.
    gc.collect()
    gc.freeze()
    uvicorn_line("Application startup complete.")
    host, port = bound.getsockname()[:2]
    uvicorn_line(f"Simulated engine running on http://{host}:{port} (Press CTRL+C to quit)")
    ended = asyncio.ensure_future(service.ended.wait())
    await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    uvicorn_line("Shutting down")
    listener.close()
    for connection in server.connections:
        if connection.transport is not None:
            connection.transport.abort()
    ended.cancel()
    return 1 if service.death is not None else 0
