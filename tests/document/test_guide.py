"""The guide is true: its documents load, its tables are those of the models."""

import re
from pathlib import Path

import pytest

from tests.document.documents import problems
from tuning.document.base import Section
from tuning.document.dumping import dump
from tuning.document.loading import load
from tuning.document.reference import tables
from tuning.document.task import TaskDocument
from tuning.document.workload import LoadPoint

GUIDE = (Path(__file__).parents[2] / "docs" / "task-document.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.search(r"name: (.*)", block)[1])  # type: ignore[index]
def test_every_document_in_the_guide_loads_and_comes_back(block: str) -> None:
    result = load(block)
    assert load(dump(result.document)).document == result.document
    assert result.notes == () or "task_name" in block


def test_the_complete_example_names_every_section() -> None:
    example = load(next(block for block in BLOCKS if "schema_version" in block)).document
    sections = {name for name in TaskDocument.model_fields if isinstance(getattr(example, name), Section)}
    assert sections <= example.model_fields_set


def test_the_table_of_fields_is_that_of_the_models() -> None:
    """Pitfall B16."""
    begin, end = "<!-- fields: python -m tuning.document.reference -->\n", "<!-- end of fields -->"
    assert GUIDE.split(begin)[1].split(end)[0] == tables()


def test_the_table_has_every_field() -> None:
    listed = {part for row in re.findall(r"^\| `([^`]+)`", tables(), re.MULTILINE) for part in row.split(".")}
    fields = {name for section in Section.__subclasses__() if section is not LoadPoint for name in section.model_fields}
    assert fields <= listed


def test_the_errors_in_the_guide_are_what_is_said() -> None:
    text = (
        "name: x\n"
        "\n"
        "engine: {name: vlm}\n"
        "model: {id: x}\n"
        "\n\n"
        "search_space:\n"
        "  parameters:\n"
        "    max-num-seqs: []\n"
        "slo:\n"
        "  ttft_ms:\n"
        "    p99: -1\n"
    )
    said = re.search(r"```text\n(.*?)```", GUIDE, re.DOTALL)
    assert said is not None
    found = problems(text)
    assert [line.split(": ", 2)[1:] for line in said[1].splitlines()] == [[path, found[path]] for path in found]
