"""Standings that are kept in order say what ranking everything would say."""

from hypothesis import given
from hypothesis import strategies as st

from tests.document.documents import quick
from tuning.runner.standings import Standings
from tuning.scoring.comparison import Result, rank
from tuning.scoring.objectives import Direction

VALUES = st.lists(st.sampled_from([1.0, 2.0, 2.5, 3.0]), max_size=3).map(tuple)
RESULTS = st.builds(
    Result,
    key=st.sampled_from(["a", "b", "c", "d", "e", "f"]),
    values=VALUES,
    feasible=st.booleans(),
    violations=st.sampled_from([(), (-0.5,), (0.25,), (0.5,)]),
    failed=st.sampled_from([0, 0, 0, 1]),
)


@quick(300)
@given(st.lists(RESULTS, max_size=20), st.sampled_from(["minimize", "maximize"]))
def test_standings_are_the_ranking_of_the_latest_results(results: list[Result[str]], direction: Direction) -> None:
    """Pitfall B5a: with ties, failures, and results that become better or worse."""
    standings = Standings(direction)
    latest: dict[str, Result[str]] = {}
    for result in results:
        standings.put(result, ord(result.key))
        latest[result.key] = result
    ranking = rank([latest[key] for key in sorted(latest)], direction)
    assert standings.first(6) == [result.key for result in ranking.ordered]
    assert standings.first(2) == standings.first(6)[:2]
    assert standings.best == (ranking.best.key if ranking.best else None)
