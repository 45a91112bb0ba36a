"""Whether an engine serves the right model: health, model list, one real completion. Never through a proxy."""

import http.client
import json
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from tuning.errors import DeployError, Reason

ANSWER_S = 5.0
"""How long the health URL and the model list may take; a completion may take as long as the engine may start."""
LOOK_S = 0.2
"""How often `alive` is called while an answer is awaited."""
MAX_BYTES = 4 * 1024 * 1024
_LATER = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_NO_ACCESS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True)
class Answer:
    """Status and body of one answer; status 0 when there was none."""

    status: int
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the request was served."""
        return self.status == HTTPStatus.OK

    @property
    def later(self) -> bool:
        """Whether the same request may succeed when tried again."""
        return self.status == 0 or self.status >= 500 or self.status in _LATER

    def json(self) -> Any:
        """The body, None when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Probe:
    """One look at one server. `alive` raises when looking on makes no sense; it is called at least once a second."""

    base_url: str
    health_path: str
    served_name: str
    roots: frozenset[str]
    alive: Callable[[], None]

    def ready(self, deadline: float) -> bool:
        """Whether the engine serves; `deadline` is on the monotonic clock.

        DeployError when it serves something else than was asked for, which waiting does not mend.
        """
        if not self.healthy(deadline):
            return False
        models = self._ask("GET", "/v1/models", deadline=_soon(deadline))
        self._refuse_key(models)
        if not models.ok:
            return False
        self._check_model(models.json())
        return self._completes(deadline)

    def healthy(self, deadline: float) -> bool:
        """Whether the health URL answers 200 soon."""
        return self._ask("GET", self.health_path, deadline=_soon(deadline)).ok

    def version(self, path: str, deadline: float) -> str:
        """What the engine says of its version at `path`; empty when it says nothing."""
        answer = self._ask("GET", path, deadline=_soon(deadline)).json()
        return str(answer.get("version", ""))[:100] if isinstance(answer, dict) else ""

    def _check_model(self, listing: Any) -> None:
        cards = {str(card.get("id")): card.get("root") for card in _cards(listing)}
        if self.served_name not in cards:
            names = ", ".join(sorted(cards)) or "none"
            raise DeployError(Reason.WRONG_MODEL, f"the engine does not serve {self.served_name!r}; it serves {names}")
        root = cards[self.served_name]
        if root is not None and str(root).rstrip("/") not in {known.rstrip("/") for known in self.roots}:
            expected = " or ".join(sorted(self.roots))
            raise DeployError(Reason.WRONG_MODEL, f"the engine loaded {root!r}, not {expected}")

    def _completes(self, deadline: float) -> bool:
        """Whether any kind of request is served: text, chat, or embeddings for models that only have those."""
        refused: list[str] = []
        for path, body in self._requests():
            answer = self._ask("POST", path, body, deadline=deadline)
            if answer.ok and _has_result(answer.json()):
                return True
            self._refuse_key(answer)
            if answer.later or answer.ok:
                return False
            refused.append(f"{path}: {answer.status} {answer.body[:200].decode(errors='replace')}")
        raise DeployError(Reason.WRONG_MODEL, f"the engine is up but refuses every request ({'; '.join(refused)})")

    def _requests(self) -> list[tuple[str, dict[str, Any]]]:
        model = {"model": self.served_name}
        chat = [{"role": "user", "content": "Hello"}]
        return [
            ("/v1/completions", {**model, "prompt": "Hello", "max_tokens": 4}),
            ("/v1/chat/completions", {**model, "messages": chat, "max_tokens": 4}),
            ("/v1/embeddings", {**model, "input": "Hello"}),
        ]

    def _refuse_key(self, answer: Answer) -> None:
        if answer.status in _NO_ACCESS:
            message = (
                f"the engine answers {answer.status} without a key; start it without one (VLLM_API_KEY, --api-key)"
            )
            raise DeployError(Reason.INVALID_CONFIG, message)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, deadline: float) -> Answer:
        where = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=1.0)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            if not self._answers(connection, deadline):
                return Answer(0)
            response = connection.getresponse()
            return Answer(response.status, response.read(MAX_BYTES))
        except (OSError, http.client.HTTPException):
            return Answer(0)
        finally:
            connection.close()

    def _answers(self, connection: http.client.HTTPConnection, deadline: float) -> bool:
        """Whether an answer begins before `deadline`."""
        waiting = select.poll()
        waiting.register(connection.sock, select.POLLIN)
        while not waiting.poll(LOOK_S * 1000):
            self.alive()
            if time.monotonic() > deadline:
                return False
        return True


def _soon(deadline: float) -> float:
    return min(deadline, time.monotonic() + ANSWER_S)


def _cards(listing: Any) -> list[dict[str, Any]]:
    data = listing.get("data") if isinstance(listing, dict) else None
    return [card for card in data if isinstance(card, dict)] if isinstance(data, list) else []


def _has_result(answer: Any) -> bool:
    return isinstance(answer, dict) and bool(answer.get("choices") or answer.get("data"))
