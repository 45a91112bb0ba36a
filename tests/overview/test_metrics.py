"""The names of what is measured: each is one number of a load point, with a unit and a direction."""

import math
from typing import Any

import pytest

from tests.runner.factories import experiment, task
from tuning.document.goals import SLO
from tuning.models import MeasurementRow
from tuning.overview.metrics import COLUMNS, error_rate, finite, limits, meets, metrics
from tuning.scoring.slo import checks

ROW: dict[str, Any] = {
    "output_tokens_per_s": 1200.0,
    "input_tokens_per_s": 300.0,
    "requests_per_s": 12.0,
    "goodput_requests_per_s": 9.0,
    "completed": 99,
    "failed": 1,
    "ttft_ms": {"count": 99, "mean": 20.0, "p50": 19.0, "p90": 30.0, "p95": 35.0, "p99": 40.0, "p99.9": 44.0},
    "tpot_ms": {"count": 99, "mean": 5.0, "p50": 5.0, "p90": 6.0, "p95": 6.5, "p99": 7.0},
    "itl_ms": None,
    "e2e_ms": {"count": 99, "mean": 500.0, "p50": 480.0, "p90": 600.0, "p95": 620.0, "p99": 700.0},
    "reason": "",
}


@pytest.mark.django_db
def test_every_metric_reads_a_row_as_it_is_kept() -> None:
    """Pitfall E5a: no name of a metric that no measurement has."""
    one = experiment(task())
    kept = {**ROW, "itl_ms": ROW["tpot_ms"]}
    MeasurementRow.objects.create(experiment=one, index=0, scenario="D(1,1)", concurrency=1, window_s=1.0, **kept)
    row = MeasurementRow.objects.values(*COLUMNS).get()
    assert all(metric.read(row) is not None for metric in metrics(per_gpu=True).values())


@pytest.mark.django_db
def test_every_metric_that_is_a_column_of_its_own_can_be_asked_for_in_a_query() -> None:
    one = experiment(task())
    kept = {**ROW, "itl_ms": ROW["tpot_ms"]}
    MeasurementRow.objects.create(experiment=one, index=0, scenario="D(1,1)", concurrency=1, window_s=1.0, **kept)
    row = MeasurementRow.objects.values(*COLUMNS).get()
    for metric in metrics().values():
        if metric.key != "error_rate":
            assert MeasurementRow.objects.order_by(metric.path).values_list(
                metric.path, flat=True
            ).get() == metric.read(row)


def test_latencies_are_better_when_lower_and_rates_when_higher() -> None:
    """Pitfall E5b."""
    for key, metric in metrics(per_gpu=True).items():
        assert metric.direction == ("minimize" if "_ms." in key or key == "error_rate" else "maximize")
        assert metric.unit or key == "error_rate"


def test_rates_are_shared_among_the_gpus_of_a_configuration() -> None:
    known = metrics(per_gpu=True)
    assert known["output_tokens_per_s/gpu"].read(ROW, gpus=4) == 300.0
    assert known["output_tokens_per_s"].read(ROW, gpus=4) == 1200.0
    assert known["output_tokens_per_s/gpu"].title == "output throughput per GPU (tokens/s/GPU)"


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "12", True, [1]])
def test_only_real_finite_numbers_count(value: Any) -> None:
    assert finite(value) is None
    assert metrics()["requests_per_s"].read({**ROW, "requests_per_s": value}) is None
    assert metrics()["ttft_ms.p50"].read({**ROW, "ttft_ms": {"p50": value}}) is None


def test_what_was_not_measured_has_no_value() -> None:
    known = metrics()
    assert known["itl_ms.p50"].read(ROW) is None
    assert known["ttft_ms.p50"].read({**ROW, "ttft_ms": {"mean": 1.0}}) is None
    assert error_rate(0, 0) == 1.0


def test_a_statistic_that_only_the_slo_names_is_a_metric_too() -> None:
    slo = SLO(ttft_ms={"p99.9": 50})
    assert metrics(slo)["ttft_ms.p99.9"].read(ROW) == 44.0
    assert "ttft_ms.p99.9" not in metrics()


@pytest.mark.parametrize(
    "slo",
    [
        SLO(),
        SLO(error_rate=0.001),
        SLO(ttft_ms={"p99": 40}),
        SLO(ttft_ms={"p99": 39.9}),
        SLO(itl_ms={"p50": 5}),
        SLO(min_output_tokens_per_s=1200),
        SLO(min_output_tokens_per_s=1201),
        SLO(min_requests_per_s=13),
    ],
)
@pytest.mark.django_db
def test_a_load_point_meets_the_slo_exactly_where_the_scoring_says_so(slo: SLO) -> None:
    row = MeasurementRow(experiment=experiment(task()), index=0, scenario="D(1,1)", concurrency=1, window_s=1.0, **ROW)
    assert meets(ROW, limits(slo), metrics(slo)) == all(item.met for item in checks(row.to_measurement(), slo))


def test_a_load_point_that_failed_meets_nothing() -> None:
    assert not meets({**ROW, "reason": "benchmark_failed"}, limits(SLO()), metrics())
