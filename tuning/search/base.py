"""How a strategy is asked for configurations and told what became of them."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from tuning.document.base import Parameters

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Outcome:
    """What became of one configuration.

    `value` is the objective in its natural unit, None when the experiment failed. `violations` has one number per SLO
    item, always in the same order: relative excess over the limit, at or below 0 when met ((v - t) / t). A failed
    experiment has no value and is never the best; it still teaches where not to look. Raises ValueError for a value
    that is not finite: a failure has none at all, so that no number can make it look good.
    """

    parameters: Parameters
    value: float | None
    violations: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.value} is not a measured value; a failed experiment has None")
        if any(math.isnan(violation) for violation in self.violations):
            raise ValueError("a violation is a number: infinite at the worst, never NaN")

    @property
    def failed(self) -> bool:
        """Whether there is nothing to compare."""
        return self.value is None

    @property
    def feasible(self) -> bool:
        """Whether it was measured and meets the SLO."""
        return self.value is not None and all(violation <= 0 for violation in self.violations)


class Strategy(Protocol):
    """Chooses configurations.

    The same space, seed and sequence of calls give the same configurations. A strategy holds nothing that cannot be
    rebuilt: a new one that is given the earlier configurations by `assume`, in the order in which they were asked, and
    the outcomes by `tell`, in whatever order, goes on exactly as the old one would have.
    """

    @property
    def learns(self) -> bool:
        """Whether the next answer of `ask` depends on outcomes; while it does not, nobody needs to wait for them."""
        ...

    def ask(self, count: int = 1) -> list[Parameters]:
        """Up to `count` new configurations, none asked or assumed before; fewer, or none, when the space is used up."""
        ...

    def tell(self, outcome: Outcome) -> None:
        """Learn what became of a configuration; one that the space does not hold (the baseline) is only noted."""
        ...

    def assume(self, parameters: Parameters) -> None:
        """Count `parameters` as asked: a row of an earlier life, or one that was tried for another reason."""
        ...
