"""From the rows of requests to the measurement of a load point."""

import numpy as np
import pytest

from tests.scoring.builders import failed, measured, ok
from tuning.document.goals import SLO
from tuning.errors import Reason
from tuning.scoring.metrics import RequestRow, RequestStatus


def test_percentiles_are_those_of_the_requests() -> None:
    """Pitfall B9a: the p90 of known per-request data is the true p90."""
    values = list(range(1, 1001))
    measurement = measured(*(ok(ttft_ms=float(value)) for value in values), slo=SLO(ttft_ms={"p99.9": 1e9}))
    assert measurement.ttft_ms is not None
    assert measurement.ttft_ms["p90"] == pytest.approx(np.percentile(values, 90))
    assert measurement.ttft_ms["p99.9"] == pytest.approx(np.percentile(values, 99.9))
    assert measurement.ttft_ms["mean"] == pytest.approx(500.5)


def test_a_load_point_without_enough_completed_requests_is_failed_and_never_a_zero() -> None:
    measurement = measured(failed(), failed(), min_completed=1)
    assert measurement.reason is Reason.BENCHMARK_FAILED
    assert "0 requests completed, 1 are needed" in measurement.message
    assert "http: 500" in measurement.message
    assert measurement.ttft_ms is None


def test_failed_requests_count_and_give_no_latency() -> None:
    """Pitfall B9b: fast failures raise the error rate and lower nothing else."""
    measurement = measured(ok(e2e_ms=1000), failed(), failed(RequestStatus.TIMEOUT, "after 300 s"))
    assert measurement.error_rate == pytest.approx(2 / 3)
    assert measurement.e2e_ms is not None
    assert measurement.e2e_ms.count == 1
    assert measurement.errors == {"http: 500": 1, "timeout: after 300 s": 1}


def test_requests_in_flight_at_the_end_are_neither_completed_nor_failed() -> None:
    measurement = measured(ok(), RequestRow(RequestStatus.CANCELLED))
    assert (measurement.completed, measurement.failed) == (1, 0)


def test_a_missing_statistic_leaves_out_only_itself() -> None:
    """Pitfall B11b: one null does not lose the rest."""
    measurement = measured(ok(tpot_ms=None), ok(tpot_ms=None))
    assert measurement.tpot_ms is None
    assert measurement.ttft_ms is not None


def test_throughput_counts_the_tokens_that_arrived_in_the_window() -> None:
    assert measured(ok(), window_s=2, output_tokens=500).output_tokens_per_s == 250
    assert measured(ok(), ok(), window_s=4).output_tokens_per_s == 50


def test_goodput_counts_requests_that_meet_every_ceiling() -> None:
    slo = SLO(ttft_ms={"p99": 100}, tpot_ms={"p50": 20})
    measurement = measured(ok(50, 10), ok(150, 10), ok(50, 30), ok(100, 20), window_s=1, slo=slo)
    assert measurement.goodput_requests_per_s == 2


def test_a_request_is_held_to_the_gap_between_its_tokens_too() -> None:
    slo = SLO(itl_ms={"p99": 50})
    assert measured(ok(itl_ms=(10.0, 60.0)), window_s=1, slo=slo).goodput_requests_per_s == 0


def test_embeddings_have_the_throughput_of_their_input() -> None:
    assert measured(ok(tpot_ms=None, output_tokens=0), window_s=1).tokens_per_s == 100
