"""What an experiment is worth, and whether it meets the SLO."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scoring.builders import failed, measured, ok, throughput
from tuning.document.goals import SLO, Objective, ObjectiveName
from tuning.scoring.objectives import Reference, Verdict, direction, judge
from tuning.scoring.slo import checks, total_excess


def verdict(name: ObjectiveName, *measurements, slo: SLO | None = None, gpus: int = 1, **more) -> Verdict:  # type: ignore[no-untyped-def]
    return judge(Objective(name=name), slo or SLO(), measurements, gpus=gpus, **more)


def test_a_latency_is_minimised_where_it_is_worst() -> None:
    found = verdict(ObjectiveName.MINIMIZE_LATENCY, measured(ok(e2e_ms=900)), measured(ok(e2e_ms=3000), concurrency=8))
    assert (found.value, found.feasible, found.point) == (3000, True, 1)


def test_the_chosen_statistic_is_minimised() -> None:
    rows = [ok(ttft_ms=value) for value in (10, 20, 90)]
    found = judge(Objective(name=ObjectiveName.MINIMIZE_TTFT, statistic="p50"), SLO(), [measured(*rows)], gpus=1)
    assert found.value == 20


def test_throughput_is_per_gpu_at_the_best_load_point_that_meets_the_slo() -> None:
    slo = SLO(e2e_ms={"p99": 2000})
    points = [
        throughput(100, e2e_ms=500, slo=slo),
        throughput(800, e2e_ms=1500, slo=slo),
        throughput(900, e2e_ms=2500, slo=slo),
    ]
    found = verdict(ObjectiveName.MAXIMIZE_THROUGHPUT, *points, slo=slo, gpus=4)
    assert (found.value, found.feasible, found.point) == (200, True, 1)


def test_without_a_load_point_that_meets_the_slo_the_least_miss_decides_and_says_so() -> None:
    slo = SLO(e2e_ms={"p99": 2000})
    points = [throughput(100, e2e_ms=2200, slo=slo), throughput(900, e2e_ms=4000, slo=slo)]
    found = verdict(ObjectiveName.MAXIMIZE_THROUGHPUT, *points, slo=slo)
    assert not found.feasible
    assert found.value == 100
    assert found.missed == ("D(100,100) c=1: e2e_ms p99 2200 (limit 2000)",)
    assert max(found.violations) == pytest.approx(0.1)


def test_a_lost_load_point_never_makes_a_configuration_better() -> None:
    """Pitfall B8: mean latency 3.6 s became 1.0 s when the point at high concurrency was dropped."""
    light, heavy = measured(ok(e2e_ms=1000)), measured(ok(e2e_ms=3600), concurrency=8)
    lost = measured(failed(), concurrency=8)
    assert verdict(ObjectiveName.MINIMIZE_LATENCY, light, heavy).feasible
    assert not verdict(ObjectiveName.MINIMIZE_LATENCY, light, lost).feasible
    whole = verdict(ObjectiveName.MAXIMIZE_THROUGHPUT, throughput(100), throughput(300, concurrency=8))
    partial = verdict(ObjectiveName.MAXIMIZE_THROUGHPUT, throughput(100), lost)
    assert whole.value is not None
    assert partial.value is not None
    assert partial.value < whole.value


@pytest.mark.parametrize("name", ObjectiveName)
def test_a_server_that_fails_most_requests_quickly_is_infeasible(name: ObjectiveName) -> None:
    """Pitfall B9b."""
    slo = SLO(ttft_ms={"p99": 1000})
    quick = measured(*([ok(1, 0.1, 5)] * 4 + [failed()] * 6), slo=slo)
    assert not verdict(name, quick, slo=slo).feasible


def test_balanced_is_the_geometric_mean_of_both_ratios_to_the_baseline() -> None:
    baseline = Reference((throughput(100, e2e_ms=1000), throughput(400, e2e_ms=2000)), gpus=1)
    faster = [throughput(200, e2e_ms=1000), throughput(800, e2e_ms=1000)]
    found = verdict(ObjectiveName.BALANCED, *faster, reference=baseline)
    assert found.value == pytest.approx((2**0.5 * 4**0.5) ** 0.5)
    assert verdict(ObjectiveName.BALANCED, *baseline.measurements).value == pytest.approx(1)


def test_goodput_is_not_held_to_the_ceilings_twice() -> None:
    slo = SLO(ttft_ms={"p99": 100})
    half = measured(*[ok(50)] * 5, *[ok(500)] * 5, window_s=1, slo=slo)
    found = verdict(ObjectiveName.MAXIMIZE_GOODPUT, half, slo=slo)
    assert (found.value, found.feasible) == (5, True)


def test_an_slo_item_that_was_not_measured_is_missed() -> None:
    slo = SLO(tpot_ms={"p50": 10})
    assert not verdict(ObjectiveName.MINIMIZE_TTFT, measured(ok(tpot_ms=None), slo=slo), slo=slo).feasible


def test_violations_have_one_fixed_order_and_length() -> None:
    slo = SLO(ttft_ms={"p99": 100, "mean": 50}, min_output_tokens_per_s=10)
    lengths = {len(checks(measurement, slo)) for measurement in (measured(ok(), slo=slo), measured(failed(), slo=slo))}
    assert lengths == {5}


@given(st.floats(0.001, 1e6), st.floats(0, 1e6), st.floats(0.001, 1e6))
def test_the_miss_grows_with_the_value_and_begins_at_the_limit(limit: float, less: float, more: float) -> None:
    """Pitfall B6: continuous and monotone in the violation, no jump at the threshold."""
    slo = SLO(ttft_ms={"mean": limit})

    def miss(value: float) -> float:
        return total_excess(checks(measured(ok(ttft_ms=value), slo=slo), slo))

    assert miss(limit) == pytest.approx(0, abs=1e-9)
    assert miss(limit + less) <= miss(limit + less + more)


def test_each_objective_knows_which_way_is_better() -> None:
    """Pitfall B4: choices come from one enum."""
    minimised = {name for name in ObjectiveName if direction(Objective(name=name)) == "minimize"}
    assert {name.value for name in minimised} == {name.value for name in ObjectiveName if name.value.startswith("min")}
