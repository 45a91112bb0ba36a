"""Reading a file of prompts: text (one prompt a line), CSV, JSON Lines or a JSON list."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path


class DatasetProblem(Exception):
    """The file cannot be used; `str()` is a sentence that says what to do."""


def read_prompts(path: Path, prompt_field: str) -> list[str]:
    """Read every non-empty prompt of `path`, in order; DatasetProblem says what is wrong with the file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetProblem(f"dataset {path} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        hint = "check workload.dataset.path and its permissions"
        raise DatasetProblem(f"dataset {path} cannot be read: {error.strerror}; {hint}") from error
    reader = _READERS.get(path.suffix.lower(), _read_text)
    prompts = [prompt for prompt in reader(text, path, prompt_field) if prompt.strip()]
    if not prompts:
        raise DatasetProblem(f"dataset {path} has no prompt in it; give a file with at least one")
    return prompts


def _read_text(text: str, path: Path, prompt_field: str) -> list[str]:
    return text.split("\n")


def _read_csv(text: str, path: Path, prompt_field: str) -> list[str]:
    csv.field_size_limit(sys.maxsize)
    rows = csv.DictReader(io.StringIO(text), strict=True)
    columns = rows.fieldnames or ()
    if columns and prompt_field not in columns:
        raise DatasetProblem(_no_field(path, 1, prompt_field, columns))
    try:
        return [row[prompt_field] or "" for row in rows]
    except csv.Error as error:
        raise DatasetProblem(f"dataset {path}, line {rows.line_num}: {error}; it is not valid CSV") from error


def _read_json_lines(text: str, path: Path, prompt_field: str) -> list[str]:
    lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    return [_prompt(_loads(line, path, number), path, number, prompt_field) for number, line in lines]


def _read_json(text: str, path: Path, prompt_field: str) -> list[str]:
    if not text.strip():
        return []
    entries = _loads(text, path, 1)
    if not isinstance(entries, list):
        raise DatasetProblem(f"dataset {path} is not a JSON list; give a list of prompts, or JSON Lines")
    return [_prompt(entry, path, number, prompt_field) for number, entry in enumerate(entries, 1)]


def _loads(text: str, path: Path, number: int) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetProblem(f"dataset {path}, line {number}: not valid JSON ({error})") from error


def _prompt(entry: object, path: Path, number: int, prompt_field: str) -> str:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, dict):
        raise DatasetProblem(f"dataset {path}, entry {number}: neither a text nor an object")
    if prompt_field not in entry:
        raise DatasetProblem(_no_field(path, number, prompt_field, entry))
    if not isinstance(prompt := entry[prompt_field], str):
        raise DatasetProblem(f"dataset {path}, entry {number}: field {prompt_field!r} is not a text")
    return prompt


def _no_field(path: Path, number: int, prompt_field: str, fields: Iterable[str]) -> str:
    present = ", ".join(repr(str(name)) for name in fields) or "none"
    return (
        f"dataset {path}, entry {number}: no field {prompt_field!r} (there: {present}); "
        "name the right one in workload.dataset.prompt_field"
    )


_READERS: dict[str, Callable[[str, Path, str], list[str]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
}
