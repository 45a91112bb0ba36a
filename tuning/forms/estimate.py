"""What a document will cost: how many configurations and experiments, and how long they take at most."""

import copy
import math
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from tuning.document.task import EngineName, TaskDocument
from tuning.document.validation import validate, value_at
from tuning.runner.planner import search_space
from tuning.runner.table import duration
from tuning.search import count

COUNT_TO = 500
"""How far configurations are counted while somebody types."""

_CHECKS = 10_000
"""How many values of parameters are looked at for it."""

START_S = {EngineName.VLLM: 120, EngineName.SGLANG: 120, EngineName.SIMULATED: 3}
"""A guess at how long an engine takes until it is ready; models and disks differ widely."""

_STAND_INS: dict[str, JsonValue] = {"name": "x", "engine": {"name": "simulated"}, "model": {"id": "x"}}


@dataclass(frozen=True)
class Estimate:
    """`configurations` is None when they are too many to count, then there are at most `bound`, or without end."""

    configurations: int | None
    bound: float
    experiments: int
    load_points: int
    most_s: float
    start_s: float

    def __str__(self) -> str:
        return f"{self.space} · {_number(self.experiments, 'experiment')} · {self.time}"

    @property
    def space(self) -> str:
        """How many configurations there are, in words."""
        if self.configurations is not None:
            return _number(self.configurations, "configuration")
        return "configurations without end" if math.isinf(self.bound) else f"up to {self.bound:,} configurations"

    @property
    def time(self) -> str:
        """How long it takes, in words."""
        return f"at most {duration(self.most_s)}"

    @property
    def explanation(self) -> str:
        """What the time is made of."""
        points = _number(self.load_points, "load point")
        return f"each experiment: {points}, and about {duration(self.start_s)} until the engine is ready"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def estimate(document: TaskDocument, configurations: int | None) -> Estimate:
    """What `document` costs, of whose configurations this many were counted; see `Planner.experiments`."""
    bound = search_space(document).upper_bound if configurations is None else configurations
    most = math.inf if bound is None else bound
    tried = int(min(document.budget.experiments, most + document.baseline))
    experiments = tried * document.replicates
    if document.finalists:
        experiments = tried + min(document.finalists + document.baseline, tried) * (document.replicates - 1)
    start_s = min(START_S[document.engine.name], document.limits.ready_s)
    seconds = math.ceil(experiments / document.max_parallel) * (document.workload.planned_s + start_s)
    allowed = document.budget.wall_clock_s
    return Estimate(
        configurations,
        most,
        experiments,
        len(document.workload.load_points),
        min(seconds, allowed + document.workload.planned_s + start_s) if allowed else seconds,
        start_s,
    )


def count_to(data: dict[str, Any]) -> int:
    """How far the configurations of a document are counted: less far where each of them has many parameters."""
    groups = (value_at(data, ("search_space", group)) for group in ("parameters", "fixed"))
    parameters = sum(len(group) for group in groups if isinstance(group, dict))
    return min(COUNT_TO, _CHECKS // max(parameters, 1))


def estimate_of_draft(data: dict[str, Any]) -> Estimate | None:
    """The same for data that are no valid document yet, as if what is wrong were not there; None without a space."""
    _, faults = validate(data)
    wrong = {str(fault.path[0]) for fault in faults if fault.path}
    if "search_space" in wrong:
        return None
    rest = {key: copy.deepcopy(item) for key, item in data.items() if key not in wrong}
    engine = rest.get("engine", _STAND_INS["engine"])
    # An unknown flag is told elsewhere with the nearest known one, for which each configuration has no time.
    known = {**engine, "allow_unknown_flags": True} if isinstance(engine, dict) else engine
    document, _ = validate({**_STAND_INS, **rest, "engine": known})
    most = count_to(data)
    try:
        return estimate(document, count(search_space(document), most, patience=most)) if document else None
    except ValueError:
        return None
