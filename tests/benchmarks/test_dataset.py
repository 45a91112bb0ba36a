"""Files of prompts."""

import json
from pathlib import Path

import pytest

from tuning.benchmarks.builtin.dataset import DatasetProblem, read_prompts


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "one\n\n  \ntwo é\n"),
        ("a", "\ufeffone\r\ntwo é"),
        ("a.csv", "id,prompt\n1,one\n2,\n3,two é\n"),
        ("a.jsonl", '{"prompt": "one"}\n\n"two é"\n'),
        ("a.json", '[{"prompt": "one", "id": 1}, "two é"]'),
    ],
)
def test_every_format_is_read(tmp_path: Path, name: str, content: str) -> None:
    assert read_prompts(write(tmp_path, name, content), "prompt") == ["one", "two é"]


def test_line_breaks_and_quotes_inside_csv_fields_stay(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'prompt\n"first\nsecond ""quoted"", with comma"\n')
    assert read_prompts(path, "prompt") == ['first\nsecond "quoted", with comma']


def test_a_line_separator_inside_a_json_text_is_no_end_of_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", json.dumps({"prompt": "a\u2028b"}, ensure_ascii=False) + "\n")
    assert read_prompts(path, "prompt") == ["a\u2028b"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "", "no prompt in it; give a file"),
        ("a.csv", "", "no prompt in it"),
        ("a.json", "", "no prompt in it"),
        ("a.json", "[]", "no prompt in it"),
        ("a.csv", "id,text\n1,x\n", "no field 'prompt' (there: 'id', 'text'); name the right one"),
        ("a.jsonl", '{"prompt": "x"}\n{"text": "y"}\n', "entry 2: no field 'prompt' (there: 'text')"),
        ("a.jsonl", '{"prompt": 3}\n', "entry 1: field 'prompt' is not a text"),
        ("a.jsonl", "{broken\n", "line 1: not valid JSON"),
        ("a.jsonl", "3\n", "neither a text nor an object"),
        ("a.json", '{"prompt": "x"}', "not a JSON list"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.csv", 'prompt\n"never closed\n', "not valid CSV"),
        ("a.txt", b"\xff\xfe\x00x", "not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(DatasetProblem) as refused:
        read_prompts(path, "prompt")
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.txt", tmp_path):
        with pytest.raises(DatasetProblem, match=r"cannot be read: .*check workload\.dataset\.path"):
            read_prompts(path, "prompt")
