"""A server whose answers are scripted byte for byte."""

import itertools
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Move(Enum):
    """What an answer may do besides sending bytes."""

    CUT = "close the connection in the middle of the answer"
    PAUSE = "5 ms, as an engine takes"
    HANG = "send nothing more until the client has gone"


@dataclass(frozen=True)
class Reply:
    """One answer: `pieces` are written one by one, each as one chunk of the chunked encoding."""

    pieces: Sequence[bytes | Move] = ()
    status: int = 200
    content_type: str = "text/event-stream"


@dataclass(frozen=True)
class Seen:
    """One request as the server saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    connection: int
    at_s: float


Script = Callable[[int, dict[str, Any]], Reply]


@dataclass
class ScriptedServer:
    """Where it listens and what it has seen; `client_gone` is set when a client left a hanging answer."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    client_gone: threading.Event = field(default_factory=threading.Event)
    hanging: threading.Event = field(default_factory=threading.Event)

    def loaded(self) -> list[Seen]:
        """The requests of the load itself, without those that calibrate."""
        return [request for request in self.seen if request.body.get("stream") or "input" in request.body]


@contextmanager
def serving(script: Script, *, longest_prompt: int = 1000) -> Iterator[ScriptedServer]:
    """Answer the n-th streamed request with `script(n, body)` until the block is left.

    Calibration is answered with a token a word and 5 for the chat template, up to `longest_prompt` words.
    """
    lock = threading.Lock()
    connections = itertools.count()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            connection = next(connections)
            while request := self._read(connection):
                with lock:
                    number = len(server.loaded())
                    server.seen.append(request)
                calibrating = request.body.get("stream") is False
                reply = _usage(request.body, longest_prompt) if calibrating else script(number, request.body)
                if not self._answer(reply):
                    return

        def _read(self, connection: int) -> Seen | None:
            try:
                first = self.rfile.readline()
                if not first:
                    return None
                lines = iter(lambda: self.rfile.readline().strip(), b"")
                headers = dict(line.decode().lower().split(": ", 1) for line in lines)
                body = json.loads(self.rfile.read(int(headers.get("content-length", 0))) or b"{}")
                return Seen(first.split()[1].decode(), headers, body, connection, time.monotonic())
            except OSError:
                return None

        def _answer(self, reply: Reply) -> bool:
            """Send the answer; False when the connection is over."""
            head = f"HTTP/1.1 {reply.status} Scripted\r\nContent-Type: {reply.content_type}\r\n"
            try:
                self.wfile.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                pieces = [piece for piece in reply.pieces if piece]
                return all(self._send(piece) for piece in (*pieces, b""))
            except OSError:
                return False

        def _send(self, piece: bytes | Move) -> bool:
            if piece is Move.CUT:
                return False
            if piece is Move.PAUSE:
                time.sleep(0.005)
                return True
            if piece is Move.HANG:
                server.hanging.set()
                self.connection.settimeout(30)
                self.connection.recv(1)
                server.client_gone.set()
                return False
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            return True

    with _Server(("127.0.0.1", 0), Handler) as listener:
        server = ScriptedServer(f"http://127.0.0.1:{listener.server_address[1]}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            listener.end_connections()
            listener.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 256

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        """End every connection, so that no handler waits for another request."""
        for request in list(self._open):
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _usage(body: dict[str, Any], longest_prompt: int) -> Reply:
    words = len(body["messages"][0]["content"].split())
    if words > longest_prompt:
        return Reply([b'{"error": {"message": "too long"}}'], status=400)
    answer = {"choices": [], "usage": {"prompt_tokens": words + 5, "completion_tokens": 2}}
    return Reply([json.dumps(answer).encode()], content_type="application/json")


def event(message: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def delta(text: str, finish_reason: str | None = None, key: str = "content") -> bytes:
    """An event with one piece of text."""
    return event({"choices": [{"index": 0, "delta": {key: text}, "finish_reason": finish_reason}]})


ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
DONE = b"data: [DONE]\n\n"


def usage(prompt_tokens: int, completion_tokens: int) -> bytes:
    """The last event before `[DONE]`."""
    return event({"choices": [], "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}})


def whole_answer(body: dict[str, Any]) -> Reply:
    """Exactly the tokens that were asked for, one event each, with a pause after the first.

    Without any, genai-bench has no TPOT for a single request and gives up.
    """
    tokens = body["max_tokens"]
    texts = [delta(f" {n}", "length" if n == tokens - 1 else None) for n in range(tokens)]
    prompt_tokens = len(body["messages"][0]["content"].split()) + 5
    return Reply([ROLE, *texts[:1], Move.PAUSE, *texts[1:], usage(prompt_tokens, tokens), DONE])
