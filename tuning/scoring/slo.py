"""Which items of the SLO a measurement misses, and by how much."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuning.document.goals import SLO
from tuning.scoring.metrics import LATENCIES, Measurement

FLOORS = (("min_output_tokens_per_s", "output_tokens_per_s"), ("min_requests_per_s", "requests_per_s"))


@dataclass(frozen=True)
class Check:
    """One item of the SLO at one load point.

    `excess` is how far the value is beyond its limit as a share of the limit, at or below 0 when the item is met; it is
    continuous and grows with the miss. For the error rate, a share itself, it is the plain difference. `value` is None
    when nothing was measured, which misses the item by 1.
    """

    name: str
    limit: float
    value: float | None
    excess: float

    @property
    def met(self) -> bool:
        """Whether the item holds."""
        return self.excess <= 0

    def __str__(self) -> str:
        shown = "not measured" if self.value is None else f"{self.value:.4g}"
        return f"{self.name} {shown} (limit {self.limit:g})"


def checks(measurement: Measurement, slo: SLO, *, latencies: bool = True) -> tuple[Check, ...]:
    """Every item of the SLO at one load point, always as many and in the same order.

    The first is whether the load point was measured to its end. `latencies=False` leaves the latency ceilings out, for
    an objective that counts request by request against them.
    """
    ceilings = _ceilings(measurement, slo) if latencies else ()
    return (_measured(measurement), _error_rate(measurement, slo), *ceilings, *_floors(measurement, slo))


def total_excess(items: Sequence[Check]) -> float:
    """How far a load point misses the SLO in all: the sum of the misses."""
    return sum(max(0.0, item.excess) for item in items)


def _measured(measurement: Measurement) -> Check:
    return Check("load point measured", 1, float(measurement.ok), 0.0 if measurement.ok else 1.0)


def _error_rate(measurement: Measurement, slo: SLO) -> Check:
    rate = measurement.error_rate
    return Check("error_rate", slo.error_rate, rate, rate - slo.error_rate)


def _ceilings(measurement: Measurement, slo: SLO) -> Iterator[Check]:
    for latency in LATENCIES:
        distribution = measurement.latency(latency)
        for statistic, limit in sorted(getattr(slo, latency).items()):
            value = distribution[statistic] if distribution else None
            excess = 1.0 if value is None else (value - limit) / limit
            yield Check(f"{latency} {statistic}", limit, value, excess)


def _floors(measurement: Measurement, slo: SLO) -> Iterator[Check]:
    for field, metric in FLOORS:
        limit = getattr(slo, field)
        if limit is not None:
            value = getattr(measurement, metric)
            yield Check(metric, limit, value, (limit - value) / limit)
