"""Strategies whose order does not depend on results: the next configuration is the first untried of a sequence."""

from collections.abc import Hashable, Iterable, Iterator
from itertools import chain
from random import Random

from tuning.document.base import Parameters
from tuning.search.base import Outcome
from tuning.search.space import Space
from tuning.search.walk import Walk

MISSES = 1_000
"""How many draws in a row may be refused or repeated before the rest of the space is gone through one by one."""

MISSES_CONTINUOUS = 20_000
"""The same where the rest cannot be gone through: then the space counts as used up."""


class Untried:
    """A fixed sequence of configurations without those that have been tried.

    Which ones come next depends only on the sequence and on the set of those tried, not on when they were tried: this
    is what makes an interrupted search go on as if nothing had happened.
    """

    def __init__(self, space: Space, sequence: Iterable[Parameters]) -> None:
        self._space = space
        self._sequence = iter(sequence)
        self._upcoming: list[Parameters] = []
        self._tried: set[Hashable] = set()

    def mark(self, parameters: Parameters) -> None:
        """Count `parameters` as tried."""
        self._tried.add(self._space.identity(parameters))

    def holds(self, parameters: Parameters) -> bool:
        """Whether `parameters` has not been tried."""
        return self._space.identity(parameters) not in self._tried

    def first(self, count: int) -> list[Parameters]:
        """The next `count`, or as many as are left; they are not marked."""
        self._upcoming = [parameters for parameters in self._upcoming if self.holds(parameters)]
        while len(self._upcoming) < count and (parameters := next(self._sequence, None)) is not None:
            if self.holds(parameters):
                self._upcoming.append(parameters)
        return self._upcoming[:count]


class SequenceStrategy:
    """Tries a fixed sequence in its order; outcomes change nothing."""

    learns = False

    def __init__(self, space: Space, sequence: Iterable[Parameters]) -> None:
        self._untried = Untried(space, sequence)

    def ask(self, count: int = 1) -> list[Parameters]:
        """The next `count` untried configurations; fewer when the space is used up."""
        chosen = self._untried.first(count)
        for parameters in chosen:
            self._untried.mark(parameters)
        return chosen

    def tell(self, outcome: Outcome) -> None:
        """Only makes sure that what ran is not tried again."""
        self._untried.mark(outcome.parameters)

    def assume(self, parameters: Parameters) -> None:
        """Count `parameters` as tried."""
        self._untried.mark(parameters)


def seeded(*parts: object) -> Random:
    """A generator of random numbers that depends on `parts` alone."""
    return Random("/".join(map(str, parts)))  # noqa: S311 - chooses configurations, keeps no secrets


def drawn(space: Space, draws: Iterator[Parameters], rng: Random) -> Iterator[Parameters]:
    """The accepted ones of an endless series of draws, each once, and then whatever they left out.

    Bounded: `MISSES` useless draws in a row, then one walk (`tuning.search.walk.PATIENCE`).
    """
    countable = space.upper_bound is not None
    limited = _until_useless(space, draws, MISSES if countable else MISSES_CONTINUOUS)
    return distinct(space, chain(limited, Walk(space, rng)) if countable else limited)


def distinct(space: Space, configurations: Iterable[Parameters]) -> Iterator[Parameters]:
    """Each configuration once; those that start the same server are the same."""
    known: set[Hashable] = set()
    for configuration in configurations:
        identity = space.identity(configuration)
        if identity not in known:
            known.add(identity)
            yield configuration


def _until_useless(space: Space, draws: Iterator[Parameters], patience: int) -> Iterator[Parameters]:
    known: set[Hashable] = set()
    misses = 0
    for configuration in draws:
        identity = space.identity(configuration)
        useful = identity not in known and space.accepts(configuration)
        known.add(identity)
        misses = 0 if useful else misses + 1
        if useful:
            yield configuration
        if misses >= patience:
            return
