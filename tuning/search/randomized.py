"""Configurations drawn at random, each once."""

from collections.abc import Iterator
from random import Random

from tuning.document.base import Parameters
from tuning.search.sequence import SequenceStrategy, drawn, seeded
from tuning.search.space import Space


def make_random(space: Space, *, seed: int) -> SequenceStrategy:
    """Draws without repeats until the space is used up."""
    rng = seeded(seed, "random")
    return SequenceStrategy(space, drawn(space, draws(space, rng), rng))


def draws(space: Space, rng: Random) -> Iterator[Parameters]:
    """Endless independent draws: each value of a list alike, ranges evenly, logarithmic ones by magnitude."""
    while True:
        yield space.build(lambda name, domain: domain.at(rng.random()))
