"""How parameter values are shown to Optuna, which knows fewer kinds of them.

Each value becomes a code: its place in an unordered list, its rank among listed numbers, its step in a range, or the
number itself in a continuous or logarithmic range.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial
from pydantic import JsonValue

from tuning.search.domains import Continuous, Domain, Listed, Stepped, is_number

ORDERED_FROM = 3
"""From how many listed numbers on their order is modelled."""

ALTERNATIVES = 16
"""How many other values of an unordered list count as next to one."""


class Encoding(ABC):
    """One parameter as Optuna sees it."""

    distribution: BaseDistribution

    @abstractmethod
    def encode(self, value: JsonValue) -> int | float:
        """The code of a value of the domain."""

    @abstractmethod
    def suggest(self, trial: Trial, name: str) -> JsonValue:
        """The value that `trial` proposes."""

    @abstractmethod
    def distance(self, one: JsonValue, other: JsonValue) -> float:
        """How different two values are, 0 to 1 of the whole range."""

    @abstractmethod
    def around(self, value: JsonValue) -> Iterator[JsonValue]:
        """Values next to `value`."""


class Unordered(Encoding):
    """Listed values of any kind."""

    def __init__(self, domain: Listed) -> None:
        self._domain = domain
        self._codes = range(domain.count)
        self.distribution = CategoricalDistribution(self._codes)

    def encode(self, value: JsonValue) -> int:
        return _index(self._domain, value)

    def suggest(self, trial: Trial, name: str) -> JsonValue:
        return self._domain.value(trial.suggest_categorical(name, self._codes))

    def distance(self, one: JsonValue, other: JsonValue) -> float:
        return float(self.encode(one) != self.encode(other))

    def around(self, value: JsonValue) -> Iterator[JsonValue]:
        here = self.encode(value)
        return (self._domain.value(code) for code in self._codes[:ALTERNATIVES] if code != here)


class Ordered(Encoding):
    """Values in an order, by their rank in it."""

    def __init__(self, domain: Domain, count: int) -> None:
        self._domain = domain
        self._last = count - 1
        self.distribution = IntDistribution(0, self._last)

    def encode(self, value: JsonValue) -> int:
        return _index(self._domain, value)

    def suggest(self, trial: Trial, name: str) -> JsonValue:
        return self._domain.value(trial.suggest_int(name, 0, self._last))

    def distance(self, one: JsonValue, other: JsonValue) -> float:
        return abs(self.encode(one) - self.encode(other)) / self._last

    def around(self, value: JsonValue) -> Iterator[JsonValue]:
        here = self.encode(value)
        return (self._domain.value(code) for code in (here - 1, here + 1) if 0 <= code <= self._last)


class Measured(Encoding):
    """Numbers by their size, or by their magnitude when the range is logarithmic."""

    def __init__(self, domain: Continuous | Stepped) -> None:
        self._domain = domain
        self._low, self._high, self._log = domain.low, domain.high, domain.log
        self.distribution = FloatDistribution(self._low, self._high, log=self._log)

    def encode(self, value: JsonValue) -> float:
        if not is_number(value):
            raise TypeError(f"{value!r} is no number")
        return min(max(float(value), self._low), self._high)

    def suggest(self, trial: Trial, name: str) -> JsonValue:
        return self._domain.nearest(trial.suggest_float(name, self._low, self._high, log=self._log))

    def distance(self, one: JsonValue, other: JsonValue) -> float:
        return abs(self._share(one) - self._share(other))

    def around(self, value: JsonValue) -> Iterator[JsonValue]:
        here = self._share(value)
        return (self._domain.at(share) for share in (here - 0.05, here + 0.05) if 0 <= share < 1)

    def _share(self, value: JsonValue) -> float:
        scale = math.log if self._log else float
        low, high = scale(self._low), scale(self._high)
        return (scale(self.encode(value)) - low) / (high - low)


def make_encoding(domain: Domain) -> Encoding | None:
    """The encoding of a domain; None when there is nothing to choose."""
    match domain:
        case _ if domain.count == 1:
            return None
        case Listed():
            numbers = sorted(value for value in domain.values if is_number(value))
            ordered = ORDERED_FROM <= len(numbers) == domain.count
            return Ordered(Listed(tuple(numbers)), domain.count) if ordered else Unordered(domain)
        case Stepped(log=False):
            return Ordered(domain, domain.count)
        case Stepped() | Continuous():
            return Measured(domain)
    raise TypeError(f"{type(domain).__name__} has no encoding")


def _index(domain: Domain, value: JsonValue) -> int:
    index = domain.index(value)
    if index is None:
        raise ValueError(f"{value!r} is not a value of this parameter")
    return index
