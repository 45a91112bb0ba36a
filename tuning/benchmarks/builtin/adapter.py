"""The worker's side of our own load generator: starts the client process, watches it, and reads what it measured."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.builtin.drawing import draw_plan
from tuning.benchmarks.builtin.plan import REFUSED, Calibration, Phase, Plan
from tuning.benchmarks.builtin.rows import Row, read_rows
from tuning.benchmarks.files import writing
from tuning.benchmarks.process import Child
from tuning.benchmarks.result_file import write_result
from tuning.errors import BenchmarkError, Reason
from tuning.hooks import LogSink, StopCheck
from tuning.scoring.metrics import Measurement, RequestRow, RequestStatus, summarise

ROOT = Path(__file__).parents[3]
HARD_LIMIT_GRACE_S = 5.0
LENGTH_TOLERANCE = 0.10
BUSY_CPU_SHARE, LATE_TIMER_MS = 0.90, 25.0
LATE_DISPATCH_MS, MIN_RATE_SHARE = 5.0, 0.98


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


class Builtin:
    """The builtin load generator. It remembers the token counts of the models that it has met."""

    def __init__(self) -> None:
        self._calibrations: dict[tuple[str, str], Calibration] = {}

    def warm_up(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> None:
        """Send the warm-up requests; BenchmarkError when none is answered. Rows stay in `warmup-requests.jsonl`."""
        if not request.workload.warmup_requests:
            return
        outcome = self._load(request, Phase.WARMUP, log, stop)
        if not any(row.status == RequestStatus.OK for row in outcome.rows):
            texts = sorted({f"{row.status}: {row.message}" for row in outcome.rows})
            raise BenchmarkError(f"no warm-up request was answered; {'; '.join(texts[:3]) or 'none was sent'}")

    def run(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> Measurement:
        """Run the load point. `requests.jsonl`, `summary.json` and `result.json` stay in the request's folder."""
        outcome = self._load(request, Phase.MEASURED, log, stop)
        measurement = _measurement(request, outcome)
        for text in _warnings(measurement, outcome):
            log("warning", text)
        write_result(request, measurement, outcome.rows, outcome.window_s)
        return measurement

    def _load(self, request: LoadRequest, phase: Phase, log: LogSink, stop: StopCheck) -> Outcome:
        model = (request.served_name, request.tokenizer)
        plan = draw_plan(request, phase, self._calibrations.get(model))
        outcome = _run_client(plan, request, log, stop)
        if found := outcome.summary.get("calibration"):
            self._calibrations[model] = Calibration(**found)
        elif plan.dataset is None:
            log("warning", "the engine did not tell its token counts; prompts are sized at one token a word")
        return outcome


def _run_client(plan: Plan, request: LoadRequest, log: LogSink, stop: StopCheck) -> Outcome:
    rows, summary = Path(plan.rows_file), Path(plan.summary_file)
    plan_file = rows.with_name(f"{plan.phase}-plan.json")
    with writing(request.folder):
        rows.unlink(missing_ok=True)
        summary.unlink(missing_ok=True)
        plan.write(plan_file)
    command = [sys.executable, "-m", "tuning.benchmarks.builtin", str(plan_file)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Child(command, env=env, cwd=ROOT, on_line=lambda line: log("debug", line)) as child:
        code = child.wait(plan.deadline_s + HARD_LIMIT_GRACE_S, stop)
    if code is None:
        raise BenchmarkError(_deadline_text(plan) + ", and its client did not end either", Reason.DEADLINE)
    last_line = child.lines[-1] if child.lines else "without a word"
    if code == REFUSED:
        raise BenchmarkError(last_line)
    if code != 0:
        raise BenchmarkError(f"the load generator ended with code {code}: {last_line}")
    return Outcome(plan, tuple(read_rows(rows)), json.loads(summary.read_text(encoding="utf-8")))


def _measurement(request: LoadRequest, outcome: Outcome) -> Measurement:
    done = [row for row in outcome.rows if row.status == RequestStatus.OK]
    measurement = summarise(
        request.load_point,
        [_request_row(row) for row in outcome.rows],
        window_s=outcome.window_s,
        slo=request.slo,
        min_completed=request.workload.min_completed,
        output_tokens=round(sum(row.tokens_before(outcome.window_s) for row in done)),
        requests=_requests_in_window(done, outcome.window_s),
        extra=_extra(done, outcome),
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
        case "complete":
            return measurement
        case "deadline":
            return replace(measurement, reason=Reason.DEADLINE, message=_deadline_text(outcome.plan))
        case "failures":
            commonest = next(iter(measurement.errors), "")
            text = f"ended early, {outcome.plan.failures_in_a_row} requests in a row failed; most often: {commonest}"
            return replace(measurement, reason=Reason.BENCHMARK_FAILED, message=text)
        case _:
            raise BenchmarkError("the load generator was ended by someone else")


def _deadline_text(plan: Plan) -> str:
    return f"the load point did not end within {plan.deadline_s:g} s (limits.load_point_s)"


def _extra(done: Sequence[Row], outcome: Outcome) -> dict[str, float]:
    summary, rows = outcome.summary, outcome.rows
    cpu_share = summary["cpu_s"] / summary["load_s"] if summary["load_s"] else 0.0
    extra = {
        "client_cpu_share": cpu_share,
        "client_lag_p99_ms": summary["lag_p99_ms"],
        "repeated_prompts": float(summary["repeated_prompts"]),
        "requests_without_usage": float(sum(row.counted_by != "usage" for row in done)),
        **_lengths(done, outcome.plan),
    }
    limited = cpu_share > BUSY_CPU_SHARE or summary["lag_p99_ms"] > LATE_TIMER_MS
    if outcome.plan.starts_s is not None:
        rates = _rates(rows, outcome.plan)
        extra |= rates
        limited = rates["dispatch_delay_p99_ms"] > LATE_DISPATCH_MS or rates["achieved_rate_share"] < MIN_RATE_SHARE
    return extra | {"client_limited": float(limited)}


def _lengths(done: Sequence[Row], plan: Plan) -> dict[str, float]:
    if not done:
        return {}
    return {
        "input_tokens_requested": float(np.mean([row.requested_input_tokens for row in done])),
        "input_tokens_served": float(np.mean([row.input_tokens for row in done])),
        "output_tokens_requested": float(np.mean([row.requested_output_tokens for row in done])),
        "output_tokens_served": float(np.mean([row.output_tokens for row in done])),
    }


def _rates(rows: Sequence[Row], plan: Plan) -> dict[str, float]:
    """Open loop: how well the plan was kept. The planned rate is that of the drawn starts, not of the document."""
    sent = [row for row in rows if row.sent_s is not None]
    delays_ms = [(row.sent_s - row.intended_s) * 1000 for row in sent if row.sent_s is not None]
    intended_s = [row.intended_s for row in sent]
    sent_s = [row.sent_s for row in sent if row.sent_s is not None]
    planned_span_s = intended_s[-1] - intended_s[0] if sent else 0.0
    sent_span_s = max(sent_s) - min(sent_s) if sent else 0.0
    achieved = (len(sent) - 1) / sent_span_s if sent_span_s else 0.0
    return {
        "planned_rate_per_s": (len(sent) - 1) / planned_span_s if planned_span_s else 0.0,
        "achieved_rate_per_s": achieved,
        "achieved_rate_share": planned_span_s / sent_span_s if sent_span_s else 1.0,
        "dispatch_delay_p99_ms": float(np.percentile(delays_ms, 99)) if delays_ms else 0.0,
    }


def _warnings(measurement: Measurement, outcome: Outcome) -> list[str]:
    extra, texts = measurement.extra, []
    for side in ("input", "output"):
        asked, served = extra.get(f"{side}_tokens_requested", 0.0), extra.get(f"{side}_tokens_served", 0.0)
        if asked and abs(served - asked) > LENGTH_TOLERANCE * asked:
            texts.append(f"{measurement.load_point}: {served:.0f} {side} tokens a request instead of {asked:.0f}")
    if extra["client_limited"]:
        texts.append(
            f"{measurement.load_point}: limited by the load generator itself (CPU share "
            f"{extra['client_cpu_share']:.0%}, timer late by {extra['client_lag_p99_ms']:.0f} ms); "
            "latencies are upper bounds"
        )
    if extra["repeated_prompts"]:
        texts.append(f"{measurement.load_point}: {extra['repeated_prompts']:.0f} prompts repeat others of the dataset")
    return texts
