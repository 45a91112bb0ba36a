"""Model-based search: spread draws first, then where the model expects the best."""

from collections.abc import Hashable
from dataclasses import replace
from itertools import islice

from optuna.trial import FrozenTrial

from tuning.document.base import Parameters
from tuning.search.base import Direction, Outcome
from tuning.search.grid import spread
from tuning.search.sequence import Untried, drawn, seeded
from tuning.search.space import Space
from tuning.search.tpe import Model

PROPOSALS = 2
"""How many proposals of the model are looked at; more cost milliseconds each and found nothing better."""

POOL = 64
"""Among how many untried configurations, besides its neighbours, the one nearest to a proposal is taken after that."""

FAILURES_PER_MEASUREMENT = 9
"""TPE takes the best tenth for good. With more failures than this it would take failures for good."""


class BayesianStrategy:
    """Draws `initial_random` configurations spread over the space, then follows the model.

    The model is made anew for every configuration, from what was asked and told and with a seed that depends on how
    many were asked: it holds nothing that an interruption could lose. In which order outcomes come does not matter.
    Configurations that are asked and not told yet keep the model away from their neighbourhood.
    """

    def __init__(self, space: Space, *, seed: int, direction: Direction, initial_random: int) -> None:
        rng = seeded(seed, "bayesian")
        self._space = space
        self._seed = seed
        self._initial_random = initial_random
        self._model = Model(space, direction)
        self._untried = Untried(space, drawn(space, spread(space, initial_random, rng), rng))
        self._asked: dict[Hashable, Parameters | None] = {}
        self._outcomes: dict[Hashable, Outcome] = {}

    @property
    def learns(self) -> bool:
        """Only when `initial_random` configurations have been asked: there cannot be as many outcomes before."""
        return len(self._asked) >= self._initial_random

    def ask(self, count: int = 1) -> list[Parameters]:
        """Up to `count` new configurations; each takes those before it into account."""
        chosen: list[Parameters] = []
        while len(chosen) < count and (parameters := self._next()) is not None:
            self.assume(parameters)
            chosen.append(parameters)
        return chosen

    def tell(self, outcome: Outcome) -> None:
        """Learn from an outcome inside the space; the latest one counts when a configuration is told again."""
        self._untried.mark(outcome.parameters)
        parameters = self._space.locate(outcome.parameters)
        if parameters is not None:
            self._outcomes[self._space.identity(parameters)] = replace(outcome, parameters=parameters)

    def assume(self, parameters: Parameters) -> None:
        """Count `parameters` as asked."""
        self._untried.mark(parameters)
        self._asked.setdefault(self._space.identity(parameters), self._space.locate(parameters))

    def _next(self) -> Parameters | None:
        untried = self._untried.first(1)
        measured = [outcome for outcome in self._outcomes.values() if not outcome.failed]
        if not untried:
            return None
        if not measured or len(self._outcomes) < self._initial_random:
            return untried[0]
        return self._modelled(self._trials(FAILURES_PER_MEASUREMENT * len(measured)))

    def _modelled(self, trials: list[FrozenTrial]) -> Parameters:
        """The first usable proposal of the model, or else the untried configuration nearest to its last."""
        seed = seeded(self._seed, "model", len(self._asked)).randrange(2**32)
        proposal: Parameters = {}
        for proposal in islice(self._model.proposals(trials, seed), PROPOSALS):
            if self._usable(proposal):
                return proposal
        others = [*filter(self._usable, self._model.neighbours(proposal)), *self._untried.first(POOL)]
        return min(others, key=lambda other: self._model.distance(proposal, other))

    def _usable(self, parameters: Parameters) -> bool:
        return self._untried.holds(parameters) and self._space.accepts(parameters)

    def _trials(self, failures: int) -> list[FrozenTrial]:
        """What the model is told, in the order of asking: everything, but of failures only the last ones."""
        known = [(parameters, self._outcomes.get(identity)) for identity, parameters in self._inside().items()]
        surplus = sum(outcome is not None and outcome.failed for _, outcome in known) - failures
        trials = []
        for parameters, outcome in known:
            if outcome is not None and outcome.failed and surplus > 0:
                surplus -= 1
            else:
                trials.append(self._model.trial(parameters, outcome))
        return trials

    def _inside(self) -> dict[Hashable, Parameters]:
        """All configurations inside the space; those that were told without being asked first."""
        unasked = {key: outcome.parameters for key, outcome in self._outcomes.items() if key not in self._asked}
        asked = {key: parameters for key, parameters in self._asked.items() if parameters is not None}
        return unasked | asked
