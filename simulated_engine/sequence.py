"""One request inside the engine, and where its tokens go."""

from dataclasses import dataclass, field
from typing import Protocol


class TokenSink(Protocol):
    """Where the tokens of a sequence go."""

    def token(self) -> None:
        """A token that is not the last."""

    def finish(self, reason: str) -> None:
        """The last token and why it is the last: ``length`` or ``stop``."""

    def fail(self, error: Exception) -> None:
        """The engine died."""


@dataclass(slots=True, eq=False)
class Sequence:
    """One request in the engine. ``max_tokens`` is at least 1; times are those of the event loop, in seconds."""

    prompt_tokens: int
    max_tokens: int
    finish_reason: str
    sink: TokenSink
    arrived_at: float
    prompt_hashes: tuple[int, ...] = ()
    priority: int = 0
    number: int = 0
    computed: int = 0
    generated: int = 0
    private_blocks: int = 0
    pinned: list[int] = field(default_factory=list)
    finished: bool = False
