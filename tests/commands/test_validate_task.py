"""validate_task: every problem at once, with its line, and nothing written."""

from pathlib import Path

import pytest
from django.core.management import call_command

from tests.commands.conftest import Installation
from tests.runner.factories import text

BAD = """\
name: t
engine:
  name: simulated
  colour: blue
model:
  id: org/model
search_space:
  parameters:
    max-num-seqs: [many]
workload:
  requests: -1
"""


def test_all_problems_are_listed_with_their_lines_and_nothing_is_written(empty: Installation) -> None:
    """The exit code is 2; there is not even a database."""
    path = empty.document(BAD)
    code, out, err = empty.manage("validate_task", path)
    assert (code, out) == (2, "")
    assert "line 4: engine.colour" in err
    assert "line 11: workload.requests" in err
    assert "Traceback" not in err
    assert not (empty.folder / "autotuner.sqlite3").exists()


def test_a_valid_document_is_valid_without_a_database(empty: Installation) -> None:
    path = empty.document(text({"max-num-seqs": [4, 8, 16]}))
    code, out, err = empty.manage("validate_task", path)
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: valid; 3 configurations")
    assert "each at 1 load point" in out
    assert not (empty.folder / "autotuner.sqlite3").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (text({"max-num-seqs": ["many"]}), "search_space.parameters.max-num-seqs"),
        (text(fixed={"no-such-flag": 1}), "search_space.fixed.no-such-flag"),
        (text(engine={"name": "simulated", "environment": {"HF_TOKEN": "x"}}), "a secret does not belong"),
        (text(workload={"scenarios": ["dataset"], "dataset": {"path": "absent.txt"}}), "there is no such file"),
        ("", "document"),
        ("- a\n- b\n", "document"),
        ("a: [\n", "line 2"),
    ],
)
def test_what_cannot_run_is_refused_in_a_sentence(
    content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pitfall B14: rules of engine and machine too."""
    path = tmp_path / "task.yaml"
    path.write_text(content)
    said = _refusal(path, capsys)
    assert words in said
    assert all(line.startswith(f"{path}: ") for line in said.splitlines())


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _refusal(tmp_path / name, capsys).startswith(f"{tmp_path / name} cannot be read: ")


def _refusal(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a document that is refused with exit code 2."""
    with pytest.raises(SystemExit) as refused:
        call_command("validate_task", path)
    assert refused.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err
