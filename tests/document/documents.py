"""Task documents for tests: texts, what is wrong with them, and hypothesis strategies."""

from typing import Any

import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tuning.document.loading import Loaded, load
from tuning.errors import DocumentError

MINIMAL: dict[str, Any] = {"name": "t", "engine": {"name": "vllm"}, "model": {"id": "org/model"}}


def quick(examples: int) -> settings:
    """The profile of every property test: the same examples each time, no time limit for one, no files written."""
    unhurried = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=unhurried
    )


def document(**sections: Any) -> str:
    """A minimal document with these sections, as YAML."""
    return yaml.safe_dump({**MINIMAL, **sections}, sort_keys=False)


def loaded(**sections: Any) -> Loaded:
    """What a minimal document with these sections loads to."""
    return load(document(**sections))


def problems(text: str | bytes) -> dict[str, str]:
    """Path -> message of everything that is wrong with `text`; it has to be refused."""
    return {problem.path: problem.message for problem in refusal(text).problems}


def refusal(text: str | bytes) -> DocumentError:
    """The error that `text` is refused with."""
    try:
        accepted = load(text)
    except DocumentError as error:
        return error
    raise AssertionError(f"accepted: {accepted}")


_TRICKY = [
    "on",
    "no",
    "64k",
    "8x7b",
    "null",
    "1e5",
    "0x1f",
    "1:30",
    "2024-01-01",
    "~",
    "",
    " a",
    "a: b",
    "- x",
    "'",
    '"',
]
TEXTS = st.sampled_from(_TRICKY) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5
)
NAMES = st.from_regex(r"\A[a-z][a-z0-9-]{0,8}\Z")
_SIZES = st.floats(0.001, 1e6)
_WHOLE_RANGES = st.tuples(st.integers(1, 50), st.integers(50, 100), st.integers(1, 9), st.booleans()).map(
    lambda parts: {"min": parts[0], "max": parts[1], "step": parts[2], "log": parts[3]}
)
_RANGES = st.tuples(st.floats(0.5, 1), st.floats(1, 2), st.floats(0.01, 0.5)).map(
    lambda parts: {"type": "float", "min": parts[0], "max": parts[1], "step": parts[2]}
)
PARAMETERS = SCALARS | st.lists(VALUES, min_size=1, max_size=4) | _WHOLE_RANGES | _RANGES
_CEILINGS = st.dictionaries(st.sampled_from(["mean", "p50", "p99", "p99.9"]), _SIZES, max_size=2)


@st.composite
def _search_spaces(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(NAMES, unique=True, min_size=2, max_size=6))
    space: dict[str, Any] = {"parameters": {name: draw(PARAMETERS) for name in names[1:]}}
    space["fixed"] = {names[0]: draw(VALUES)}
    if draw(st.booleans()):
        space["parameters"][names[-1]] = {
            "values": draw(st.lists(VALUES, min_size=1)),
            "when": {names[0]: draw(VALUES)},
        }
        space["constraints"] = [f"{names[0]} != {names[-1]}"]
    return space


VALID = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"\A[A-Za-z0-9:#][A-Za-z0-9 :#'-]{0,20}[A-Za-z0-9:#]\Z"),
        "engine": st.fixed_dictionaries(
            {"name": st.sampled_from(["vllm", "sglang", "simulated"])},
            optional={"environment": st.dictionaries(st.sampled_from(["A", "B_1"]), TEXTS), "image": st.just("v1.0")},
        ),
        "model": st.fixed_dictionaries({"id": st.sampled_from(["org/m", "/models/x y", "1e5", "0x1f", "7"])}),
    },
    optional={
        "description": TEXTS,
        "deployment": st.fixed_dictionaries({"mode": st.sampled_from(["local", "docker", "ome"])}),
        "search_space": _search_spaces(),
        "slo": st.fixed_dictionaries(
            {}, optional={"ttft_ms": _CEILINGS, "e2e_ms": _CEILINGS, "error_rate": st.just(0)}
        ),
        "budget": st.fixed_dictionaries(
            {}, optional={"experiments": st.integers(1, 99), "wall_clock_s": _SIZES, "gpu_hours": _SIZES}
        ),
        "max_parallel": st.integers(1, 64),
        "workload": st.fixed_dictionaries(
            {},
            optional={
                "sampling": st.dictionaries(st.sampled_from(["top_p", "seed", "temperature"]), VALUES),
                "seconds": _SIZES,
                "request_rates_per_s": st.lists(st.floats(0.1, 100), unique=True, max_size=3),
            },
        ),
        "strategy": st.fixed_dictionaries({}, optional={"name": st.sampled_from(["grid", "random"])}),
    },
)
