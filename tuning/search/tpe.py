"""Optuna's tree-structured Parzen estimator (TPE), told only what happened.

Bergstra et al., Algorithms for Hyper-Parameter Optimization (NeurIPS 2011); constraints and mixed spaces as in
Watanabe, Tree-Structured Parzen Estimator (arXiv 2304.11127).
"""

import math
import sys
from collections.abc import Iterator, Sequence
from functools import partial

import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import JsonValue

from tuning.document.base import Parameters
from tuning.search.base import Direction, Outcome
from tuning.search.domains import Domain
from tuning.search.encoding import make_encoding
from tuning.search.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Model:
    """Translates between configurations of a space and trials of Optuna."""

    def __init__(self, space: Space, direction: Direction) -> None:
        self._space = space
        self._direction = direction
        encodings = {name: make_encoding(domain) for name, domain in space.domains.items()}
        self._encodings = {name: encoding for name, encoding in encodings.items() if encoding is not None}

    def trial(self, parameters: Parameters, outcome: Outcome | None) -> FrozenTrial:
        """What became of a configuration of the space; without an outcome it still runs.

        A failure has no value. It is a trial without result that violates its constraint without limit, so that it is
        behind everything measured, whichever way the objective points.
        """
        known = {name: value for name, value in parameters.items() if name in self._encodings}
        state, value, excess = _verdict(outcome)
        return create_trial(
            state=state,
            value=value,
            params={name: self._encodings[name].encode(value) for name, value in known.items()},
            distributions={name: self._encodings[name].distribution for name in known},
            constraints=None if outcome is None else {"excess": excess},
        )

    def proposals(self, trials: Sequence[FrozenTrial], seed: int) -> Iterator[Parameters]:
        """Endless proposals, the same for the same trials and seed; they may repeat and may be impossible."""
        study = optuna.create_study(sampler=_sampler(seed), direction=self._direction)
        study.add_trials(trials)
        while True:
            trial = study.ask()
            yield self._space.build(partial(self._suggest, trial))
            study.tell(trial, state=TrialState.FAIL)

    def _suggest(self, trial: optuna.Trial, name: str, domain: Domain) -> JsonValue:
        encoding = self._encodings.get(name)
        return encoding.suggest(trial, name) if encoding else domain.value(0)

    def neighbours(self, parameters: Parameters) -> Iterator[Parameters]:
        """The configurations that differ in one parameter, and in those that depend on it."""
        for changed, encoding in self._encodings.items():
            if changed in parameters:
                for value in encoding.around(parameters[changed]):
                    yield self._space.build(partial(_keep, {**parameters, changed: value}))

    def distance(self, one: Parameters, other: Parameters) -> float:
        """How far apart two configurations are: the sum over parameters, 1 for one that only one of them has."""
        return sum(
            encoding.distance(one[name], other[name]) if name in one and name in other else 1.0
            for name, encoding in self._encodings.items()
            if name in one or name in other
        )


def _keep(parameters: Parameters, name: str, domain: Domain) -> JsonValue:
    return parameters[name] if name in parameters else domain.at(0.5)


def _verdict(outcome: Outcome | None) -> tuple[TrialState, float | None, float]:
    if outcome is None:
        return TrialState.RUNNING, None, 0.0
    if outcome.value is None:
        return TrialState.PRUNED, None, math.inf
    excess = sum(violation for violation in outcome.violations if violation > 0)
    return TrialState.COMPLETE, outcome.value, min(excess, sys.float_info.max)


def _sampler(seed: int) -> TPESampler:
    """One that counts running trials as bad, and models each parameter by itself.

    With tens of experiments this learns faster than a joint model, and a conditional parameter needs no special care:
    it is modelled from the trials that had it.
    """
    return TPESampler(seed=seed, n_startup_trials=0, multivariate=False, constant_liar=True)
