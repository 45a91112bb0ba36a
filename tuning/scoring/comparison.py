"""Which of two configurations is better, and how sure that is."""

import math
import statistics
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tuning.scoring.objectives import Direction

# Two-sided 95 % quantiles of Student's t distribution for 1 to 30 degrees of freedom.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Result(Generic[Key]):
    """All that is known of one configuration.

    `values` has the objective of each replicate that gave one; `failed` counts replicates that failed. `violations` are
    the worst over replicates. A configuration that failed even once, or missed the SLO even once, is not feasible: it
    was lucky the other times.
    """

    key: Key
    values: tuple[float, ...]
    feasible: bool
    violations: tuple[float, ...] = ()
    failed: int = 0

    @property
    def value(self) -> float | None:
        """Mean over replicates; None for a configuration that failed."""
        return statistics.fmean(self.values) if self.values and not self.failed else None

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % confidence interval of the mean (Student's t); None when measured once."""
        count = len(self.values)
        if count < 2 or self.value is None:
            return None
        return _t95(count - 1) * statistics.stdev(self.values) / math.sqrt(count)


@dataclass(frozen=True)
class Ranking(Generic[Key]):
    """Configurations from best to worst; those that failed are not ranked.

    `tied` holds the keys that cannot be told from the best one by what was measured.
    """

    ordered: tuple[Result[Key], ...]
    tied: tuple[Key, ...] = field(default=())

    @property
    def best(self) -> Result[Key] | None:
        """The best feasible configuration, if there is one."""
        return self.ordered[0] if self.ordered and self.ordered[0].feasible else None


def rank(results: Iterable[Result[Key]], direction: Direction) -> Ranking[Key]:
    """Feasible before infeasible; the feasible by objective, the infeasible by how far they miss the SLO."""
    sign = 1 if direction == "minimize" else -1

    def order(result: Result[Key]) -> tuple[bool, float, float]:
        excess = 0.0 if result.feasible else sum(max(0.0, violation) for violation in result.violations)
        return (not result.feasible, excess, sign * (result.value or 0.0))

    ordered = tuple(sorted((result for result in results if result.value is not None), key=order))
    return Ranking(ordered, _tied(ordered))


def _tied(ordered: Sequence[Result[Key]]) -> tuple[Key, ...]:
    if not ordered or not ordered[0].feasible:
        return ()
    best, *others = ordered
    return tuple(other.key for other in others if other.feasible and _indistinct(best, other))


def _indistinct(one: Result[Key], other: Result[Key]) -> bool:
    """Whether the 95 % interval of the difference of two means holds 0 (Welch's t test).

    A configuration that was measured once says nothing about its noise: no tie is claimed for it.
    """
    if len(one.values) < 2 or len(other.values) < 2:
        return False
    first, second = (statistics.variance(result.values) / len(result.values) for result in (one, other))
    difference = abs(statistics.fmean(one.values) - statistics.fmean(other.values))
    if first + second == 0:
        return difference == 0
    freedom = (first + second) ** 2 / (first**2 / (len(one.values) - 1) + second**2 / (len(other.values) - 1))
    return difference <= _t95(max(1, math.floor(freedom))) * math.sqrt(first + second)


def _t95(freedom: int) -> float:
    return _T95[freedom - 1] if freedom <= len(_T95) else statistics.NormalDist().inv_cdf(0.975)


def ratio_to_baseline(value: float, baseline: float, direction: Direction) -> float | None:
    """How many times better than the baseline, above 1 when better in either direction; None for a baseline of 0."""
    better, worse = (value, baseline) if direction == "maximize" else (baseline, value)
    return better / worse if worse else None
