"""`result.json`: one load point in the structure and field names of genai-bench's level files, milliseconds throughout.

Two things are better than there: `error_rate` is the real one, and every row carries the times that rates and time
series need (seconds after the start of the load).
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.builtin.rows import Row
from tuning.benchmarks.files import writing
from tuning.scoring.metrics import Measurement, RequestStatus

FILE_NAME = "result.json"
STATISTICS = (
    "ttft",
    "tpot",
    "e2e_latency",
    "output_latency",
    "output_inference_speed",
    "num_input_tokens",
    "num_output_tokens",
    "num_reasoning_tokens",
    "total_tokens",
    "input_throughput",
    "output_throughput",
)
_CODES = {RequestStatus.CONNECT: 503, RequestStatus.TIMEOUT: 408}


def write_result(request: LoadRequest, measurement: Measurement, rows: Sequence[Row], window_s: float) -> None:
    """Write `result.json` into the request's folder; BenchmarkError when there is no room."""
    individual = [_individual(row) for row in rows if row.status != RequestStatus.CANCELLED]
    document = {
        "aggregated_metrics": _aggregated(request, measurement, individual, window_s),
        "individual_request_metrics": individual,
        "_time_unit": "ms",
    }
    with writing(request.folder):
        (request.folder / FILE_NAME).write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


def _aggregated(
    request: LoadRequest, measurement: Measurement, rows: Sequence[dict[str, Any]], window_s: float
) -> dict[str, Any]:
    point = request.load_point
    return {
        "scenario": point.scenario,
        "num_concurrency": point.concurrency,
        "request_rate_per_s": point.request_rate_per_s,
        "batch_size": 1,
        "iteration_type": "num_concurrency" if point.concurrency else "request_rate",
        "run_duration": window_s,
        "mean_output_throughput_tokens_per_s": measurement.output_tokens_per_s,
        "mean_input_throughput_tokens_per_s": measurement.input_tokens_per_s,
        "mean_total_tokens_throughput_tokens_per_s": measurement.output_tokens_per_s + measurement.input_tokens_per_s,
        "requests_per_second": measurement.requests_per_s,
        "error_codes_frequency": _frequencies(row["error_code"] for row in rows),
        "error_rate": measurement.error_rate,
        "num_error_requests": measurement.failed,
        "num_completed_requests": measurement.completed,
        "num_requests": measurement.completed + measurement.failed,
        "stats": {name: _statistics([row[name] for row in rows]) for name in STATISTICS},
    }


def _frequencies(codes: Iterable[int | None]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for code in codes:
        if code is not None:
            counts[str(code)] = counts.get(str(code), 0) + 1
    return counts


def _statistics(values: Sequence[float | None]) -> dict[str, float | None]:
    array = np.array([value for value in values if value is not None], dtype=float)
    names = ("p25", "p50", "p75", "p90", "p95", "p99")
    if not array.size:
        return dict.fromkeys(("min", "max", "mean", "stddev", "sum", *names))
    quantiles = np.percentile(array, [float(name[1:]) for name in names])
    return {
        "min": float(array.min()),
        "max": float(array.max()),
        "mean": float(array.mean()),
        "stddev": float(array.std()),
        "sum": float(array.sum()),
        **dict(zip(names, map(float, quantiles), strict=True)),
    }


def _individual(row: Row) -> dict[str, Any]:
    times = {
        "index": row.index,
        "phase": row.phase,
        "status": row.status,
        "intended_s": row.intended_s,
        "sent_s": row.sent_s,
        "first_s": row.first_s,
        "last_s": row.last_s,
        "end_s": row.end_s,
        "requested_input_tokens": row.requested_input_tokens,
        "requested_output_tokens": row.requested_output_tokens,
    }
    if row.status != RequestStatus.OK:
        code = row.code if row.status == RequestStatus.HTTP else _CODES.get(RequestStatus(row.status), 500)
        nothing = dict.fromkeys((*STATISTICS, "audio_throughput"))
        return {**nothing, "error_code": code, "error_message": row.message, **times}
    return {**_values(row), "audio_throughput": None, "error_code": None, "error_message": None, **times}


def _values(row: Row) -> dict[str, float | None]:
    ttft, tpot, e2e = row.ttft_ms, row.tpot_ms, row.e2e_ms
    speed = 1000 / tpot if tpot else None
    return {
        "ttft": ttft,
        "tpot": tpot,
        "e2e_latency": e2e,
        "output_latency": None if ttft is None or e2e is None else e2e - ttft,
        "output_inference_speed": speed,
        "num_input_tokens": row.input_tokens,
        "num_output_tokens": row.output_tokens,
        "num_reasoning_tokens": row.reasoning_tokens,
        "total_tokens": row.input_tokens + row.output_tokens,
        "input_throughput": row.input_tokens / ttft * 1000 if ttft else None,
        "output_throughput": speed,
    }
