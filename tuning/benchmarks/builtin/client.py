"""Sending one request and watching its answer."""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

import aiohttp

from tuning.benchmarks.builtin.plan import Plan, Task
from tuning.benchmarks.builtin.rows import Row
from tuning.benchmarks.builtin.stream import ChatStream, error_text

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
# Below the 5 s after which uvicorn closes an idle connection, so that no request meets a closing one.
_KEEPALIVE_S = 4.0


def open_session(plan: Plan) -> aiohttp.ClientSession:
    """One session for the whole load: kept-alive connections, no limit on them, no proxy, no compression."""
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=3600, keepalive_timeout=_KEEPALIVE_S)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=plan.connect_s)
    return aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=_HEADERS, trust_env=False, auto_decompress=False
    )


class Client:
    """Sends the requests of one plan; every outcome ends in the row, only cancellation is raised."""

    def __init__(self, plan: Plan, session: aiohttp.ClientSession, clock: Callable[[], float]) -> None:
        self._plan = plan
        self._session = session
        self._clock = clock
        self._url = plan.url
        self._read = self._read_stream if plan.task is Task.CHAT else self._read_embedding

    async def send(self, row: Row, body: bytes) -> None:
        """Send `body` and fill `row` until the answer has ended, failed or timed out."""
        row.sent_s = self._clock()
        try:
            async with asyncio.timeout(self._plan.first_token_s) as limit:
                await self._exchange(row, body, limit)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            _fail(row, "connect", f"no connection: {_cause(error)}")
        except TimeoutError:
            _fail(row, "timeout", self._limit_text(row))
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, OSError):
            _fail(row, "disconnect", "the engine closed the connection before the answer was whole")
        except (aiohttp.ClientError, ValueError, TypeError, AttributeError, RecursionError) as error:
            _fail(row, "bad_stream", f"the answer cannot be read: {type(error).__name__}: {str(error)[:150]}")
        except asyncio.CancelledError:
            _fail(row, "cancelled", "")
            raise
        finally:
            row.end_s = self._clock() if row.end_s is None else row.end_s

    async def _exchange(self, row: Row, body: bytes, limit: asyncio.Timeout) -> None:
        async with self._session.post(self._url, data=body) as response:
            row.code = response.status
            if response.status != 200:
                text = (await response.content.read(2000)).decode(errors="replace")
                _fail(row, "http", f"{response.status} {_http_text(text)}".strip())
            else:
                await self._read(row, response.content, limit)

    async def _read_stream(self, row: Row, content: aiohttp.StreamReader, limit: asyncio.Timeout) -> None:
        stream, clock = ChatStream(), self._clock
        row.chunks_s = stream.times
        times, feed, read, waiting = stream.times, stream.feed, content.readany, True
        while data := await read():
            feed(data, clock())
            if waiting and times:
                waiting = False
                self._give_the_rest(row, limit)
        row.end_s = clock()
        stream.close(row.end_s)
        _judge(row, stream, ignore_eos=self._plan.ignore_eos)

    async def _read_embedding(self, row: Row, content: aiohttp.StreamReader, limit: asyncio.Timeout) -> None:
        self._give_the_rest(row, limit)
        answer = json.loads(await content.read())
        row.end_s = self._clock()
        if not isinstance(answer, dict) or not answer.get("data"):
            _fail(row, "bad_stream", "the answer holds no embedding")
        else:
            row.input_tokens = int((answer.get("usage") or {}).get("prompt_tokens") or 0)
            row.status = "ok"

    def _give_the_rest(self, row: Row, limit: asyncio.Timeout) -> None:
        """Something has come: from now on only the limit of the whole request holds."""
        spent_s = self._clock() - (row.sent_s or 0.0)
        limit.reschedule(asyncio.get_running_loop().time() + max(0.0, self._plan.request_s - spent_s))

    def _limit_text(self, row: Row) -> str:
        if row.chunks_s:
            return f"not finished within {self._plan.request_s:g} s"
        return f"no token within {self._plan.first_token_s:g} s"


def _judge(row: Row, stream: ChatStream, *, ignore_eos: bool) -> None:
    """Decide what a stream that ended cleanly was worth, and take over its token counts."""
    usage = stream.usage or {}
    details = usage.get("completion_tokens_details") or {}
    row.input_tokens = int(usage.get("prompt_tokens") or 0)
    row.output_tokens = int(usage.get("completion_tokens") or len(stream.times))
    row.reasoning_tokens = int(details.get("reasoning_tokens") or 0)
    row.counted_by = "usage" if usage.get("completion_tokens") else "chunks"
    if stream.error:
        _fail(row, "bad_stream", stream.error)
    elif not stream.complete and not stream.times:
        _fail(row, "bad_stream", "the answer is not an event stream, or an empty one")
    elif not stream.complete:
        _fail(row, "disconnect", "the stream ended before the answer was whole")
    elif not stream.times:
        _fail(row, "short_output", "no token in the answer")
    elif ignore_eos and row.counted_by == "usage" and row.output_tokens < row.requested_output_tokens:
        _fail(row, "short_output", "fewer tokens than asked for, although ignore_eos was set")
    else:
        row.status = "ok"


def _fail(row: Row, status: str, message: str) -> None:
    row.status, row.message = status, message


def _cause(error: aiohttp.ClientError) -> str:
    """The plain words of the system, without the address, so that equal errors are counted together."""
    cause = getattr(error, "os_error", None)
    return (os.strerror(cause.errno) if cause is not None and (cause.errno or 0) > 0 else str(error))[:150]


def _http_text(text: str) -> str:
    """The sentence in the body of an error answer: OpenAI's, FastAPI's `detail`, or its first line."""
    problem: Any = text.strip().splitlines()[0] if text.strip() else ""
    with contextlib.suppress(ValueError):
        parsed = json.loads(text)
        if isinstance(parsed, dict):
            problem = parsed.get("error") or parsed.get("message") or parsed.get("detail") or problem
    return error_text(problem)
