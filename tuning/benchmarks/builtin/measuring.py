"""From the rows of the client process to the measurement of a load point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.builtin.plan import Plan
from tuning.benchmarks.builtin.rows import Row
from tuning.benchmarks.lengths import length_values
from tuning.errors import Reason
from tuning.scoring.metrics import Measurement, RequestRow, RequestStatus, summarise

BUSY_CPU_SHARE, LATE_TIMER_MS = 0.90, 25.0
LATE_DISPATCH_MS, MIN_RATE_SHARE = 5.0, 0.98
"""Beyond these a load point is called limited by the client: by its CPU or timers, in open loop by its sending."""


@dataclass(frozen=True)
class Outcome:
    """What the client process left behind."""

    plan: Plan
    rows: Sequence[Row]
    summary: Mapping[str, Any]

    @property
    def window_s(self) -> float:
        """Seconds from the first start until the load was no longer whole."""
        return float(self.summary["window_end_s"])


def measure(request: LoadRequest, outcome: Outcome) -> Measurement:
    """The measurement of the load point."""
    done = [row for row in outcome.rows if row.status == RequestStatus.OK]
    measurement = summarise(
        request.load_point,
        [_request_row(row) for row in outcome.rows],
        window_s=outcome.window_s,
        slo=request.slo,
        min_completed=request.workload.min_completed,
        output_tokens=round(sum(row.tokens_before(outcome.window_s) for row in done)),
        requests=_requests_in_window(done, outcome.window_s),
        extra=_extra(request, done, outcome),
    )
    return _judged(measurement, outcome)


def _request_row(row: Row) -> RequestRow:
    return RequestRow(
        status=RequestStatus(row.status),
        ttft_ms=row.ttft_ms,
        tpot_ms=row.tpot_ms,
        e2e_ms=row.e2e_ms,
        itl_ms=row.gaps_ms,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        message=row.message,
    )


def _requests_in_window(done: Sequence[Row], window_s: float) -> float:
    """How many requests the window is worth: their time inside it over the mean time of one (Little's law).

    Counting ends instead would make the answer jump by a whole round of requests where all end together.
    """
    spans = [(row.intended_s, row.end_s or row.intended_s) for row in done]
    total_s = sum(end - start for start, end in spans)
    inside_s = sum(max(0.0, min(end, window_s) - start) for start, end in spans)
    return len(done) * inside_s / total_s if total_s else 0.0


def _judged(measurement: Measurement, outcome: Outcome) -> Measurement:
    """A load that was ended before its time is failed, whatever was measured until then."""
    match outcome.summary["ended"]:
        case "deadline":
            return replace(measurement, reason=Reason.LOAD_POINT_TIMEOUT, message=deadline_text(outcome.plan))
        case "failures":
            commonest = next(iter(measurement.errors), "")
            text = f"ended early, {outcome.plan.failures_in_a_row} requests in a row failed; most often: {commonest}"
            return replace(measurement, reason=Reason.BENCHMARK_FAILED, message=text)
        case _:
            return measurement


def deadline_text(plan: Plan) -> str:
    """What is said when the limit of a load point fires."""
    return f"the load point did not end within {plan.deadline_s:g} s (limits.load_point_s)"


def _extra(request: LoadRequest, done: Sequence[Row], outcome: Outcome) -> dict[str, float]:
    summary = outcome.summary
    cpu_share = summary["cpu_s"] / summary["load_s"] if summary["load_s"] else 0.0
    extra = {
        "client_cpu_share": cpu_share,
        "client_lag_p99_ms": summary["lag_p99_ms"],
        "repeated_prompts": float(summary["repeated_prompts"]),
        "requests_without_usage": float(sum(row.counted_by != "usage" for row in done)),
        **_lengths(done),
    }
    limited = cpu_share > BUSY_CPU_SHARE or summary["lag_p99_ms"] > LATE_TIMER_MS
    if request.load_point.request_rate_per_s is not None:
        rates = _rates(outcome.rows, request.load_point.request_rate_per_s)
        extra |= rates
        limited = rates["dispatch_delay_p99_ms"] > LATE_DISPATCH_MS or rates["achieved_rate_share"] < MIN_RATE_SHARE
    return extra | {"client_limited": float(limited)}


def _lengths(done: Sequence[Row]) -> dict[str, float]:
    return {
        **length_values("input", [row.requested_input_tokens for row in done], [row.input_tokens for row in done]),
        **length_values("output", [row.requested_output_tokens for row in done], [row.output_tokens for row in done]),
    }


def _rates(rows: Sequence[Row], nominal_per_s: float) -> dict[str, float]:
    """Open loop: how well the plan was kept. The planned rate is that of the starts that were drawn."""
    sent = [(row.intended_s, row.sent_s) for row in rows if row.sent_s is not None]
    planned_s = _span([intended_s for intended_s, _ in sent])
    taken_s = _span([sent_s for _, sent_s in sent])
    delays_ms = [(sent_s - intended_s) * 1000 for intended_s, sent_s in sent]
    return {
        "requested_rate_per_s": nominal_per_s,
        "planned_rate_per_s": (len(sent) - 1) / planned_s if planned_s else 0.0,
        "achieved_rate_per_s": (len(sent) - 1) / taken_s if taken_s else 0.0,
        "achieved_rate_share": planned_s / taken_s if taken_s else 1.0,
        "dispatch_delay_p99_ms": float(np.percentile(delays_ms, 99)) if delays_ms else 0.0,
    }


def _span(times: Sequence[float]) -> float:
    return max(times) - min(times) if times else 0.0


def warnings(measurement: Measurement) -> list[str]:
    """What a reader of the measurement must know, beside served lengths."""
    extra, texts = measurement.extra, []
    if extra["client_limited"]:
        texts.append(
            f"{measurement.load_point}: limited by the load generator itself (CPU share "
            f"{extra['client_cpu_share']:.0%}, timer late by {extra['client_lag_p99_ms']:.0f} ms); "
            "latencies are upper bounds"
        )
    if extra["repeated_prompts"]:
        texts.append(f"{measurement.load_point}: {extra['repeated_prompts']:.0f} prompts repeat others of the dataset")
    if extra["requests_without_usage"]:
        texts.append(f"{measurement.load_point}: the engine sent no usage; its chunks were counted as tokens")
    return texts
