"""A lean closed-loop client: python raw_client.py PORT STREAMS REQUESTS_PER_STREAM TOKENS -> one JSON line.

Only what is needed to take the time of the first and the last chunk, so that it disturbs the measurement little.
"""

import asyncio
import json
import statistics
import sys
import time


class Stream(asyncio.Protocol):
    """Sends one request after the other on one connection."""

    def __init__(self, request: bytes, requests: int, tokens: int) -> None:
        self.request, self.left, self.tokens = request, requests, tokens
        self.ttft_ms: list[float] = []
        self.tpot_ms: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.first = 0.0
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.first and b"data:" in data:
            self.first = now
        if data.endswith(b"\r\n0\r\n\r\n"):
            self.ttft_ms.append(1000 * (self.first - self.sent))
            self.tpot_ms.append(1000 * (now - self.first) / (self.tokens - 1))
            self.left -= 1
            if self.left:
                self.send()
            else:
                self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed by the engine"))


async def main(port: int, streams: int, requests: int, tokens: int) -> None:
    """Run and print the means."""
    body = json.dumps({"prompt": "a b c", "max_tokens": tokens, "stream": True, "ignore_eos": True}).encode()
    request = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    loop = asyncio.get_running_loop()
    connections = [
        await loop.create_connection(lambda: Stream(request, requests, tokens), "127.0.0.1", port)
        for _ in range(streams)
    ]
    await asyncio.gather(*(stream.done for _, stream in connections))
    for transport, _ in connections:
        transport.close()
    ttft = [value for _, stream in connections for value in stream.ttft_ms]
    tpot = [value for _, stream in connections for value in stream.tpot_ms]
    print(json.dumps({"ttft_ms": statistics.fmean(ttft), "tpot_ms": statistics.fmean(tpot), "requests": len(ttft)}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
