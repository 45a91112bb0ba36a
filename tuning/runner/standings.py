"""The ranking of a task's configurations, kept in order while outcomes come in."""

from bisect import bisect_left, insort
from dataclasses import dataclass

from tuning.scoring.comparison import Result, rank
from tuning.scoring.objectives import Direction


@dataclass(frozen=True)
class _Place:
    """A configuration among the others. `number` decides between equals: the one that was made first."""

    result: Result[str]
    number: int
    direction: Direction

    def __lt__(self, other: "_Place") -> bool:
        first, second = (self, other) if self.number < other.number else (other, self)
        better = rank((first.result, second.result), self.direction).ordered[0]
        return self.number != other.number and better is self.result


class Standings:
    """Configurations from best to worst, in the order of `rank`; an outcome costs the logarithm of how many there are.

    Equals stand in the order of the numbers that they were given with, whichever way the outcomes came.
    """

    def __init__(self, direction: Direction) -> None:
        self._direction = direction
        self._places: list[_Place] = []
        self._of: dict[str, _Place] = {}

    def put(self, result: Result[str], number: int) -> None:
        """Take note of all that is known of one configuration now; one that failed has no place."""
        known = self._of.pop(result.key, None)
        if known is not None:
            del self._places[bisect_left(self._places, known)]
        if result.value is not None:
            place = self._of[result.key] = _Place(result, number, self._direction)
            insort(self._places, place)

    def first(self, count: int) -> list[str]:
        """The keys of the best `count` configurations, feasible or not, or of as many as there are."""
        return [place.result.key for place in self._places[:count]]

    @property
    def best(self) -> str | None:
        """The key of the best feasible configuration, if there is one."""
        return self._places[0].result.key if self._places and self._places[0].result.feasible else None
