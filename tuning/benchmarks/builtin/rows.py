"""One line of `requests.jsonl`: what is known of one request, in offsets of one monotonic clock."""

import json
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self


@dataclass(slots=True)
class Row:
    """One request.

    Times are seconds after the load began. `intended_s` is when the request should have been sent; latencies count from
    it, so an open loop that falls behind shows it (coordinated omission). `chunks_s` are the arrivals of content.
    `counted_by` says whether the output tokens are the engine's `usage` or a count of `chunks`.
    """

    index: int
    phase: str
    requested_input_tokens: int
    requested_output_tokens: int
    intended_s: float
    sent_s: float | None = None
    end_s: float | None = None
    chunks_s: "array[float]" = field(default_factory=lambda: array("d"))
    status: str = "cancelled"
    code: int | None = None
    message: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    counted_by: str = "usage"

    @property
    def first_s(self) -> float | None:
        """When the first content arrived."""
        return self.chunks_s[0] if self.chunks_s else None

    @property
    def last_s(self) -> float | None:
        """When the last content arrived."""
        return self.chunks_s[-1] if self.chunks_s else None

    @property
    def ttft_ms(self) -> float | None:
        """Intended start to first content."""
        return _ms(self.intended_s, self.first_s)

    @property
    def e2e_ms(self) -> float | None:
        """Intended start to the end of the answer."""
        return _ms(self.intended_s, self.end_s)

    @property
    def tpot_ms(self) -> float | None:
        """(last content - first content) / (output tokens - 1); None for a single token."""
        span = _ms(self.first_s, self.last_s)
        return (
            None
            if span is None or self.output_tokens < 2 or len(self.chunks_s) < 2
            else span / (self.output_tokens - 1)
        )

    @property
    def gaps_ms(self) -> tuple[float, ...]:
        """The gaps between chunks of content (ITL)."""
        return tuple((b - a) * 1000 for a, b in pairwise(self.chunks_s))

    def tokens_before(self, end_s: float) -> float:
        """Output tokens that had arrived at `end_s`; a chunk counts for an equal share of the tokens."""
        if not self.chunks_s:
            return 0.0
        return self.output_tokens * bisect_right(self.chunks_s, end_s) / len(self.chunks_s)

    def to_json(self) -> str:
        """One line; chunks as the first offset and gaps in whole microseconds."""
        return json.dumps(
            {
                "index": self.index,
                "phase": self.phase,
                "status": self.status,
                "code": self.code,
                "message": self.message,
                "intended_s": _rounded(self.intended_s),
                "sent_s": _rounded(self.sent_s),
                "first_s": _rounded(self.first_s),
                "last_s": _rounded(self.last_s),
                "end_s": _rounded(self.end_s),
                "requested_input_tokens": self.requested_input_tokens,
                "requested_output_tokens": self.requested_output_tokens,
                "input_tokens": self.input_tokens,
                "output_tokens": self.output_tokens,
                "reasoning_tokens": self.reasoning_tokens,
                "counted_by": self.counted_by,
                "gaps_us": _gaps_us(self.chunks_s),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read what `to_json` wrote."""
        raw: dict[str, Any] = json.loads(line)
        first, gaps = raw.pop("first_s"), raw.pop("gaps_us")
        del raw["last_s"]
        return cls(**raw, chunks_s=_offsets(first, gaps))


def _ms(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else (end_s - start_s) * 1000


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _gaps_us(times: "array[float]") -> list[int]:
    ticks = [round(at * 1e6) for at in times]
    return [b - a for a, b in pairwise(ticks)]


def _offsets(first_s: float | None, gaps_us: Iterable[int]) -> "array[float]":
    times = array("d")
    if first_s is None:
        return times
    tick = round(first_s * 1e6)
    times.append(tick / 1e6)
    for gap in gaps_us:
        tick += gap
        times.append(tick / 1e6)
    return times


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write `rows` as JSON Lines; OSError passes through."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(row.to_json() + "\n" for row in rows)


def read_rows(path: Path) -> Iterator[Row]:
    """Read what `write_rows` wrote, in its order."""
    with path.open(encoding="utf-8") as file:
        yield from map(Row.from_json, file)
