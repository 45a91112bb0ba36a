"""The plan of one load: what the worker hands to the client process, as one JSON file."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

VERSION = 1


class Phase(StrEnum):
    """What a request is sent for; prompts of different phases are never the same."""

    WARMUP = "warmup"
    MEASURED = "measured"


class Task(StrEnum):
    """Which endpoint is loaded."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"

    @property
    def path(self) -> str:
        """The path of the endpoint below the base URL."""
        return "/v1/chat/completions" if self is Task.CHAT else "/v1/embeddings"


@dataclass(frozen=True)
class Calibration:
    """How many tokens the engine counts for a prompt: `overhead` (chat template) + `tokens_per_word` x words."""

    tokens_per_word: float = 1.0
    overhead: float = 0.0

    def words(self, tokens: int) -> int:
        """The number of words that come nearest to `tokens` tokens; at least one."""
        return max(1, round((tokens - self.overhead) / self.tokens_per_word))


@dataclass(frozen=True)
class DatasetFile:
    """Where prompts are read from, and which of the shuffled entries comes first."""

    path: str
    prompt_field: str
    first: int


@dataclass(frozen=True)
class Plan:
    """Everything the client process needs.

    `input_tokens` and `output_tokens` have one entry a request (0 input: as long as the dataset's entry is). `streams`
    is set for closed loop, `starts_s` (intended starts, seconds after the first) for open loop. `horizon_s` ends the
    sending. `calibration` is None until the engine's token counts are known. All limits are seconds.
    """

    base_url: str
    model: str
    task: Task
    phase: Phase
    seed: str
    point: int
    input_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]
    ignore_eos: bool
    sampling: dict[str, Any]
    horizon_s: float
    streams: int | None
    starts_s: tuple[float, ...] | None
    ramp_s: float
    connect_s: float
    first_token_s: float
    request_s: float
    deadline_s: float
    failures_in_a_row: int
    rows_file: str
    summary_file: str
    dataset: DatasetFile | None = None
    calibration: Calibration | None = None
    version: int = VERSION

    @property
    def url(self) -> str:
        """The endpoint."""
        return self.base_url.rstrip("/") + self.task.path

    def words(self, input_tokens: int) -> int:
        """How many words make a prompt of `input_tokens` tokens; one token a word until it is calibrated."""
        return (self.calibration or Calibration()).words(input_tokens)

    def write(self, path: Path) -> None:
        """Write the plan as JSON; OSError passes through."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["task"], raw["phase"] = Task(raw["task"]), Phase(raw["phase"])
        for name in ("input_tokens", "output_tokens", "starts_s"):
            raw[name] = None if raw[name] is None else tuple(raw[name])
        raw["dataset"] = raw["dataset"] and DatasetFile(**raw["dataset"])
        raw["calibration"] = raw["calibration"] and Calibration(**raw["calibration"])
        return cls(**raw)
