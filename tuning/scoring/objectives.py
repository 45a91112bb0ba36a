"""What an experiment is worth: one number in its natural unit, and whether it meets the SLO.

minimize_latency, minimize_ttft, minimize_tpot   ms: the chosen statistic at the load point where it is worst
maximize_throughput   tokens/s/GPU: output tokens at the best load point that meets the SLO
maximize_goodput      requests/s/GPU: requests that each meet the latency ceilings, at the best load point
balanced              x baseline: geometric mean over load points of sqrt(throughput ratio x latency ratio)

The minimising objectives and `balanced` need every load point to meet the SLO; the maximising ones ask how much can be
served within it, so one load point that meets it is enough, and a load point that fails can only lose, never gain.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tuning.document.goals import SLO, Objective, ObjectiveName
from tuning.scoring.metrics import Measurement
from tuning.scoring.slo import checks, total_excess

Direction = Literal["minimize", "maximize"]

LATENCY_OF = {
    ObjectiveName.MINIMIZE_LATENCY: "e2e_ms",
    ObjectiveName.MINIMIZE_TTFT: "ttft_ms",
    ObjectiveName.MINIMIZE_TPOT: "tpot_ms",
}


@dataclass(frozen=True)
class Verdict:
    """The worth of one experiment.

    `value` is in the objective's natural unit, also when infeasible; None when no load point gave one. `violations` has
    the relative excess of every SLO item in a fixed order, for strategies; `missed` says the same to a person. `point`
    is the index of the load point that decided: the best or the worst one, the last where all count alike.
    """

    value: float | None
    feasible: bool
    violations: tuple[float, ...]
    missed: tuple[str, ...] = ()
    point: int = 0


def direction(objective: Objective) -> Direction:
    """Which way is better."""
    return "minimize" if objective.name in LATENCY_OF else "maximize"


def unit(objective: Objective) -> str:
    """The unit of the value."""
    if objective.name in LATENCY_OF:
        return "ms"
    units = {
        ObjectiveName.MAXIMIZE_THROUGHPUT: "tokens/s/GPU",
        ObjectiveName.MAXIMIZE_GOODPUT: "requests/s/GPU",
        ObjectiveName.BALANCED: "x baseline",
    }
    return units[objective.name]


def label(objective: Objective) -> str:
    """The objective as the head of a column."""
    if latency := LATENCY_OF.get(objective.name):
        return f"{latency.removesuffix('_ms').upper()} {objective.statistic}"
    labels = {
        ObjectiveName.MAXIMIZE_THROUGHPUT: "throughput",
        ObjectiveName.MAXIMIZE_GOODPUT: "goodput",
        ObjectiveName.BALANCED: "balanced",
    }
    return labels[objective.name]


def judge(
    objective: Objective,
    slo: SLO,
    measurements: Sequence[Measurement],
    *,
    gpus: int,
    reference: "Reference | None" = None,
) -> Verdict:
    """The worth of an experiment that was run at every load point of its task (one at least).

    `reference` is what `balanced` compares with; without it (when this is the reference itself) the ratio is 1.
    """
    if direction(objective) == "minimize":
        known = {index: _latency(measurement, objective) for index, measurement in enumerate(measurements)}
        value, point = max(((value, index) for index, value in known.items() if value is not None), default=(None, 0))
        return _all_points(measurements, slo, value, point)
    if objective.name is ObjectiveName.BALANCED:
        own = Reference(tuple(measurements), gpus)
        value = own.balance_to(reference or own, objective.statistic)
        return _all_points(measurements, slo, value, len(measurements) - 1)
    if objective.name is ObjectiveName.MAXIMIZE_GOODPUT:
        return _best_point(measurements, slo, lambda m: m.goodput_requests_per_s / gpus, latencies=False)
    return _best_point(measurements, slo, lambda m: m.tokens_per_s / gpus, latencies=True)


@dataclass(frozen=True)
class Reference:
    """The measurements of the experiment that `balanced` compares with, and its GPUs."""

    measurements: tuple[Measurement, ...]
    gpus: int

    def balance_to(self, other: "Reference", statistic: str) -> float | None:
        """Geometric mean over load points of sqrt(T/T0 * L0/L): throughput per GPU up, E2E latency down."""
        logs = []
        for mine, theirs in zip(self.measurements, other.measurements, strict=True):
            if not (mine.ok and theirs.ok and mine.e2e_ms and theirs.e2e_ms):
                return None
            faster = (mine.tokens_per_s / self.gpus) / (theirs.tokens_per_s / other.gpus)
            shorter = theirs.e2e_ms[statistic] / mine.e2e_ms[statistic]
            logs.append(0.5 * math.log(faster * shorter))
        return math.exp(math.fsum(logs) / len(logs)) if logs else None


def _latency(measurement: Measurement, objective: Objective) -> float | None:
    distribution = measurement.latency(LATENCY_OF[objective.name])
    return distribution[objective.statistic] if distribution and measurement.ok else None


def _all_points(measurements: Sequence[Measurement], slo: SLO, value: float | None, point: int) -> Verdict:
    """Every load point has to meet the SLO; each item counts where it is missed most."""
    per_point = [checks(measurement, slo) for measurement in measurements]
    violations = tuple(max(items, key=lambda item: item.excess).excess for items in zip(*per_point, strict=True))
    missed = tuple(
        f"{measurement.load_point}: {item}"
        for measurement, items in zip(measurements, per_point, strict=True)
        for item in items
        if not item.met
    )
    return Verdict(value, value is not None and not missed, violations, missed, point)


def _best_point(
    measurements: Sequence[Measurement], slo: SLO, worth: Callable[[Measurement], float], *, latencies: bool
) -> Verdict:
    """The best among the load points that meet the SLO; if none does, the one that misses it least."""
    judged = [checks(measurement, slo, latencies=latencies) for measurement in measurements]
    order = [
        (total_excess(items), -worth(measurement)) for measurement, items in zip(measurements, judged, strict=True)
    ]
    point = order.index(min(order))
    measurement, items = measurements[point], judged[point]
    missed = tuple(f"{measurement.load_point}: {item}" for item in items if not item.met)
    value = worth(measurement) if measurement.ok else None
    return Verdict(value, not missed, tuple(item.excess for item in items), missed, point)
