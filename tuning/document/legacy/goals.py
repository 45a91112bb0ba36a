"""optimization and slo: strategy, objective, budget, limits, and ceilings in milliseconds."""

import math

from tuning.document.goals import ObjectiveName, StrategyName
from tuning.document.legacy.translation import OldSection, Translation
from tuning.document.report import Level

STRATEGIES = {
    "grid_search": StrategyName.GRID,
    "grid": StrategyName.GRID,
    "random_search": StrategyName.RANDOM,
    "random": StrategyName.RANDOM,
    "bayesian": StrategyName.BAYESIAN,
}
_OPTIMIZATION = (
    "strategy",
    "objective",
    "max_iterations",
    "timeout_per_iteration",
    "n_initial_random",
    "study_name",
    "storage",
    "seed",
    "max_parallel_experiments",
)
_OBJECTIVES = [name for name in ObjectiveName if name is not ObjectiveName.MAXIMIZE_GOODPUT]
_ITERATIONS = 100
_TIMEOUT_S = 1800
_INITIAL_RANDOM = 5


def goals(translation: Translation) -> StrategyName:
    """Write strategy, objective and budget; the strategy, grid if it is not told."""
    section = translation.section(("optimization",), _OPTIMIZATION)
    if not section.fields:
        translation.refuse(("optimization",), "is needed, with strategy, objective and max_iterations")
    strategy = _strategy(section)
    _objective(section)
    _budget(section)
    section.put("seed", ("strategy", "seed"), int)
    section.ignore("study_name", "the history is kept in this program's database")
    section.ignore("storage", "the history is kept in this program's database")
    if section.put("max_parallel_experiments", ("max_parallel",), int) is not None:
        section.note(Level.RENAMED, "max_parallel_experiments", "max_parallel; it had no effect before")
    return strategy


def _strategy(section: OldSection) -> StrategyName:
    old = section.get("strategy", str)
    if old is not None and old not in STRATEGIES:
        section.refuse("strategy", f"allowed are {', '.join(STRATEGIES)}")
        return StrategyName.RANDOM
    if not section.has("strategy"):
        section.note(Level.DEFAULTED, "strategy", "grid, as before")
    name = STRATEGIES[old] if old else StrategyName.GRID
    if old and old != name:
        section.note(Level.RENAMED, "strategy", f"{old} is called {name}")
    section.translation.put(("strategy", "name"), name.value, section.at("strategy"))
    if name is StrategyName.BAYESIAN and not section.has("n_initial_random"):
        section.note(Level.DEFAULTED, "n_initial_random", f"{_INITIAL_RANDOM}, as before")
        section.translation.put(("strategy", "initial_random"), _INITIAL_RANDOM, section.at("n_initial_random"))
    section.put("n_initial_random", ("strategy", "initial_random"), int)
    return name


def _objective(section: OldSection) -> None:
    old = section.get("objective", str)
    if not section.has("objective"):
        section.note(Level.DEFAULTED, "objective", "minimize_latency, as before")
    if old is not None and old not in _OBJECTIVES:
        section.refuse("objective", f"allowed are {', '.join(_OBJECTIVES)}")
        return
    if old == ObjectiveName.BALANCED:
        message = "geometric mean of the throughput and latency ratios to the baseline; earlier systems defined none"
        section.note(Level.CHANGED, "objective", message)
    name = old or ObjectiveName.MINIMIZE_LATENCY.value
    section.translation.put(("objective", "name"), name, section.at("objective"))


def _budget(section: OldSection) -> None:
    iterations = section.get("max_iterations", int)
    if not section.has("max_iterations"):
        section.note(Level.DEFAULTED, "max_iterations", f"{_ITERATIONS}, as before")
        iterations = _ITERATIONS
    if iterations is not None and iterations < 1:
        section.refuse("max_iterations", f"at least 1 is needed, not {iterations}")
    elif iterations is not None:
        message = f"budget.experiments {iterations + 1}: the engine's defaults are measured as well, as the first"
        section.note(Level.CHANGED, "max_iterations", message)
        section.translation.put(("budget", "experiments"), iterations + 1, section.at("max_iterations"))


def limits(translation: Translation, load_points: int, load_point_s: int) -> None:
    """Write limits from the one time limit that earlier documents have, so that the load fits into them."""
    section = translation.section(("optimization",), _OPTIMIZATION)
    timeout = section.get("timeout_per_iteration", int)
    if not section.has("timeout_per_iteration"):
        timeout = _TIMEOUT_S
    if timeout is None or timeout < 1:
        if timeout is not None:
            section.refuse("timeout_per_iteration", f"at least 1 second is needed, not {timeout}")
        return
    load = load_points * load_point_s
    new = {
        "ready_s": timeout,
        "load_point_s": max(timeout, 2 * load_point_s),
        "experiment_s": timeout + (timeout if load <= timeout else 2 * load),
    }
    for name, seconds in new.items():
        translation.put(("limits", name), seconds, section.at("timeout_per_iteration"))
    _tell_limits(section, timeout, load, new)


def _tell_limits(section: OldSection, timeout: int, load: int, new: dict[str, int]) -> None:
    level = Level.CHANGED if section.has("timeout_per_iteration") else Level.DEFAULTED
    listed = ", ".join(f"limits.{name} {seconds}" for name, seconds in new.items())
    message = f"{timeout} s was one limit for all; now {listed}; pulling and downloading have limits of their own"
    section.note(level, "timeout_per_iteration", message)
    if load > timeout:
        message = f"the load takes up to {load} s; earlier systems cut it off after {timeout} s"
        section.note(Level.WARNING, "timeout_per_iteration", message)


_METRIC = ("threshold", "weight", "hard_fail", "fail_ratio")


def slo(translation: Translation) -> None:
    """Write slo: thresholds in seconds become ceilings in milliseconds, penalties are told."""
    section = translation.section(("slo",), ("latency", "ttft", "tpot", "steepness"))
    latency = translation.section(("slo", "latency"), ("p50", "p90", "p99"))
    for name in ("p50", "p90", "p99"):
        _ceiling(latency, name, "e2e_ms", name)
    _ceiling(section, "ttft", "ttft_ms", "mean")
    _ceiling(section, "tpot", "tpot_ms", "mean")
    steepness = section.get("steepness", float, int)
    if steepness is not None and steepness <= 0:
        section.refuse("steepness", f"more than 0 is needed, not {steepness:g}")
    elif steepness is not None:
        section.note(Level.CHANGED, "steepness", "not used: an SLO is met or not met, there is no penalty")


def _ceiling(section: OldSection, name: str, new: str, statistic: str) -> None:
    if not section.has(name):
        return
    metric = section.translation.section(section.at(name), _METRIC)
    threshold = metric.get("threshold", float, int)
    if not metric.has("threshold"):
        metric.refuse("threshold", "is needed, in seconds")
    elif threshold is not None and threshold <= 0:
        metric.refuse("threshold", f"more than 0 seconds are needed, not {threshold:g}")
    elif threshold is not None:
        milliseconds = round(threshold * 1000, 6)
        message = f"{threshold:g} s: slo.{new}.{statistic} {milliseconds:g}"
        metric.note(Level.CONVERTED, "threshold", message)
        section.translation.put(("slo", new, statistic), milliseconds, metric.at("threshold"))
    _tell_penalty(metric)


def _tell_penalty(metric: OldSection) -> None:
    for name, kinds in (("weight", (float, int)), ("hard_fail", (bool,)), ("fail_ratio", (float, int))):
        value = metric.get(name, *kinds)
        if isinstance(value, float) and not math.isfinite(value):
            metric.refuse(name, "a number is needed")
        elif value is not None:
            metric.note(Level.CHANGED, name, "not used: an SLO is met or not met, there is no penalty")
