"""What a task does next, from its document and its rows alone: a resumed task goes on as if it had never stopped."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from tuning.document.base import Parameters
from tuning.document.goals import ObjectiveName
from tuning.document.task import TaskDocument
from tuning.engines.base import identity
from tuning.engines.registry import engine_for
from tuning.models import Experiment
from tuning.runner.results import configuration_result
from tuning.runner.standings import Standings
from tuning.scoring.objectives import direction
from tuning.search import Outcome, Space, count, make_strategy

COUNTED = 10_000
"""How far the configurations of a space are counted."""


@dataclass(frozen=True)
class Planned:
    """An experiment that is to be made."""

    parameters: Parameters
    parameters_hash: str
    replicate: int = 0
    is_baseline: bool = False
    gpus: int = 1


class Step(Enum):
    """Why there is no experiment to be made now."""

    WAIT = "an outcome is needed first"
    END = "nothing more is to be made"


class Planner:
    """Knows the rows that it was shown by `record` and says what comes next.

    Which experiment has which number follows from the document and the outcomes alone, whenever they come: number k is
    planned from the outcomes of the experiments up to k - `max_parallel`, and the later ones count as open even when
    they are not. With `max_parallel` of them in flight this costs a wait only where the oldest is not the first to end.
    """

    def __init__(self, document: TaskDocument, rows: Iterable[Experiment] = ()) -> None:
        self._document = document
        self._engine = engine_for(document.engine.name)
        self.space = search_space(document)
        towards = direction(document.objective)
        self._strategy = make_strategy(
            document.strategy, self.space, direction=towards, budget=document.budget.experiments
        )
        self.last_number = 0
        """The highest number of a recorded row, 0 without rows."""
        self._rows: dict[int, Experiment] = {}
        self._configurations: dict[str, dict[int, Experiment]] = {}
        self._unfinished: set[int] = set()
        self._has_reference = document.objective.name is not ObjectiveName.BALANCED
        self._last_searched = 0
        self._assumed = 0
        self._settled = 0
        self._outcomes: dict[str, list[Experiment]] = {}
        self._standings = Standings(towards)
        self._settled_standings = Standings(towards)
        self._used_up = False
        self._step: Planned | Step = Step.WAIT
        for row in rows:
            self.record(row)

    def record(self, row: Experiment) -> None:
        """Take note of a new row, or of one that has an outcome now.

        Rows come in any order, but all of them before `next` is asked. An outcome is final: when one is taken back,
        because its experiment is to be tried again, a new planner is needed.
        """
        if row.number not in self._rows:
            self._step = Step.WAIT
            self.last_number = max(self.last_number, row.number)
            if row.replicate < self._search_replicates:
                self._last_searched = max(self._last_searched, row.number)
        self._rows[row.number] = row
        self._configurations.setdefault(row.parameters_hash, {})[row.replicate] = row
        if row.is_finished:
            self._finish(row)
        else:
            self._unfinished.add(row.number)

    def next(self) -> Planned | Step:
        """The experiment that gets the number `last_number` + 1, the same one until its row is recorded.

        `Step.WAIT` when an outcome is needed to tell, which is never so while no recorded row is unfinished; `Step.END`
        when the search and the repeats of its finalists are over, though some experiments may still run. How many run
        at the same time is for the caller to watch.
        """
        if not isinstance(self._step, Planned):
            self._step = self._decided()
        return self._step

    @property
    def unfinished(self) -> frozenset[int]:
        """The numbers of the recorded rows that had no outcome when they were recorded last."""
        return frozenset(self._unfinished)

    @property
    def best(self) -> Experiment | None:
        """The first experiment of the best configuration so far."""
        key = self._standings.best
        return self._configurations[key][0] if key is not None else None

    @property
    def exhausted(self) -> bool:
        """Whether the search ended because the strategy had no further configuration."""
        return self._used_up or (self._repeating and len(self._configurations) < self._document.budget.experiments)

    @property
    def experiments(self) -> int:
        """How many experiments it will be in all: exact when it has ended, and at most this many before.

        A finalist that falls back while it is measured again, so that another takes its place, makes it more.
        """
        if self._step is Step.END:
            return len(self._rows)
        made = len(self._configurations)
        configurations = made if self.exhausted else max(made, self._most_configurations)
        if not self._document.finalists:
            return configurations * self._document.replicates
        again = min(self._document.finalists + self._document.baseline, configurations)
        return max(configurations + again * (self._document.replicates - 1), len(self._rows))

    @property
    def _most_configurations(self) -> int:
        return int(min(self._document.budget.experiments, self._searchable + self._document.baseline))

    @cached_property
    def _searchable(self) -> float:
        """The configurations of the space, or at most how many they are when they are too many to count."""
        found = count(self.space, limit=min(self._document.budget.experiments, COUNTED))
        if found is not None:
            return found
        return math.inf if self.space.upper_bound is None else self.space.upper_bound

    @property
    def _search_replicates(self) -> int:
        """How often a configuration is measured before the strategy hears of it."""
        return 1 if self._document.finalists else self._document.replicates

    @property
    def _repeating(self) -> bool:
        """Whether the search is over because finalists are being measured again."""
        return bool(self._document.finalists) and self.last_number > self._last_searched

    def _finish(self, row: Experiment) -> None:
        self._unfinished.discard(row.number)
        self._has_reference = self._has_reference or row.status == Experiment.Status.SUCCESS
        rows = self._configurations[row.parameters_hash].values()
        finished = [each for each in rows if each.number not in self._unfinished]
        self._standings.put(configuration_result(finished), min(each.number for each in rows))

    def _decided(self) -> Planned | Step:
        self._assume_new_rows()
        if self._unfinished and not self._has_reference:
            return Step.WAIT
        if self._document.baseline and not self._rows:
            return self._planned(dict(self._document.search_space.fixed), is_baseline=True)
        return self._missing_replicate() or self._new_configuration() or self._finalist()

    def _assume_new_rows(self) -> None:
        """Tell the strategy what was asked, in the order of asking."""
        while self._assumed < self.last_number:
            self._assumed += 1
            row = self._rows.get(self._assumed)
            if row is not None:
                self._strategy.assume(row.parameters)

    def _settle(self, horizon: int) -> bool:
        """Go on with the outcomes up to this number, one after the other; False when one of them is missing."""
        while self._settled < min(horizon, self.last_number):
            if self._settled + 1 in self._unfinished:
                return False
            self._settled += 1
            row = self._rows.get(self._settled)
            if row is not None:
                self._learn(row)
        return True

    def _learn(self, row: Experiment) -> None:
        outcomes = self._outcomes.setdefault(row.parameters_hash, [])
        outcomes.append(row)
        result = configuration_result(outcomes)
        if len(outcomes) == self._search_replicates:
            self._strategy.tell(Outcome(row.parameters, result.value, result.violations))
        if self._document.finalists:
            self._settled_standings.put(result, outcomes[0].number)

    def _missing_replicate(self) -> Planned | None:
        """The replicates of a configuration follow each other, so that only the last one can lack any."""
        if not self._rows:
            return None
        rows = self._configurations[self._rows[self.last_number].parameters_hash]
        return self._again(rows) if len(rows) < self._search_replicates else None

    def _new_configuration(self) -> Planned | Step | None:
        if self.exhausted or self._repeating or len(self._configurations) >= self._document.budget.experiments:
            return None
        if self._strategy.learns and not self._settle(self.last_number + 1 - self._document.max_parallel):
            return Step.WAIT
        asked = self._strategy.ask(1)
        self._used_up = not asked
        return self._planned(asked[0]) if asked else None

    def _finalist(self) -> Planned | Step:
        """Finalists are known when the whole search is; their later numbers wait as those of the search do."""
        if not self._document.finalists:
            return Step.END
        if not self._settle(max(self._last_searched, self.last_number + 1 - self._document.max_parallel)):
            return Step.WAIT
        if planned := self._least_measured(self._settled_standings):
            return planned
        if self._unfinished:
            return Step.WAIT
        return self._least_measured(self._standings) or Step.END

    def _least_measured(self, standings: Standings) -> Planned | None:
        """The finalist, or the baseline, that was made least often; rounds of all of them spread slow drifts."""
        finalists = [self._configurations[key] for key in standings.first(self._document.finalists)]
        again = {rows[0].parameters_hash: rows for rows in [*finalists, *self._measured_baseline()]}
        waiting = [rows for rows in again.values() if len(rows) < self._document.replicates]
        return self._again(min(waiting, key=len)) if waiting else None

    def _measured_baseline(self) -> list[dict[int, Experiment]]:
        first = self._rows.get(1)
        if first is None or not first.is_baseline or first.value is None:
            return []
        return [self._configurations[first.parameters_hash]]

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
