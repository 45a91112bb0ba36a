"""The one list of strategies."""

from collections.abc import Callable

from tuning.document.goals import Strategy as StrategySection
from tuning.document.goals import StrategyName
from tuning.search.base import Direction, Strategy
from tuning.search.grid import make_grid
from tuning.search.space import Space


def _grid(section: StrategySection, space: Space, direction: Direction, budget: int) -> Strategy:
    return make_grid(space, seed=section.seed, budget=budget)


_FACTORIES: dict[StrategyName, Callable[[StrategySection, Space, Direction, int], Strategy]] = {
    StrategyName.GRID: _grid,
}


def make_strategy(section: StrategySection, space: Space, *, direction: Direction, budget: int) -> Strategy:
    """A fresh strategy for `budget` configurations; ValueError when it cannot search this space."""
    return _FACTORIES[section.name](section, space, direction, budget)
