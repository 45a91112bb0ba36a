"""The values one parameter can take: a list, numbers a step apart, or every number of a range.

A domain is addressed in two ways: `value(index)` for those that can be counted, and `at(quantile)` for all, where
0 <= quantile < 1 runs from the first value to the last, by magnitude when the range is logarithmic.
"""

import json
import math
import sys
from collections.abc import Hashable
from fractions import Fraction
from typing import Protocol, TypeGuard

from pydantic import JsonValue

from tuning.document.space import Choices, FloatRange, IntRange, Parameter

SIGNIFICANT_DIGITS = 6
"""How finely a continuous range is drawn: a millionth of its width, so that flags stay readable."""

MAX_STEPS = 2**53


class Domain(Protocol):
    """The values of one parameter."""

    @property
    def count(self) -> int | None:
        """How many values there are; None when they cannot be counted."""
        ...

    def value(self, index: int) -> JsonValue:
        """The value number `index` of a domain that can be counted."""
        ...

    def at(self, quantile: float) -> JsonValue:
        """The value at this share of the way, 0 <= quantile < 1."""
        ...

    def index(self, value: JsonValue) -> int | None:
        """Where `value` stands; None when the domain does not hold it. 0 for every value of a continuous range."""
        ...


class Listed:
    """The values that a list names, with the types they were written with."""

    def __init__(self, values: tuple[JsonValue, ...]) -> None:
        self.values = values
        self.count = len(values)
        self._places = {_key(value): index for index, value in enumerate(values)}

    def value(self, index: int) -> JsonValue:
        """The value number `index`."""
        return self.values[index]

    def at(self, quantile: float) -> JsonValue:
        """The value at this share of the list."""
        return self.values[int(quantile * self.count)]

    def index(self, value: JsonValue) -> int | None:
        """Where `value` stands; a boolean is never taken for a number."""
        return self._places.get(_key(value))


class Stepped:
    """Numbers from `low` to at most `high`, `step` apart, computed exactly so that 0.7 is written as 0.7.

    Raises ValueError for more steps than a float can tell apart, and for integers beyond every float.
    """

    def __init__(self, low: float, high: float, step: float, *, log: bool, whole: bool) -> None:
        self._low, self._step = Fraction(repr(low)), Fraction(repr(step))
        self._whole = whole
        self.log = log
        self.count = int((Fraction(repr(high)) - self._low) // self._step) + 1
        if self.count > MAX_STEPS or max(-low, high) > sys.float_info.max:
            raise ValueError(f"from {low} to {high} in steps of {step}: too many numbers, or too large ones")
        self.low, self.high = float(low), float(self.value(self.count - 1))

    def value(self, index: int) -> int | float:
        """The number `index` steps above the lowest."""
        number = self._low + index * self._step
        return int(number) if self._whole else float(number)

    def at(self, quantile: float) -> int | float:
        """The number at this share of the way; each has the share of its step, or of its step's logarithm."""
        if not self.log:
            return self.value(min(int(quantile * self.count), self.count - 1))
        step = float(self._step)
        number = _by_magnitude(self.low, self.high + step, quantile)
        return self.value(max(0, min(int((number - self.low) / step), self.count - 1)))

    def index(self, value: JsonValue) -> int | None:
        """Where `value` stands, if it is a whole number of steps above the lowest."""
        if not is_number(value) or (self._whole and not isinstance(value, int)):
            return None
        index = round((Fraction(repr(value)) - self._low) / self._step)
        close = 0 <= index < self.count and math.isclose(self.value(index), value, rel_tol=1e-9, abs_tol=1e-12)
        return index if close else None

    def nearest(self, number: float) -> int | float:
        """The number of this domain next to any other."""
        index = round((Fraction(repr(number)) - self._low) / self._step)
        return self.value(max(0, min(index, self.count - 1)))


class Continuous:
    """Every number from `low` to `high`."""

    count = None

    def __init__(self, low: float, high: float, *, log: bool) -> None:
        self.low, self.high, self.log = low, high, log

    def value(self, index: int) -> JsonValue:
        """Not possible."""
        raise ValueError(f"the numbers from {self.low} to {self.high} cannot be counted; give the range a `step`")

    def at(self, quantile: float) -> float:
        """The number at this share of the way."""
        if self.log:
            return self.nearest(_by_magnitude(self.low, self.high, quantile))
        return self.nearest(self.low + quantile * (self.high - self.low))

    def nearest(self, number: float) -> float:
        """`number` without digits that mean nothing, inside the range."""
        scale = abs(number) if self.log else self.high - self.low
        digits = SIGNIFICANT_DIGITS - math.floor(math.log10(scale)) if scale > 0 else SIGNIFICANT_DIGITS
        return max(self.low, min(round(number, digits), self.high))

    def index(self, value: JsonValue) -> int | None:
        """0 for a number of the range."""
        return 0 if is_number(value) and self.low <= value <= self.high else None


def make_domain(parameter: Parameter) -> Listed | Stepped | Continuous:
    """The domain that this part of a task document describes."""
    match parameter:
        case Choices(values=values):
            return Listed(values)
        case IntRange(min=low, max=high, step=step, log=log):
            return Stepped(low, high, step, log=log, whole=True)
        case FloatRange(min=low, max=high, step=None, log=log) if low < high:
            return Continuous(low, high, log=log)
        case FloatRange(min=low, max=high, step=step, log=log):
            return Stepped(low, high, step or 1.0, log=log, whole=False)
    raise TypeError(f"{type(parameter).__name__} describes no domain")


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether `value` is a finite number; a boolean is none."""
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


def same_value(one: JsonValue, other: JsonValue) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    return _key(one) == _key(other)


def _key(value: JsonValue) -> Hashable:
    return value if is_number(value) else json.dumps(value, sort_keys=True)


def _by_magnitude(low: float, high: float, quantile: float) -> float:
    return low * math.exp(quantile * math.log(high / low))
