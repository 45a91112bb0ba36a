"""Making the request bodies of a plan: the same for every configuration, and no two alike on one server.

A prompt is a head of up to four words that spells the number of the request, and a piece of one long shuffled text.
The heads differ between requests, phases and load points, so no prefix cache can answer one prompt with another.
Lengths are counted in words and turned into tokens by the plan's calibration, so that no tokenizer is needed; the 256
words are common enough to be one token each in the usual vocabularies. All text is prepared before the load; a body is
then a few slices joined.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate
from pathlib import Path
from typing import Protocol

from tuning.benchmarks.builtin.dataset import read_prompts
from tuning.benchmarks.builtin.plan import Phase, Plan, Task

POOL_WORDS = 20_000
_PHASES = {Phase.MEASURED: 0, Phase.WARMUP: 1}
_POINTS = 1000


class Prompts(Protocol):
    """Where prompt texts come from."""

    def text(self, index: int, words: int) -> bytes:
        """The prompt of request `index` as the inside of a JSON string; `words` long where that is ours to choose."""
        ...

    @property
    def repeated(self) -> int:
        """How many requests of the plan get a prompt that another one has."""
        ...


def prompts_of(plan: Plan) -> Prompts:
    """Prepare the prompts of `plan`; DatasetProblem when its dataset cannot be used."""
    if plan.dataset is None:
        return Synthetic(plan)
    entries = read_prompts(Path(plan.dataset.path), plan.dataset.prompt_field)
    random.Random(f"{plan.seed} dataset").shuffle(entries)  # noqa: S311
    return Entries(entries, first=plan.dataset.first, requests=len(plan.input_tokens))


def vocabulary() -> list[str]:
    """The 256 words that prompts are made of."""
    return files(__package__).joinpath("words.txt").read_text(encoding="ascii").split()


class Synthetic:
    """Prompts cut to a number of words from one long text, each behind its own head."""

    def __init__(self, plan: Plan) -> None:
        self._words = [word.encode() for word in vocabulary()]
        random.Random(f"{plan.seed} heads").shuffle(self._words)  # noqa: S311
        draw = random.Random(f"{plan.seed} {plan.point} text")  # noqa: S311
        length = max(POOL_WORDS, 2 * plan.words(max(plan.input_tokens)))
        pool = draw.choices(self._words, k=length)
        self._pool = b" ".join(pool)
        self._starts = [0, *accumulate(len(word) + 1 for word in pool)]
        self._first = _PHASES[plan.phase] * _POINTS + plan.point % _POINTS

    def text(self, index: int, words: int) -> bytes:
        """A head and a piece of the text, `words` words together."""
        head = self._head(index)[:words]
        rest = words - len(head)
        if not rest:
            return b" ".join(head)
        start = (index * 7919 + self._first * 104_729) % (len(self._starts) - 1 - rest)
        return b" ".join(head) + b" " + self._pool[self._starts[start] : self._starts[start + rest] - 1]

    def _head(self, index: int) -> list[bytes]:
        """Base-256 digits of (phase and load point, index), index first: the first words differ soonest."""
        number = index + (self._first << 20)
        return [self._words[number >> shift & 255] for shift in (0, 8, 16, 24)]

    @property
    def repeated(self) -> int:
        """Heads repeat only in prompts shorter than a head; those are not counted here."""
        return 0


class Entries:
    """The entries of a dataset, as they are, one after the other from the plan's first."""

    def __init__(self, entries: Sequence[str], *, first: int, requests: int) -> None:
        self._entries = [json.dumps(entry)[1:-1].encode() for entry in entries]
        self._first = first
        self._requests = requests

    def text(self, index: int, words: int) -> bytes:
        """The entry whose turn it is; `words` is not asked for."""
        return self._entries[(self._first + index) % len(self._entries)]

    @property
    def repeated(self) -> int:
        """Requests that get an entry which another one has: the dataset is shorter than the plan, or repeats itself."""
        return self._requests - len({self.text(index, 0) for index in range(self._requests)})


@dataclass(frozen=True)
class Bodies:
    """The request bodies of a plan: `head` + prompt + `tail` + number of output tokens + `end`."""

    head: bytes
    tail: bytes
    end: bytes

    @classmethod
    def of(cls, plan: Plan) -> "Bodies":
        """Prepare all that is equal in every body."""
        model = json.dumps(plan.model)
        if plan.task is Task.EMBEDDINGS:
            return cls(f'{{"model":{model},"input":"'.encode(), b'"}', b"")
        fields = {**plan.sampling, "stream": True, "stream_options": {"include_usage": True}}
        if plan.ignore_eos:
            fields["ignore_eos"] = True
        rest = json.dumps(fields)[1:-1]
        return cls(
            f'{{"model":{model},"messages":[{{"role":"user","content":"'.encode(),
            f'"}}],{rest},"max_tokens":'.encode(),
            b"}",
        )

    def body(self, text: bytes, output_tokens: int) -> bytes:
        """One body; an embedding has no output tokens."""
        return b"".join((self.head, text, self.tail, str(output_tokens).encode() if self.end else b"", self.end))
