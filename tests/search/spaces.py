"""Search spaces for tests."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuning.document.base import Parameters
from tuning.document.space import SearchSpace
from tuning.search.space import Identity, Space, canonical_json


def make_space(
    parameters: Mapping[str, Any],
    *,
    fixed: Parameters | None = None,
    constraints: Sequence[str] = (),
    identity: Identity = canonical_json,
    allowed: Callable[[Parameters], bool] = lambda parameters: True,
) -> Space:
    """The space that a task document with these fields has."""
    section = {"parameters": dict(parameters), "fixed": fixed or {}, "constraints": tuple(constraints)}
    return Space(SearchSpace.model_validate(section), identity=identity, allowed=allowed)
