"""Everything that is measured at a load point, by one name each: for charts, tables, files and comparisons.

A metric's key is the column of MeasurementRow, with the statistic behind a dot where the column holds a distribution
(`ttft_ms.p99`), and with `/gpu` where it is divided by the GPUs of the configuration.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tuning.document.goals import SLO
from tuning.scoring.metrics import LATENCIES, STANDARD_STATISTICS
from tuning.scoring.objectives import Direction
from tuning.scoring.slo import FLOORS

COLUMNS = (
    "output_tokens_per_s",
    "input_tokens_per_s",
    "requests_per_s",
    "goodput_requests_per_s",
    "completed",
    "failed",
    *LATENCIES,
)
"""The columns of MeasurementRow that `Metric.read` looks at."""


@dataclass(frozen=True)
class Metric:
    """One number of a load point: what it is called, its unit, and which way is better."""

    key: str
    label: str
    unit: str
    direction: Direction
    column: str
    statistic: str = ""
    per_gpu: bool = False

    @property
    def title(self) -> str:
        """The name with the unit."""
        return f"{self.label} ({self.shown_unit})" if self.shown_unit else self.label

    @property
    def path(self) -> str:
        """How a query reaches it from a measurement, for sorting; a share of errors has none of its own."""
        return f"{self.column}__{self.statistic}" if self.statistic else self.column

    @property
    def shown_unit(self) -> str:
        """The unit of what `shown` gives: shares are shown in percent."""
        return "%" if self.key == ERROR_RATE else self.unit

    def shown(self, value: float | None) -> float | None:
        """A value of it, or a limit to it, as a person reads it, in `shown_unit`."""
        return 100 * value if value is not None and self.key == ERROR_RATE else value

    def read(self, row: Mapping[str, Any], gpus: int = 1) -> float | None:
        """Its value in `row`, the columns COLUMNS of a MeasurementRow by name; None unless it is a finite number."""
        if self.key == ERROR_RATE:
            return error_rate(row["completed"], row["failed"])
        value = row[self.column]
        if self.statistic:
            value = value.get(self.statistic) if value else None
        value = finite(value)
        return value / gpus if value is not None and self.per_gpu else value


ERROR_RATE = "error_rate"


def finite(value: Any) -> float | None:
    """`value` where it is a real, finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def error_rate(completed: int, failed: int) -> float:
    """The share of the ended requests that failed; 1 where none ended."""
    ended = completed + failed
    return failed / ended if ended else 1.0


def _rate(key: str, label: str, unit: str) -> Metric:
    return Metric(key, label, unit, "maximize", key)


def _per_gpu(metric: Metric) -> Metric:
    key, label, unit = f"{metric.key}/gpu", f"{metric.label} per GPU", f"{metric.unit}/GPU"
    return Metric(key, label, unit, metric.direction, metric.column, metric.statistic, per_gpu=True)


def _latency(column: str, statistic: str) -> Metric:
    label = f"{column.removesuffix('_ms').upper()} {statistic}"
    return Metric(f"{column}.{statistic}", label, "ms", "minimize", column, statistic)


RATES = (
    _rate("output_tokens_per_s", "output throughput", "tokens/s"),
    _rate("input_tokens_per_s", "input throughput", "tokens/s"),
    _rate("requests_per_s", "request rate", "requests/s"),
    _rate("goodput_requests_per_s", "goodput", "requests/s"),
)
RATES_PER_GPU = tuple(map(_per_gpu, RATES))
ERRORS = Metric(ERROR_RATE, "error rate", "", "minimize", ERROR_RATE)


def latencies(statistics: Iterable[str] = ()) -> tuple[Metric, ...]:
    """Every latency by every standard statistic and by those in `statistics`."""
    names = (*STANDARD_STATISTICS, *sorted(set(statistics) - set(STANDARD_STATISTICS)))
    return tuple(_latency(column, name) for column in LATENCIES for name in names)


def metrics(slo: SLO | None = None, *, per_gpu: bool = False) -> dict[str, Metric]:
    """Every metric by its key, also by the statistics that only `slo` names; `per_gpu` adds those by GPU."""
    statistics = slo.statistics if slo else ()
    known = (*RATES, *(RATES_PER_GPU if per_gpu else ()), *latencies(statistics), ERRORS)
    return {metric.key: metric for metric in known}


def limits(slo: SLO) -> dict[str, float]:
    """The items of `slo` by the key of the metric that they limit: from above or below, as its direction tells."""
    ceilings = {
        f"{column}.{statistic}": limit for column in LATENCIES for statistic, limit in getattr(slo, column).items()
    }
    floors = {metric: getattr(slo, field) for field, metric in FLOORS if getattr(slo, field) is not None}
    return {**ceilings, **floors, ERROR_RATE: slo.error_rate}


def meets(row: Mapping[str, Any], limit_of: Mapping[str, float], known: Mapping[str, Metric]) -> bool:
    """Whether a load point keeps every limit; one that was not measured to its end, or lacks a value, does not."""
    if row["reason"]:
        return False
    return all(_within(known[key], known[key].read(row), limit) for key, limit in limit_of.items())


def _within(metric: Metric, value: float | None, limit: float) -> bool:
    if value is None:
        return False
    return value <= limit if metric.direction == "minimize" else value >= limit
