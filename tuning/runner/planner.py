"""What a task does next, from its document and its rows alone: a resumed task goes on as if it had never stopped."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tuning.document.base import Parameters
from tuning.document.task import TaskDocument
from tuning.engines.base import identity
from tuning.engines.registry import engine_for
from tuning.models import Experiment
from tuning.runner.results import configuration_result, ranking
from tuning.scoring.objectives import direction
from tuning.search import Outcome, Space, count, make_strategy


@dataclass(frozen=True)
class Planned:
    """An experiment that is to be made."""

    parameters: Parameters
    parameters_hash: str
    replicate: int = 0
    is_baseline: bool = False
    gpus: int = 1


class Planner:
    """Knows the rows that it was shown by `record` and says what comes next."""

    def __init__(self, document: TaskDocument, rows: Iterable[Experiment] = ()) -> None:
        self._document = document
        self._engine = engine_for(document.engine.name)
        self.space = search_space(document)
        self._strategy = make_strategy(
            document.strategy,
            self.space,
            direction=direction(document.objective),
            budget=document.budget.experiments,
        )
        self._configurations: dict[str, dict[int, Experiment]] = {}
        self._told: set[str] = set()
        self.exhausted = False
        for row in rows:
            self.record(row)

    def record(self, row: Experiment) -> None:
        """Take note of a new row, or of one that has an outcome now."""
        replicates = self._configurations.get(row.parameters_hash)
        if replicates is None:
            self._strategy.assume(row.parameters)
            replicates = self._configurations[row.parameters_hash] = {}
        replicates[row.replicate] = row
        finished = [experiment for experiment in replicates.values() if experiment.is_finished]
        if row.parameters_hash not in self._told and len(finished) >= self._search_replicates:
            self._told.add(row.parameters_hash)
            result = configuration_result(finished)
            self._strategy.tell(Outcome(row.parameters, result.value, result.violations))

    def next(self) -> Planned | None:
        """The next experiment to be made; None when the search and the repeats of its finalists are over."""
        if self._document.baseline and not self._configurations:
            return self._planned(dict(self._document.search_space.fixed), is_baseline=True)
        return self._missing_replicate() or self._new_configuration() or self._finalist()

    @property
    def best(self) -> Experiment | None:
        """The first experiment of the best configuration so far."""
        best = ranking(self._all_rows, self._document).best
        return self._configurations[best.key][0] if best else None

    @property
    def _all_rows(self) -> list[Experiment]:
        return [row for rows in self._configurations.values() for row in rows.values()]

    @property
    def experiments(self) -> int:
        """How many experiments it will be in all: exact once the search is over, at most this many before."""
        made = len(self._configurations)
        configurations = made if self.exhausted else self._most_configurations
        if not self._document.finalists:
            return configurations * self._document.replicates
        again = min(self._document.finalists + self._document.baseline, configurations)
        return configurations + again * (self._document.replicates - 1)

    @property
    def _most_configurations(self) -> int:
        return int(min(self._document.budget.experiments, self._searchable + self._document.baseline))

    @cached_property
    def _searchable(self) -> float:
        """The configurations of the space; infinity when they are more than the budget covers."""
        found = count(self.space, limit=self._document.budget.experiments)
        return math.inf if found is None else found

    @property
    def _search_replicates(self) -> int:
        """How often a configuration is measured before the strategy hears of it."""
        return 1 if self._document.finalists else self._document.replicates

    def _missing_replicate(self) -> Planned | None:
        for rows in self._configurations.values():
            if len(rows) < self._search_replicates:
                return self._again(rows)
        return None

    def _new_configuration(self) -> Planned | None:
        if self.exhausted or len(self._configurations) >= self._document.budget.experiments:
            return None
        asked = self._strategy.ask(1)
        self.exhausted = not asked
        return self._planned(asked[0]) if asked else None

    def _finalist(self) -> Planned | None:
        """The finalist, or the baseline, that was measured least often; rounds of all of them spread slow drifts."""
        if not self._document.finalists:
            return None
        ordered = ranking(self._all_rows, self._document).ordered
        best = [result.key for result in ordered[: self._document.finalists]]
        baseline = [row.parameters_hash for row in self._all_rows if row.is_baseline and row.value is not None]
        waiting = [self._configurations[key] for key in dict.fromkeys([*best, *baseline])]
        waiting = [rows for rows in waiting if len(rows) < self._document.replicates]
        return self._again(min(waiting, key=len)) if waiting else None

    def _planned(self, parameters: Parameters, *, is_baseline: bool = False) -> Planned:
        digest = identity(self._engine, parameters)
        return Planned(parameters, digest, is_baseline=is_baseline, gpus=self._engine.gpus(parameters))

    def _again(self, rows: dict[int, Experiment]) -> Planned:
        first = rows[0]
        return Planned(first.parameters, first.parameters_hash, len(rows), first.is_baseline, first.gpus)


def search_space(document: TaskDocument) -> Space:
    """The space of a task: what its engine cannot run is not part of it, equal command lines count once."""
    engine = engine_for(document.engine.name)
    unknown = document.engine.allow_unknown_flags

    def allowed(parameters: Parameters) -> bool:
        return not engine.problems(parameters, allow_unknown_flags=unknown)

    return Space(document.search_space, identity=lambda parameters: identity(engine, parameters), allowed=allowed)
