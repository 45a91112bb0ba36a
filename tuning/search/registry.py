"""The one list of strategies."""

from collections.abc import Callable

from tuning.document.goals import Strategy as StrategySection
from tuning.document.goals import StrategyName
from tuning.search.base import Direction, Strategy
from tuning.search.grid import make_grid
from tuning.search.randomized import make_random
from tuning.search.space import Space


def _grid(section: StrategySection, space: Space, direction: Direction, budget: int) -> Strategy:
    return make_grid(space, seed=section.seed, budget=budget)


def _random(section: StrategySection, space: Space, direction: Direction, budget: int) -> Strategy:
    return make_random(space, seed=section.seed)


def _bayesian(section: StrategySection, space: Space, direction: Direction, budget: int) -> Strategy:
    from tuning.search.bayesian import BayesianStrategy  # noqa: PLC0415 - Optuna is slow to import, and rarely needed

    return BayesianStrategy(space, seed=section.seed, direction=direction, initial_random=section.initial_random)


_FACTORIES: dict[StrategyName, Callable[[StrategySection, Space, Direction, int], Strategy]] = {
    StrategyName.GRID: _grid,
    StrategyName.RANDOM: _random,
    StrategyName.BAYESIAN: _bayesian,
}


def make_strategy(section: StrategySection, space: Space, *, direction: Direction, budget: int) -> Strategy:
    """A fresh strategy for `budget` configurations; ValueError when it cannot search this space."""
    return _FACTORIES[section.name](section, space, direction, budget)
