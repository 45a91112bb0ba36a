"""Values measured at one load point, and how they are made from the rows of its requests.

Every load generator gives rows; everything else is computed here, so that all generators are measured alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from tuning.document.goals import SLO
from tuning.document.workload import LoadPoint
from tuning.errors import Reason

LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
STANDARD_STATISTICS = ("mean", "p50", "p90", "p95", "p99")


class RequestStatus(StrEnum):
    """How a request ended."""

    OK = "ok"
    HTTP = "http"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    DISCONNECT = "disconnect"
    BAD_STREAM = "bad_stream"
    SHORT_OUTPUT = "short_output"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request.

    Latencies are milliseconds; in open loop they count from the intended start (coordinated omission). `itl_ms` are the
    gaps between chunks of content. Values that a request did not reach are None. `cancelled` rows were in flight when
    the load point ended: neither completed nor failed.
    """

    status: RequestStatus
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2e_ms: float | None = None
    itl_ms: tuple[float, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    message: str = ""


@dataclass(frozen=True)
class Distribution:
    """Statistics of one latency in milliseconds, by name (`mean`, `p99`, `p99.9`); percentiles interpolate linearly."""

    count: int
    values: Mapping[str, float]

    def __getitem__(self, statistic: str) -> float:
        return self.values[statistic]

    @classmethod
    def of(cls, samples: Iterable[float], statistics: Iterable[str]) -> "Distribution | None":
        """The statistics of `samples`; None where there is no sample, never a zero."""
        array = np.fromiter(samples, dtype=float)
        if not array.size:
            return None
        return cls(int(array.size), {name: _statistic(array, name) for name in statistics})


def _statistic(array: np.ndarray, name: str) -> float:
    return float(array.mean() if name == "mean" else np.percentile(array, float(name.removeprefix("p"))))


@dataclass(frozen=True)
class Measurement:
    """What was measured at one load point.

    `reason` is set when the load point failed; its numbers are then kept but count for nothing. Throughputs are tokens
    or requests per second of all GPUs together. `goodput_requests_per_s` counts only requests that each meet every
    ceiling of the SLO, whatever statistic it names. `window_s` is the measured time in seconds.
    """

    load_point: LoadPoint
    window_s: float
    completed: int
    failed: int
    output_tokens_per_s: float
    input_tokens_per_s: float
    requests_per_s: float
    goodput_requests_per_s: float
    ttft_ms: Distribution | None = None
    tpot_ms: Distribution | None = None
    itl_ms: Distribution | None = None
    e2e_ms: Distribution | None = None
    reason: Reason | None = None
    message: str = ""
    errors: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the load point was measured to its end."""
        return self.reason is None

    @property
    def error_rate(self) -> float:
        """Share of the ended requests that failed; 1 when none ended."""
        ended = self.completed + self.failed
        return self.failed / ended if ended else 1.0

    @property
    def tokens_per_s(self) -> float:
        """Output tokens per second; input tokens per second where nothing is generated (embeddings)."""
        return self.output_tokens_per_s or self.input_tokens_per_s

    def latency(self, name: str) -> Distribution | None:
        """The distribution called `ttft_ms`, `tpot_ms`, `itl_ms` or `e2e_ms`."""
        distribution: Distribution | None = getattr(self, name)
        return distribution


def summarise(
    load_point: LoadPoint,
    rows: Sequence[RequestRow],
    *,
    window_s: float,
    slo: SLO,
    min_completed: int,
    output_tokens: int | None = None,
    requests: float | None = None,
    extra: Mapping[str, float] | None = None,
) -> Measurement:
    """Make the measurement of `load_point` from the rows of its measured window (no warm-up rows).

    `output_tokens` are the tokens that arrived inside the window, where the generator knows them by chunk; else the
    tokens of completed requests are counted. `requests` is how many requests the window is worth where some completed
    after it (a fraction is fine); else every completed request counts whole. A point with fewer than `min_completed`
    completed requests is failed.
    """
    done = [row for row in rows if row.status is RequestStatus.OK]
    failed = [row for row in rows if row.status not in (RequestStatus.OK, RequestStatus.CANCELLED)]
    statistics = sorted({*STANDARD_STATISTICS, *slo.statistics})
    errors: dict[str, int] = {}
    for row in failed:
        text = f"{row.status}: {row.message}" if row.message else str(row.status)
        errors[text] = errors.get(text, 0) + 1
    tokens = sum(row.output_tokens for row in done) if output_tokens is None else output_tokens
    share = 1.0 if requests is None or not done else requests / len(done)
    enough = len(done) >= min_completed
    return Measurement(
        load_point=load_point,
        window_s=window_s,
        completed=len(done),
        failed=len(failed),
        output_tokens_per_s=_per_second(tokens, window_s),
        input_tokens_per_s=_per_second(share * sum(row.input_tokens for row in done), window_s),
        requests_per_s=_per_second(share * len(done), window_s),
        goodput_requests_per_s=_per_second(share * sum(meets(row, slo) for row in done), window_s),
        ttft_ms=Distribution.of((row.ttft_ms for row in done if row.ttft_ms is not None), statistics),
        tpot_ms=Distribution.of((row.tpot_ms for row in done if row.tpot_ms is not None), statistics),
        itl_ms=Distribution.of((gap for row in done for gap in row.itl_ms), statistics),
        e2e_ms=Distribution.of((row.e2e_ms for row in done if row.e2e_ms is not None), statistics),
        reason=None if enough else Reason.BENCHMARK_FAILED,
        message="" if enough else _too_few(len(done), min_completed, errors),
        errors=dict(sorted(errors.items(), key=lambda item: -item[1])[:20]),
        extra=dict(extra or {}),
    )


def _per_second(count: float, window_s: float) -> float:
    return count / window_s if window_s > 0 else 0.0


def _too_few(completed: int, needed: int, errors: Mapping[str, int]) -> str:
    commonest = max(errors, key=lambda text: errors[text]) if errors else "no request ended in time"
    return f"{completed} requests completed, {needed} are needed; most often: {commonest}"


def meets(row: RequestRow, slo: SLO) -> bool:
    """Whether one completed request is within every latency ceiling of the SLO, whatever statistic it names."""
    gap = max(row.itl_ms, default=None)
    for value, ceilings in (
        (row.ttft_ms, slo.ttft_ms),
        (row.tpot_ms, slo.tpot_ms),
        (gap, slo.itl_ms),
        (row.e2e_ms, slo.e2e_ms),
    ):
        if value is not None and ceilings and value > min(ceilings.values()):
            return False
    return True
