"""The whole grid in order, or, when the budget is smaller than the grid, a sample spread evenly over it."""

from collections.abc import Iterator
from random import Random

from pydantic import JsonValue

from tuning.document.base import Parameters
from tuning.search.domains import Domain
from tuning.search.sequence import SequenceStrategy, distinct, drawn, seeded
from tuning.search.space import Space
from tuning.search.walk import Walk, count

COUNTED = 10_000
"""How far a space with conditions or constraints is counted to see whether the budget covers it."""

STRATA = 1_000
"""Into how many parts a long range is divided at most."""


def make_grid(space: Space, *, seed: int, budget: int) -> SequenceStrategy:
    """Raises ValueError for a range of numbers without `step`."""
    continuous = [name for name, domain in space.domains.items() if domain.count is None]
    if continuous:
        raise ValueError(f"grid needs a `step` for {', '.join(continuous)}")
    if covers(space, budget):
        return SequenceStrategy(space, distinct(space, Walk(space)))
    rng = seeded(seed, "grid")
    return SequenceStrategy(space, drawn(space, spread(space, budget, rng), rng))


def covers(space: Space, budget: int) -> bool:
    """Whether the budget is known to be enough for all configurations."""
    if space.upper_bound is not None and space.upper_bound <= budget:
        return True
    return count(space, min(budget, COUNTED)) is not None


def spread(space: Space, budget: int, rng: Random) -> Iterator[Parameters]:
    """Endless draws in which every parameter goes through all its values, in a mixed order, before one comes again.

    This is Latin hypercube sampling (McKay, Beckman, Conover 1979), one point after the other.
    """
    decks = {name: _deck(domain, budget, rng) for name, domain in space.domains.items()}
    while True:
        yield space.build(lambda name, domain: next(decks[name]))


def _deck(domain: Domain, budget: int, rng: Random) -> Iterator[JsonValue]:
    """The values of one parameter over and over; of more values than the budget, one from each of `budget` parts."""
    parts = min(budget, STRATA, domain.count or STRATA)
    while True:
        for part in rng.sample(range(parts), parts):
            yield domain.value(part) if parts == domain.count else domain.at((part + rng.random()) / parts)
