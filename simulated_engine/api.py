"""The HTTP API. Built on aiohttp's low-level server: a dictionary of routes, and a time stamp on what arrives."""

import asyncio
import base64
import json
import logging
import random
import struct
import time
from collections.abc import Awaitable, Callable, Hashable
from collections.abc import Sequence as Items
from typing import Any, cast

from aiohttp import HttpVersion11, web
from aiohttp.http_parser import RawRequestMessage  # the type of a documented hook of web.Server

from simulated_engine import __version__
from simulated_engine.answers import CollectSink, CutSink, GroupedStreamSink, Renderer, StreamSink, usage
from simulated_engine.errors import ApiError, EngineDeadError
from simulated_engine.kv_cache import block_hashes
from simulated_engine.metrics import prometheus_text
from simulated_engine.protocol import GenerationRequest, parse_embedding, parse_generation, parse_tokenize
from simulated_engine.sequence import Sequence, TokenSink
from simulated_engine.service import DEAD, Service

logger = logging.getLogger(__name__)

HEADERS = {"x-simulated-engine": __version__}
STREAM_HEADERS = {**HEADERS, "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
MAX_BODY_BYTES = 256 * 1024**2
EMBEDDING_DIMENSIONS = 256

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """Remembers when data last arrived: TTFT counts from there and not from the turn of the request's handler."""

    __slots__ = ("received_at",)

    def data_received(self, data: bytes) -> None:
        """Take the time, then parse."""
        self.received_at = self._loop.time()
        super().data_received(data)


class Server(web.Server):
    """aiohttp's server with our connections; a handler is cancelled when its client goes away."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler, request_factory=self._request, handler_cancellation=True)

    def __call__(self) -> web.RequestHandler:
        """A handler for one connection."""
        return Connection(self, loop=self._loop)

    def _request(
        self, message: RawRequestMessage, payload: Any, protocol: Any, writer: Any, task: Any
    ) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=MAX_BODY_BYTES)


class Api:
    """The handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._limits = service.limits
        self._created = int(time.time())
        self._routes: dict[tuple[str, str], Handler] = {
            ("GET", "/health"): self._health,
            ("GET", "/version"): self._version,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/v1/models"): self._models,
            ("POST", "/v1/completions"): self._completions,
            ("POST", "/v1/chat/completions"): self._chat_completions,
            ("POST", "/v1/embeddings"): self._embeddings,
            ("POST", "/tokenize"): self._tokenize,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; failures become error objects."""
        try:
            handler = self._route(request)
            self._check_key(request)
            return await handler(request)
        except ApiError as error:
            return _json(error.body(), error.status)
        except EngineDeadError:
            return _json(ApiError(500, DEAD).body(), 500)

    def _route(self, request: web.BaseRequest) -> Handler:
        handler = self._routes.get((request.method, request.path))
        if handler is not None:
            return handler
        if any(path == request.path for _, path in self._routes):
            raise ApiError(405, "Method Not Allowed")
        raise ApiError(404, "Not Found")

    def _check_key(self, request: web.BaseRequest) -> None:
        key = self._service.settings.api_key
        if key and request.path.startswith("/v1") and request.headers.get("Authorization") != f"Bearer {key}":
            raise ApiError(401, "Unauthorized")

    async def _health(self, request: web.BaseRequest) -> web.Response:
        return web.Response(status=503 if self._service.death else 200, headers=HEADERS)

    async def _version(self, request: web.BaseRequest) -> web.Response:
        return _json({"version": f"simulated-{__version__}"})

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        text = prometheus_text(self._service.engines, self._limits.served_name)
        headers = {**HEADERS, "Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=text.encode(), headers=headers)

    async def _models(self, request: web.BaseRequest) -> web.Response:
        model = {
            "id": self._limits.served_name,
            "object": "model",
            "created": self._created,
            "owned_by": "simulated",
            "root": self._service.settings.model,
            "parent": None,
            "max_model_len": self._limits.max_model_len,
            "permission": [],
        }
        return _json({"object": "list", "data": [model]})

    async def _tokenize(self, request: web.BaseRequest) -> web.Response:
        tokens = parse_tokenize(await _body(request), self._limits)
        ids = [token if isinstance(token, int) else abs(hash(token)) % 100_000 for token in tokens]
        return _json({"count": len(tokens), "max_model_len": self._limits.max_model_len, "tokens": ids})

    async def _completions(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._generate(request, is_chat=False)

    async def _chat_completions(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._generate(request, is_chat=True)

    async def _generate(self, http: web.BaseRequest, *, is_chat: bool) -> web.StreamResponse:
        request = parse_generation(await _body(http), self._limits, is_chat=is_chat)
        self._service.count_request()
        if self._service.settings.enable_log_requests:
            lengths = len(request.prompt), request.output_tokens
            logger.info("Received request: prompt tokens: %d, output tokens: %d", *lengths)
        if request.stream:
            return await self._stream(http, request)
        await self._collect(http, request)
        return _json(Renderer(request, self._limits.served_name).body())

    async def _stream(self, http: web.BaseRequest, request: GenerationRequest) -> web.StreamResponse:
        if http.version < HttpVersion11:
            raise ApiError(400, "Streaming needs HTTP/1.1.")
        response = web.StreamResponse(headers=STREAM_HEADERS)
        response.enable_chunked_encoding()
        await response.prepare(http)
        renderer = Renderer(request, self._limits.served_name)
        done, transport = _future(), _transport(http)
        interval = self._service.settings.stream_interval
        if interval == 1 and not request.continuous_usage:
            sink = StreamSink(renderer, transport, done)
        else:
            sink = GroupedStreamSink(renderer, transport, done, interval)
        await response.write_eof(await self._run(http, request, sink, done))
        return response

    async def _collect(self, http: web.BaseRequest, request: GenerationRequest) -> None:
        done = _future()
        await self._run(http, request, CollectSink(done), done)

    async def _run(
        self,
        http: web.BaseRequest,
        request: GenerationRequest,
        sink: StreamSink | CollectSink,
        done: "asyncio.Future[bytes]",
    ) -> bytes:
        """Let the engine produce the answer, and return what is still to be sent of it.

        Cancelled when the client goes away; the engine then drops the request.
        """
        cut_after = self._service.cut_after(request.output_tokens)
        target: TokenSink = sink if cut_after is None else CutSink(sink, _transport(http))
        sequence = Sequence(
            prompt_tokens=len(request.prompt),
            max_tokens=cut_after or request.output_tokens,
            finish_reason=request.finish_reason,
            sink=target,
            arrived_at=cast(Connection, http.protocol).received_at,
            prompt_hashes=self._prompt_hashes(request.prompt),
            priority=request.priority,
        )
        engine = self._service.submit(sequence)
        try:
            return await done
        finally:
            engine.abort(sequence)

    def _prompt_hashes(self, prompt: Items[Hashable]) -> tuple[int, ...]:
        settings = self._service.settings
        if settings.is_exact or not settings.enable_prefix_caching:
            return ()
        return block_hashes(prompt, settings.block_size)

    async def _embeddings(self, http: web.BaseRequest) -> web.Response:
        prompts, dimensions, as_base64 = parse_embedding(await _body(http), self._limits)
        self._service.count_request()
        await asyncio.gather(*(self._collect(http, _prefill_only(prompt)) for prompt in prompts))
        data = [
            {"object": "embedding", "index": index, "embedding": _encoded(_vector(prompt, dimensions), as_base64)}
            for index, prompt in enumerate(prompts)
        ]
        counts = usage(sum(map(len, prompts)), 0)
        return _json({"object": "list", "data": data, "model": self._limits.served_name, "usage": counts})


async def _body(request: web.BaseRequest) -> object:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The request body is not valid JSON: {error}") from None


def _json(body: object, status: int = 200) -> web.Response:
    return web.json_response(body, status=status, headers=HEADERS)


def _future() -> "asyncio.Future[bytes]":
    return asyncio.get_running_loop().create_future()


def _transport(request: web.BaseRequest) -> asyncio.Transport:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("The client has gone.")
    return transport


def _prefill_only(prompt: Items[Hashable]) -> GenerationRequest:
    """An embedding costs the engine a prompt; its end is the prompt's first and only result."""
    return GenerationRequest(
        prompt=prompt,
        output_tokens=1,
        finish_reason="stop",
        priority=0,
        is_chat=False,
        stream=False,
        include_usage=False,
        continuous_usage=False,
    )


def _vector(prompt: Items[Hashable], dimensions: int | None) -> list[float]:
    """A vector of length 1 that depends on the prompt only."""
    rng = random.Random(repr(prompt))  # noqa: S311 - not a secret
    values = [rng.gauss(0.0, 1.0) for _ in range(dimensions or EMBEDDING_DIMENSIONS)]
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]


def _encoded(vector: list[float], as_base64: bool) -> list[float] | str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if as_base64 else vector
