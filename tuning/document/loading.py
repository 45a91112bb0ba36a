"""The one way from text to a task document: files, forms, the command line and the API all come through here."""

from dataclasses import dataclass

from tuning.document.messages import shown
from tuning.document.report import Note
from tuning.document.task import TaskDocument
from tuning.document.text import Parsed, parse
from tuning.document.validation import Fault, validate
from tuning.errors import DocumentError, Problem


@dataclass(frozen=True)
class Loaded:
    """A valid document, and what a person should know about how it was read."""

    document: TaskDocument
    notes: tuple[Note, ...] = ()


def load(text: str | bytes, *, source: str = "document") -> Loaded:
    """Read a task document in YAML or JSON, of ours or of an earlier system.

    `source` names the text in messages about all of it. Raises `DocumentError` with every problem, in the order of the
    text. No side effects: files that the document names are not looked at.
    """
    parsed = parse(text, source)
    if not isinstance(parsed.data, dict):
        raise DocumentError(parsed.problems or [parsed.problem((), _no_mapping(parsed, source))])
    document, faults = validate(parsed.data)
    problems = _merged(parsed, faults)
    if document is None or problems:
        raise DocumentError(problems)
    return Loaded(document)


def _no_mapping(parsed: Parsed, source: str) -> str:
    return f"{source} has to consist of fields with values, such as `name: my-task`; it is {shown(parsed.data, ())}"


def _merged(parsed: Parsed, faults: list[Fault]) -> list[Problem]:
    """All problems by line; a field about which the text itself has said something is not named again."""
    said = {problem.path for problem in parsed.problems}
    located = [parsed.problem(fault.path, fault.message, fault.value) for fault in faults]
    problems = [*parsed.problems, *(problem for problem in located if problem.path not in said)]
    return sorted(problems, key=lambda problem: problem.line or 0)
