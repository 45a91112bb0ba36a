"""Answers of the OpenAI API: JSON bodies, stream chunks, and the sinks that send them.

Stream chunks are rendered before the first token is due, in the framing of HTTP/1.1's chunked encoding, and written
straight to the transport: the cost per token decides how many streams the simulation can keep on time.
"""

import asyncio
import json
import time
import uuid
from typing import Any

from simulated_engine.protocol import GenerationRequest

#: The answers' text. A power of two, so that choosing a word is cheap.
WORDS = ("the", "of", "and", "to", "in", "is", "that", "it", "for", "was", "on", "are", "as", "with", "they", "at")
WORD_MASK = len(WORDS) - 1
DONE = b"data: [DONE]\n\n"

Json = dict[str, Any]


def words(start: int, end: int) -> str:
    """The text of tokens ``start`` to ``end`` (exclusive) of any answer."""
    return "".join(" " + WORDS[index & WORD_MASK] for index in range(start, end))


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    """The usage object."""
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
        "prompt_tokens_details": None,
    }


class Renderer:
    """Renders the answer to one request."""

    def __init__(self, request: GenerationRequest, served_name: str) -> None:
        self.request = request
        kind = "chatcmpl" if request.is_chat else "cmpl"
        self._head: Json = {
            "id": f"{kind}-{uuid.uuid4().hex}",
            "object": "chat.completion" if request.is_chat else "text_completion",
            "created": int(time.time()),
            "model": served_name,
        }

    def body(self) -> Json:
        """The complete answer, not streamed."""
        text = words(0, self.request.output_tokens)
        choice: Json = {"index": 0, "logprobs": None, "finish_reason": self.request.finish_reason, "stop_reason": None}
        if self.request.is_chat:
            choice["message"] = {"role": "assistant", "content": text, "tool_calls": []}
        else:
            choice["text"] = text
        counts = usage(len(self.request.prompt), self.request.output_tokens)
        return self._head | {"choices": [choice], "usage": counts}

    def opening(self) -> bytes:
        """What comes before the first token: chat answers begin with the role."""
        return self._payload([self._choice({"role": "assistant", "content": ""})]) if self.request.is_chat else b""

    def chunk(self, text: str, count: int, finish_reason: str | None = None) -> bytes:
        """A chunk with ``text``, after which ``count`` tokens have been sent."""
        choice = self._choice({"content": text}, text, finish_reason)
        if self.request.continuous_usage:
            return self._payload([choice], usage(len(self.request.prompt), count))
        return self._payload([choice])

    def closing(self, count: int) -> bytes:
        """What comes after the last token."""
        if not self.request.include_usage:
            return DONE
        return self._payload([], usage(len(self.request.prompt), count)) + DONE

    def word_chunks(self) -> list[bytes]:
        """A chunk for each word, framed, made from one rendering."""
        before, _, after = self._payload([self._choice({"content": " @@"}, " @@")]).rpartition(b"@@")
        return [frame(before + word.encode() + after) for word in WORDS]

    def _choice(self, delta: Json, text: str = "", finish_reason: str | None = None) -> Json:
        content: Json = {"delta": delta} if self.request.is_chat else {"text": text}
        return {"index": 0} | content | {"logprobs": None, "finish_reason": finish_reason}

    def _payload(self, choices: list[Json], counts: Json | None = None) -> bytes:
        body = self._head | {"choices": choices}
        if self.request.is_chat:
            body["object"] = "chat.completion.chunk"
        if counts is not None:
            body["usage"] = counts
        return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def frame(payload: bytes) -> bytes:
    """One chunk of HTTP/1.1's chunked transfer encoding (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


class StreamSink:
    """Writes each token as a chunk of its own; ``done`` gets the last one and what follows it, for the handler."""

    def __init__(self, renderer: Renderer, transport: asyncio.Transport, done: asyncio.Future[bytes]) -> None:
        self._renderer = renderer
        self._transport = transport
        self._done = done
        self._count = 0
        self._sent = 0
        self._opening = renderer.opening()
        self._chunks = renderer.word_chunks()

    def token(self) -> None:
        """Send one token."""
        chunk = self._chunks[self._count & WORD_MASK]
        if not self._count:
            chunk = frame(self._opening) + chunk if self._opening else chunk
        self._count += 1
        self._sent = self._count
        self._transport.write(chunk)

    def finish(self, reason: str) -> None:
        """Hand over the last token, the usage if it was asked for, and the end mark."""
        self._count += 1
        ending = self._renderer.chunk(words(self._sent, self._count), self._count, reason)
        ending += self._renderer.closing(self._count)
        if not self._done.done():
            self._done.set_result(ending if self._sent else self._opening + ending)

    def fail(self, error: Exception) -> None:
        """Break the stream off."""
        self._transport.abort()


class GroupedStreamSink(StreamSink):
    """Sends the first token at once and then groups of ``interval``, as vLLM's ``--stream-interval``."""

    def __init__(
        self, renderer: Renderer, transport: asyncio.Transport, done: asyncio.Future[bytes], interval: int
    ) -> None:
        super().__init__(renderer, transport, done)
        self._interval = interval

    def token(self) -> None:
        """Count one token, and send the group if it is complete."""
        self._count += 1
        if self._sent and self._count - self._sent < self._interval:
            return
        chunk = self._renderer.chunk(words(self._sent, self._count), self._count)
        self._transport.write(frame(chunk if self._sent else self._opening + chunk))
        self._sent = self._count


class CollectSink:
    """Waits for the end; the answer goes out in one piece."""

    def __init__(self, done: asyncio.Future[bytes]) -> None:
        self._done = done

    def token(self) -> None:
        """Nothing to do."""

    def finish(self, reason: str) -> None:
        """The answer is complete."""
        if not self._done.done():
            self._done.set_result(b"")

    def fail(self, error: Exception) -> None:
        """The answer will not come."""
        if not self._done.done():
            self._done.set_exception(error)


class CutSink:
    """Closes the connection where ``sink`` would finish: an answer that breaks off."""

    def __init__(self, sink: StreamSink | CollectSink, transport: asyncio.Transport) -> None:
        self._sink = sink
        self._transport = transport

    def token(self) -> None:
        """Pass the token on."""
        self._sink.token()

    def finish(self, reason: str) -> None:
        """Close instead."""
        self._transport.close()

    def fail(self, error: Exception) -> None:
        """Pass the failure on."""
        self._sink.fail(error)
