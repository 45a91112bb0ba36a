"""Reading an OpenAI event stream as it arrives.

Bytes may be split or joined anywhere between two reads: inside a line, between CR and LF, inside a UTF-8 character.
Almost every event carries one piece of text, and only the moment of its arrival matters, so such an event is recognised
by a search for the key and never parsed. That is safe: inside a JSON string every quote is escaped, so `"content":"`
cannot be part of one. Every other event is parsed.
"""

import json
import re
from array import array
from typing import Any

_TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning)"\s*:\s*"(?!")')
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_TEXT_KEYS = ("content", "reasoning_content", "reasoning")


class ChatStream:
    """What has arrived of one streamed answer.

    `times` holds the clock at each piece of non-empty content or reasoning content, in seconds. `done` is set by
    `[DONE]`, `error` by an error that the engine sent inside the stream or by an event that is not JSON.
    """

    __slots__ = ("_data", "_last", "_rest", "_usage", "done", "error", "finished", "times")

    def __init__(self) -> None:
        self.times = array("d")
        self.done = False
        self.finished = False
        self.error: str | None = None
        self._rest = b""
        self._data: list[bytes] = []
        self._last = b""
        self._usage = b""

    def feed(self, data: bytes, now: float) -> None:
        """Take the bytes that arrived at `now` (seconds)."""
        if not self._rest and not self._data and _is_one_event(data):  # the usual case
            self._event(data[6:-2], now)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line, now)

    def close(self, now: float) -> None:
        """Take the end of the stream: a last event may lack its blank line."""
        if self._rest:
            self._line(self._rest, now)
            self._rest = b""
        self._line(b"", now)

    @property
    def complete(self) -> bool:
        """Whether the engine said that the answer is whole: `[DONE]`, or a finish reason before a clean end."""
        return self.done or self.finished or _finish_reason(self._last)

    @property
    def usage(self) -> dict[str, Any] | None:
        """The last `usage` object that was sent."""
        if not self._usage:
            return None
        usage: dict[str, Any] = json.loads(self._usage)["usage"]
        return usage

    def _line(self, line: bytes, now: float) -> None:
        line = line.rstrip(b"\r")
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif not line and self._data:
            event = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            self._data.clear()
            self._event(event, now)

    def _event(self, event: bytes, now: float) -> None:
        if _TEXT.search(event) and event.startswith(b"{") and event.endswith(b"}"):
            self.times.append(now)
            self._last = event
            if _USAGE.search(event):
                self._usage = event
        elif event.strip() == b"[DONE]":
            self.done = True
        else:
            self._parse(event, now)

    def _parse(self, event: bytes, now: float) -> None:
        try:
            message = json.loads(event)
        except ValueError:
            self.error = self.error or f"an event is not JSON: {event[:80]!r}"
            return
        if not isinstance(message, dict):
            self.error = self.error or f"an event is not an object: {event[:80]!r}"
        elif problem := message.get("error") or (message.get("object") == "error" and message.get("message")):
            self.error = self.error or f"the engine sent an error: {error_text(problem)}"
        else:
            self._take(message, event, now)

    def _take(self, message: dict[str, Any], event: bytes, now: float) -> None:
        if isinstance(message.get("usage"), dict):
            self._usage = event
        for choice in message.get("choices") or ():
            delta = choice.get("delta") or {}
            if any(delta.get(key) for key in _TEXT_KEYS):
                self.times.append(now)
            if choice.get("finish_reason"):
                self.finished = True


def _is_one_event(data: bytes) -> bool:
    return data.startswith(b"data: {") and data.endswith(b"}\n\n") and data.find(b"\n") == len(data) - 2


def _finish_reason(event: bytes) -> bool:
    if not event:
        return False
    try:
        return any(choice.get("finish_reason") for choice in json.loads(event).get("choices") or ())
    except ValueError:
        return False


def error_text(problem: object) -> str:
    """The sentence in an OpenAI error object, cut to 200 characters."""
    if isinstance(problem, dict):
        problem = problem.get("message") or problem
    return str(problem)[:200]
