"""Search space and strategies. Pure: no Django, no I/O."""

from tuning.search.base import Direction, Outcome, Strategy
from tuning.search.registry import make_strategy
from tuning.search.space import Space
from tuning.search.walk import count

__all__ = ["Direction", "Outcome", "Space", "Strategy", "count", "make_strategy"]
