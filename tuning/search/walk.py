"""Going through a whole search space in bounded time and memory."""

from collections.abc import Iterator
from itertools import islice
from math import gcd
from random import Random

from tuning.document.base import Parameters
from tuning.document.constraints import Constraint
from tuning.search.space import Space

PATIENCE = 2**20
"""How many refusals end a walk. A space of at most this many points is always gone through to its end."""


class Walk:
    """Every accepted configuration: in order, the last parameter changing fastest, or mixed up by `rng`.

    A constraint is looked at as soon as its parameters have values, so that one refusal skips all that it rules out.
    After `patience` refusals the walk ends early and `complete` stays False. Raises ValueError for a continuous range.
    """

    def __init__(self, space: Space, rng: Random | None = None, *, patience: int = PATIENCE) -> None:
        self.complete = False
        self._space = space
        self._names = list(space.domains)
        self._counts = [_count(space, name) for name in self._names]
        self._rng = rng
        self._patience = patience
        self._due: dict[int, list[Constraint]] = {}
        for constraint in space.constraints:
            depth = max((self._names.index(name) for name in constraint.names if name in self._names), default=-1)
            self._due.setdefault(depth, []).append(constraint)

    def __iter__(self) -> Iterator[Parameters]:
        configuration = dict(self._space.fixed)
        if self._due_hold(-1, configuration):
            yield from self._leaves(configuration)
        self.complete = self._patience > 0

    def _leaves(self, configuration: Parameters) -> Iterator[Parameters]:
        """Depth first, with a stack of our own: there may be more parameters than Python nests calls."""
        levels = [self._values(0, configuration)]
        while levels and self._patience > 0:
            depth = len(levels) - 1
            if not next(levels[-1], False):
                levels.pop()
            elif depth == len(self._names):
                yield from self._arrive(configuration)
            elif self._due_hold(depth, configuration):
                levels.append(self._values(depth + 1, configuration))

    def _values(self, depth: int, configuration: Parameters) -> Iterator[bool]:
        """Sets one value after the other; a level without a parameter, or with one that is absent, has one turn."""
        name = self._names[depth] if depth < len(self._names) else None
        if name is None or not self._space.is_active(name, configuration):
            yield True
            return
        for index in self._order(self._counts[depth]):
            configuration[name] = self._space.domains[name].value(index)
            yield True
        del configuration[name]

    def _arrive(self, configuration: Parameters) -> Iterator[Parameters]:
        if self._space.allowed(configuration):
            yield dict(configuration)
        else:
            self._patience -= 1

    def _due_hold(self, depth: int, configuration: Parameters) -> bool:
        if all(constraint.holds(configuration) for constraint in self._due.get(depth, ())):
            return True
        self._patience -= 1
        return False

    def _order(self, count: int) -> Iterator[int]:
        """All numbers below `count`; mixed up without a list of them, by a step that shares no divisor with it."""
        if self._rng is None:
            return iter(range(count))
        start, step = self._rng.randrange(count), self._rng.randrange(1, count + 1)
        while gcd(step, count) != 1:
            step = self._rng.randrange(1, count + 1)
        return ((start + turn * step) % count for turn in range(count))


def count(space: Space, limit: int = 10_000, *, patience: int = 10_000) -> int | None:
    """How many different configurations there are; None for more than `limit`, or after `patience` refusals."""
    if space.upper_bound is None:
        return None
    walk = Walk(space, patience=patience)
    identities = {space.identity(configuration) for configuration in islice(walk, limit + 1)}
    return len(identities) if walk.complete else None


def _count(space: Space, name: str) -> int:
    number = space.domains[name].count
    if number is None:
        raise ValueError(f"{name}: a range without `step` cannot be gone through")
    return number
