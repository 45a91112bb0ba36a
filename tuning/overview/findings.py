"""What the charts of a task show, in a sentence each: for whoever does not see them."""

from collections.abc import Callable

from tuning.models import Experiment
from tuning.overview.axes import ParameterAxis, parameter_axes
from tuning.overview.results import Snapshot
from tuning.runner.table import show, significant

MOST_VALUES = 4

NOTHING = "No experiment has finished yet."


def of_charts(snapshot: Snapshot) -> dict[str, str]:
    """The sentence of each chart by its name; those of parameters are named `slice:NAME`."""
    slices = {f"slice:{axis.name}": of_slice(snapshot, axis) for axis in parameter_axes(snapshot.document)}
    return {"history": of_history(snapshot), "scatter": of_scatter(snapshot), **slices}


def of_history(snapshot: Snapshot) -> str:
    """The best value and where, and how many experiments do not count."""
    if not snapshot.counts.finished:
        return NOTHING
    return f"{_best(snapshot)}; {_losses(snapshot)}.{_part(snapshot)}"


def of_scatter(snapshot: Snapshot) -> str:
    """How many load points there are, and which of them decided for the best experiment."""
    if not snapshot.counts.finished:
        return NOTHING
    points = snapshot.document.workload.load_points
    measured = snapshot.counts.feasible + snapshot.counts.infeasible
    if not measured:
        return f"Nothing was measured; {_losses(snapshot)}."
    said = f"{_many(measured * len(points), 'load point')} of {_many(measured, 'experiment')}"
    best = snapshot.best
    if best is None or best.load_point is None or best.load_point >= len(points):
        return f"{said}. {_best(snapshot)}."
    return f"{said}. What counts for the best, experiment {best.number}, is {points[best.load_point]}.{_part(snapshot)}"


def of_slice(snapshot: Snapshot, axis: ParameterAxis) -> str:
    """The best value that was measured at some values of a parameter, within the SLO."""
    best_at = _best_by(snapshot, lambda row: show(row.parameters.get(axis.name)))
    if not best_at:
        return f"{axis.name}: nothing within the SLO{'' if snapshot.is_final else ' so far'}."
    first, *others = sorted(best_at, key=lambda at: best_at[at], reverse=snapshot.direction == "maximize")
    said = f"{axis.name}: best {_value(snapshot, best_at[first])} at {first}"
    rest = ", ".join(f"{significant(best_at[at])} at {at}" for at in others[:MOST_VALUES])
    return f"{said}; {rest}." if rest else f"{said}."


def _best_by(snapshot: Snapshot, key: Callable[[Experiment], str]) -> dict[str, float]:
    better = max if snapshot.direction == "maximize" else min
    found: dict[str, float] = {}
    for row in snapshot.rows:
        result = snapshot.of_configuration.get(row.parameters_hash)
        if result and result.feasible and result.value is not None:
            at = key(row)
            found[at] = better(found.get(at, result.value), result.value)
    return found


def _best(snapshot: Snapshot) -> str:
    if snapshot.best is None:
        return "No configuration meets the SLO"
    ratio = snapshot.ratio(snapshot.best_value)
    gain = f", {significant(ratio, 3)}x the baseline" if ratio and not snapshot.best.is_baseline else ""
    own = ", the baseline" if snapshot.best.is_baseline else ""
    return f"Best {_value(snapshot, snapshot.best_value)} in experiment {snapshot.best.number}{own}{gain}"


def _losses(snapshot: Snapshot) -> str:
    counts = snapshot.counts
    said = f"{counts.infeasible} of {counts.finished} {'misses' if counts.infeasible == 1 else 'miss'} the SLO"
    if not counts.infeasible:
        said = f"{_many(counts.finished, 'experiment')} finished"
        said += ", all within the SLO" if not counts.failed else ""
    return f"{said}, {counts.failed} failed" if counts.failed else said


def _part(snapshot: Snapshot) -> str:
    if not snapshot.is_part:
        return ""
    return f" Shown are {len(snapshot.rows):,} of them: the newest and the best."


def _value(snapshot: Snapshot, value: float | None) -> str:
    unit = snapshot.unit
    return f"{significant(value)}{'' if unit.startswith('x ') else ' '}{unit}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
