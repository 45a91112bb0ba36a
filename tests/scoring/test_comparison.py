"""Ranking of configurations, ties, and the gain over the baseline."""

import pytest

from tuning.scoring.comparison import Result, rank, ratio_to_baseline


def test_feasible_comes_before_infeasible_whatever_the_value() -> None:
    ranking = rank([Result("fast", (900.0,), False, (0.5,)), Result("slow", (10.0,), True)], "maximize")
    assert [result.key for result in ranking.ordered] == ["slow", "fast"]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_failure_is_never_best(direction: str) -> None:
    """Pitfall B5a, B5b, B7: a failure has no value on any scale, so it cannot win by one."""
    ranking = rank([Result("crash", (), False, failed=1), Result("works", (150.0,), True)], direction)  # type: ignore[arg-type]
    assert ranking.best is not None
    assert ranking.best.key == "works"
    assert [result.key for result in ranking.ordered] == ["works"]


def test_a_configuration_that_failed_once_was_lucky_the_other_time() -> None:
    ranking = rank([Result("lucky", (1.0,), False, failed=1), Result("solid", (2.0,), True)], "minimize")
    assert [result.key for result in ranking.ordered] == ["solid"]


def test_the_infeasible_are_ordered_by_how_far_they_miss() -> None:
    ranking = rank([Result("far", (9.0,), False, (2.0, -1.0)), Result("near", (1.0,), False, (0.1, -1.0))], "maximize")
    assert [result.key for result in ranking.ordered] == ["near", "far"]
    assert ranking.best is None


def test_the_interval_is_students() -> None:
    result = Result("x", (9.0, 10.0, 11.0), True)
    assert result.value == 10
    assert result.half_width == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    assert Result("once", (9.0,), True).half_width is None


def test_a_difference_inside_the_noise_is_called_a_tie() -> None:
    """Pitfall B10a."""
    noisy = [
        Result("a", (100.0, 104.0, 96.0), True),
        Result("b", (99.0, 103.0, 95.0), True),
        Result("c", (50.0, 51.0, 49.0), True),
    ]
    assert rank(noisy, "maximize").tied == ("b",)


def test_one_measurement_each_claims_no_tie() -> None:
    assert rank([Result("a", (100.0,), True), Result("b", (99.9,), True)], "maximize").tied == ()


def test_the_gain_is_above_one_when_better_in_either_direction() -> None:
    assert ratio_to_baseline(300, 200, "maximize") == 1.5
    assert ratio_to_baseline(200, 300, "minimize") == 1.5
    assert ratio_to_baseline(1, 0, "maximize") is None
