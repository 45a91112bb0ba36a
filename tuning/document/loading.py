"""The one way from text to a task document: files, forms, the command line and the API all come through here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pydantic import JsonValue

from tuning.document.advice import warnings
from tuning.document.base import FieldPath
from tuning.document.legacy import is_legacy, translate
from tuning.document.messages import shown
from tuning.document.report import Level, Note, dotted
from tuning.document.task import TaskDocument
from tuning.document.text import Parsed, parse
from tuning.document.validation import Fault, validate
from tuning.errors import DocumentError, Problem


@dataclass(frozen=True)
class Loaded:
    """A valid document, and what a person should know about how it was read.

    `problem` makes a Problem of what somebody else finds wrong with a field of `document`, with the path and line that
    the field has in the text.
    """

    document: TaskDocument
    notes: tuple[Note, ...]
    problem: Callable[[Fault], Problem]


def load(text: str | bytes, *, source: str = "document") -> Loaded:
    """Read a task document in YAML or JSON, of ours or of an earlier system.

    `source` names the text in messages about all of it. Raises `DocumentError` with every problem, in the order of the
    text. No side effects: files that the document names are not looked at.
    """
    parsed = parse(text, source)
    if not isinstance(parsed.data, dict):
        raise DocumentError(parsed.problems or [parsed.problem((), _no_mapping(parsed, source))])
    if is_legacy(parsed.data):
        return _load_legacy(parsed, parsed.data)
    document, faults = validate(parsed.data)
    if document is None or parsed.problems:
        raise DocumentError(_merged(parsed, faults))
    notes = _notes(parsed, [(Level.WARNING, *each) for each in warnings(document)])
    return Loaded(document, notes, lambda fault: parsed.problem(fault.path, fault.message, fault.value))


def _load_legacy(parsed: Parsed, data: dict[str, JsonValue]) -> Loaded:
    """Translate and validate; what is wrong is told of the field in the old document, once."""
    translation = translate(data)
    document, found = validate(translation.data, rules=not translation.faults)
    told = {fault.path for fault in translation.faults}
    moved = [replace(fault, path=translation.origin(fault.path)) for fault in found]
    faults = [*translation.faults, *(fault for fault in moved if fault.path not in told and fault.path)]
    if document is None or faults or parsed.problems:
        raise DocumentError(_merged(parsed, faults))

    def problem(fault: Fault) -> Problem:
        return parsed.problem(translation.origin(fault.path), fault.message, fault.value)

    return Loaded(document, _notes(parsed, translation.notes), problem)


def _notes(parsed: Parsed, found: Iterable[tuple[Level, FieldPath, str]]) -> tuple[Note, ...]:
    """Notes in the order of the text."""
    notes = [Note(dotted(path), level, message, parsed.line(path)) for level, path, message in found]
    return tuple(sorted(notes, key=lambda note: note.line or 0))


def _no_mapping(parsed: Parsed, source: str) -> str:
    return f"{source} has to consist of fields with values, such as `name: my-task`; it is {shown(parsed.data, ())}"


def _merged(parsed: Parsed, faults: list[Fault]) -> list[Problem]:
    """All problems by line; a field about which the text itself has said something is not named again."""
    said = {problem.path for problem in parsed.problems}
    located = [parsed.problem(fault.path, fault.message, fault.value) for fault in faults]
    problems = [*parsed.problems, *(problem for problem in located if problem.path not in said)]
    return sorted(problems, key=lambda problem: problem.line or 0)
