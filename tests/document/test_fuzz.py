"""Whatever the bytes: a valid document or a clear error, never a traceback."""

import copy
import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.document.documents import NAMES, SCALARS, TEXTS, VALID, VALUES, quick
from tests.document.test_legacy_examples import EXAMPLES
from tuning.document.loading import load
from tuning.errors import DocumentError, Problem

_FIELDS = st.sampled_from(
    ["name", "engine", "model", "search_space", "slo", "workload", "limits", "task_name", "benchmark"]
)
_YAMLISH = st.lists(
    st.sampled_from(
        [
            *"-?:,[]{}#&*!|>'\"%@` \n\t~<",
            "a",
            "&a ",
            "*a",
            "<<: ",
            "!!str ",
            "---\n",
            "...\n",
            "null",
            "1e5",
            "\\u0000",
            "\\",
        ]
    )
    | TEXTS,
    max_size=30,
).map("".join)


def _loads_or_says_why(text: str | bytes) -> None:
    """The one property: accepted, or refused with sentences that name a path or the whole document."""
    said: tuple[Problem, ...] | None = None
    try:
        load(text)
    except DocumentError as error:
        said = error.problems
    assert said is None or (said and all(problem.message for problem in said))


@quick(150)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_document_or_an_error(raw: bytes) -> None:
    _loads_or_says_why(raw)


@quick(150)
@given(st.text(max_size=200))
def test_any_text_gives_a_document_or_an_error(text: str) -> None:
    _loads_or_says_why(text)


@quick(300)
@given(_YAMLISH)
def test_anything_that_looks_like_yaml_gives_a_document_or_an_error(text: str) -> None:
    _loads_or_says_why(text)
    _loads_or_says_why(f"name: {text}")


@quick(100)
@given(st.dictionaries(_FIELDS | TEXTS, VALUES, max_size=5), st.booleans())
def test_any_structure_gives_a_document_or_an_error(data: dict[str, Any], as_json: bool) -> None:
    _loads_or_says_why(json.dumps(data) if as_json else yaml.safe_dump(data))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [place for key in keys for place in ((*path, key), *_places(value[key], (*path, key)))]


def _mutated(draw: st.DrawFn, data: dict[str, Any]) -> dict[str, Any]:
    """`data` with one to three fields replaced, taken out, or joined by unknown ones."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_places(data)))
        holder = data
        for key in place[:-1]:
            holder = holder[key]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                holder[place[-1]] = draw(VALUES | SCALARS)
            case "remove" if len(_places(data)) > 1:
                del holder[place[-1]]
            case _ if isinstance(holder, dict):
                holder[draw(NAMES)] = draw(VALUES)
    return data


@st.composite
def _mutants(draw: st.DrawFn) -> dict[str, Any]:
    return _mutated(draw, copy.deepcopy(draw(VALID)))


@st.composite
def _old_mutants(draw: st.DrawFn) -> dict[str, Any]:
    return _mutated(draw, json.loads(draw(st.sampled_from(EXAMPLES)).read_text()))


@quick(150)
@given(_mutants())
def test_a_damaged_document_gives_a_document_or_an_error(data: dict[str, Any]) -> None:
    _loads_or_says_why(json.dumps(data))


@quick(250)
@given(_old_mutants())
def test_a_damaged_document_of_an_earlier_system_gives_a_document_or_an_error(data: dict[str, Any]) -> None:
    _loads_or_says_why(json.dumps(data))
