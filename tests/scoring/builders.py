"""Measurements with chosen numbers."""

from typing import Any

from tuning.document.goals import SLO
from tuning.document.workload import LoadPoint
from tuning.scoring.metrics import Measurement, RequestRow, RequestStatus, summarise


def point(concurrency: int = 1) -> LoadPoint:
    """A load point by its number of streams."""
    return LoadPoint(scenario="D(100,100)", concurrency=concurrency)


def ok(ttft_ms: float = 50.0, tpot_ms: float | None = 10.0, e2e_ms: float = 1000.0, **more: Any) -> RequestRow:
    """A request that was answered in full."""
    columns: dict[str, Any] = {"input_tokens": 100, "output_tokens": 100, **more}
    return RequestRow(RequestStatus.OK, ttft_ms=ttft_ms, tpot_ms=tpot_ms, e2e_ms=e2e_ms, **columns)


def failed(status: RequestStatus = RequestStatus.HTTP, message: str = "500") -> RequestRow:
    """A request that was not."""
    return RequestRow(status, message=message)


def measured(
    *rows: RequestRow,
    concurrency: int = 1,
    window_s: float = 10.0,
    slo: SLO | None = None,
    min_completed: int = 1,
    output_tokens: int | None = None,
) -> Measurement:
    """The measurement of these rows."""
    return summarise(
        point(concurrency),
        rows,
        window_s=window_s,
        slo=slo or SLO(),
        min_completed=min_completed,
        output_tokens=output_tokens,
    )


def throughput(
    tokens_per_s: float, *, concurrency: int = 1, e2e_ms: float = 1000.0, slo: SLO | None = None
) -> Measurement:
    """A measurement of this output throughput and E2E latency."""
    rows = [ok(e2e_ms=e2e_ms) for _ in range(10)]
    return measured(*rows, concurrency=concurrency, slo=slo, output_tokens=round(tokens_per_s * 10))
