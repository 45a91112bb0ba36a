"""The exported JSON Schema is true, and says what the loader says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from jsonschema import Draft202012Validator

from tests.document.documents import MINIMAL, VALID, quick
from tuning.document.loading import load
from tuning.document.schema import json_schema, text
from tuning.errors import DocumentError

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(json_schema())


def test_the_schema_in_the_docs_is_the_one_of_the_models() -> None:
    assert (ROOT / "docs" / "task.schema.json").read_text() == text(), "make it again: python -m tuning.document.schema"


def test_the_module_prints_the_schema() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tuning.document.schema"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == text()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert all(VALIDATOR.is_valid(example) for example in json_schema()["examples"])


def test_its_examples_load() -> None:
    for example in json_schema()["examples"]:
        assert load(json.dumps(example)).notes == ()


def test_the_task_documents_in_examples_are_valid() -> None:
    documents = [path for path in (ROOT / "examples").glob("*.yaml") if "engine:" in path.read_text()]
    for path in documents:
        assert list(VALIDATOR.iter_errors(yaml.safe_load(path.read_text()))) == [], path


@quick(100)
@given(VALID)
def test_what_the_loader_accepts_the_schema_accepts(data: dict[str, Any]) -> None:
    try:
        load(json.dumps(data))
    except DocumentError:
        return
    assert list(VALIDATOR.iter_errors(data)) == []


@pytest.mark.parametrize(
    "sections",
    [
        {"name": " x"},
        {"nam": "x"},
        {"engine": {"name": "vlm"}},
        {"engine": {}},
        {"model": {"id": ""}},
        {"deployment": {"mode": "cloud"}},
        {"deployment": {"gpus": [0]}},
        {"deployment": {"mode": "local", "shm_size": "1g"}},
        {"deployment": {"mode": "docker", "shm_size": "1"}},
        {"search_space": {"parameters": {"a": []}}},
        {"search_space": {"parameters": {"a": {}}}},
        {"search_space": {"parameters": {"a": {"min": 1}}}},
        {"search_space": {"parameters": {"a": {"min": 1, "max": 2, "foo": 3}}}},
        {"search_space": {"parameters": {"--a": [1]}}},
        {"search_space": {"constraints": "a > b"}},
        {"slo": {"ttft_ms": {"p101": 5}}},
        {"slo": {"ttft_ms": {"p99": 0}}},
        {"slo": {"error_rate": 1}},
        {"limits": {"ready_s": "no"}},
        {"replicates": 0},
        {"max_parallel": 0},
        {"max_parallel": 65},
        {"budget": {"gpu_hours": 0}},
        {"workload": {"scenarios": []}},
        {"workload": {"concurrency": [0]}},
        {"schema_version": 2},
    ],
)
def test_what_the_schema_refuses_the_loader_refuses(sections: dict[str, Any]) -> None:
    data = {**MINIMAL, **sections}
    assert not VALIDATOR.is_valid(data)
    with pytest.raises(DocumentError):
        load(json.dumps(data))


def test_every_short_form_of_a_parameter_is_in_the_schema() -> None:
    for form in (
        [1, "a", None],
        5,
        "x",
        True,
        None,
        {"values": [1]},
        {"min": 1, "max": 2},
        {"min": 0.5, "max": 2, "step": 1},
    ):
        assert VALIDATOR.is_valid({**MINIMAL, "search_space": {"parameters": {"a": form}}}), form
