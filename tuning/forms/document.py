"""The form of a task document: the same fields, problems and sentences as a file of it has."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from tuning.document.report import Note
from tuning.document.task import EngineName, TaskDocument
from tuning.document.text import MAX_BYTES
from tuning.engines.registry import engine_for
from tuning.errors import DocumentError, Problem
from tuning.forms.document_fields import FIELDS, GROUPS, DocumentField
from tuning.forms.estimate import Estimate, count_to, estimate, estimate_of_draft
from tuning.forms.merging import Merged, Sheet, merged, plain, sheet_of, texts_of
from tuning.forms.parameters import Row, Rows, has_too_many, rows_of, rows_posted
from tuning.runner.intake import read_document

YAML = "yaml"
_NEEDED = {"engine": "engine.name", "model": "model.id"}
"""Sections of which one field is needed: it is to blame when there is no such section."""
_INNER = re.compile(r"(\.[^.\[]*|\[[0-9]+\])$")

BLANK = """\
schema_version: 1
name: ''
engine:
  name: vllm
model:
  id: ''
deployment:
  mode: local
search_space:
  parameters: {}
strategy:
  name: grid
budget:
  experiments: 50
objective:
  name: maximize_throughput
workload:
  scenarios: ['D(512,128)']
  concurrency: [8]
"""


EXAMPLES = (("", "nothing"), ("quickstart", "quickstart"), ("vllm-local", "vLLM on this machine"))
"""What a new task may begin with: the name of a file in `examples/`, and what it is called."""


class ExampleForm(forms.Form):
    """The address of a new task: which example it begins with."""

    example = forms.ChoiceField(required=False, choices=[each for each in EXAMPLES if each[0]])


@dataclass
class Checked:
    """What a document was found to be; `document` only when nothing is wrong with it."""

    document: TaskDocument | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()
    estimate: Estimate | None = None


def check(text: str, data: dict[str, Any]) -> Checked:
    """Everything that is wrong with a document, or what it will cost; `data` is what its text says."""
    try:
        accepted = read_document(text, count_to=count_to(data))
    except DocumentError as error:
        return Checked(problems=error.problems, estimate=estimate_of_draft(data))
    except ValueError as error:
        return Checked(problems=(Problem("search_space", str(error)),))
    cost = estimate(accepted.document, accepted.configurations)
    return Checked(accepted.document, notes=accepted.notes, estimate=cost)


def sheet_posted(posted: Mapping[str, str]) -> Sheet:
    """What a page was sent with; without `base` the document in `yaml` is what the form showed."""
    text = posted.get(YAML, "").replace("\r\n", "\n")
    base = posted.get("base", text).replace("\r\n", "\n")
    texts = {each.name: posted.get(each.name, "") for each in FIELDS}
    return Sheet(texts, rows_posted(posted), text, base)


def uploaded(file: UploadedFile) -> str:
    """The text of a file; DocumentError when it is none, or too large."""
    if (file.size or 0) > MAX_BYTES:
        raise DocumentError([Problem("", f"the file has {file.size} bytes; at most {MAX_BYTES} are read")])
    try:
        return bytes(file.read()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError([Problem("", "the file is not UTF-8 text")]) from error


class DocumentForm(forms.Form):
    """Shows a sheet, with what is wrong with it at its fields.

    `row_errors` are those of rows by number, `other_errors` those that have no field, `yaml_errors` those of the text.
    """

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(dict(sheet.texts), auto_id="f-%s", label_suffix="")
        self.sheet = sheet
        self.fields = {each.name: _form_field(each, sheet.texts.get(each.name, "")) for each in FIELDS}
        self.row_errors: dict[int, list[str]] = {}
        self.other_errors: list[str] = []
        self.yaml_errors: list[str] = []

    @property
    def is_faulty(self) -> bool:
        """Whether anything is wrong that has been told."""
        return bool(self.errors or self.row_errors or self.other_errors or self.yaml_errors)

    def tell(self, problems: Sequence[Problem], found: Merged | None = None) -> None:
        """Put each problem at its field; a field that cannot be read says only that."""
        faults, row_faults = (found.faults, found.row_faults) if found else ({}, {})
        for name, message in faults.items():
            self.add_error(name, message)
        self.row_errors = {at: [message] for at, message in row_faults.items()}
        for problem in problems:
            self._tell(problem, faults, row_faults)

    def _tell(self, problem: Problem, faults: Mapping[str, str], row_faults: Mapping[int, str]) -> None:
        name, number = self.place(problem.path)
        if number is not None and number not in row_faults:
            message = f"{_below(problem.path)}{problem.message}"
            self.row_errors.setdefault(number, []).append(message)
        elif name is not None and name not in faults:
            self.add_error(name, problem.message)
        elif number is None and name is None:
            self.other_errors.append(str(problem))

    def place(self, path: str) -> tuple[str | None, int | None]:
        """The field, or the number of the row, that shows what lies at the dotted `path`."""
        for group in ("parameters", "fixed"):
            if path.startswith(f"search_space.{group}."):
                number = self.sheet.rows.number_of(group, path.removeprefix(f"search_space.{group}."))
                return None, number
        path = _NEEDED.get(path, path)
        while path and path not in self.fields:
            path = _INNER.sub("", path) if _INNER.search(path) else ""
        return path or None, None

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The sections with their fields."""
        return [
            {
                "key": group.key,
                "title": group.title,
                "fields": [self._shown(each) for each in group.fields],
                "more": [self._shown(each) for each in group.more],
                "is_open": any(self.errors.get(each.name) for each in group.more),
            }
            for group in GROUPS
        ]

    def _shown(self, each: DocumentField) -> dict[str, Any]:
        modes = " ".join(each.modes) if len(each.modes) < 3 else ""
        return {"bound": self[each.name], "kind": each.kind, "modes": modes}

    @property
    def rows(self) -> list[tuple[int, Row, list[str]]]:
        """The rows by number, with their errors."""
        return [(at, row, self.row_errors.get(at, [])) for at, row in self.sheet.rows.rows.items()]

    @property
    def has_hidden_rows(self) -> bool:
        """Whether the document has more parameters than are shown."""
        try:
            return has_too_many(plain(self.sheet.base))
        except DocumentError:
            return False

    @property
    def summary(self) -> list[tuple[str, str]]:
        """Everything that is wrong: the id of what to go to, and a sentence."""
        fields = [
            (f"f-{name}", f"{self.fields[name].label}: {message}")
            for name, messages in self.errors.items()
            for message in messages
        ]
        rows = [
            (f"rows-{at}-name", f"{self.sheet.rows.rows[at].name or 'a parameter'}: {message}")
            for at, messages in self.row_errors.items()
            for message in messages
        ]
        others = [(YAML, message) for message in (*self.yaml_errors, *self.other_errors)]
        return [*fields, *rows, *others]


def _below(path: str) -> str:
    """Which part of a parameter it is about."""
    match = re.search(r"\.(min|max|step|log|when(?:\..+)?|type|values)$", path)
    return f"{match[1]}: " if match else ""


def _form_field(each: DocumentField, text: str) -> forms.Field:
    attributes = {"placeholder": each.placeholder} if each.placeholder else {}
    common: dict[str, Any] = {"required": False, "label": each.label, "help_text": each.help}
    if each.kind == "switch":
        return forms.BooleanField(widget=forms.CheckboxInput, **common)
    if each.kind == "choice":
        values = each.choices if text in each.choices else (*each.choices, text)
        return forms.CharField(strip=False, widget=forms.Select(choices=[(value, value) for value in values]), **common)
    widget: forms.Widget = forms.TextInput({**attributes, "autocomplete": "off"})
    if each.kind in ("prose", "lines", "variables"):
        rows = {"prose": 2, "lines": 3, "variables": 3}[each.kind]
        style = {} if each.kind == "prose" else {"class": "code", "spellcheck": "false"}
        widget = forms.Textarea({**attributes, "rows": rows, **style})
    elif each.kind in ("list", "mapping"):
        widget = forms.TextInput({**attributes, "class": "code", "autocomplete": "off", "spellcheck": "false"})
    elif each.kind == "number":
        widget = forms.TextInput({**attributes, "inputmode": "decimal", "autocomplete": "off"})
    return forms.CharField(strip=False, widget=widget, **common)


def suggestions() -> dict[str, list[tuple[str, str]]]:
    """The commonly tuned flags of each engine, with what they do."""
    return {
        name.value: [(flag.name, _hint(flag.help, flag.choices)) for flag in engine_for(name).table.flags if flag.tuned]
        for name in EngineName
    }


def _hint(help_text: str, choices: Sequence[str]) -> str:
    return f"{help_text} ({', '.join(choices[:6])}{' ...' if len(choices) > 6 else ''})" if choices else help_text


@dataclass
class Page:
    """A posted or fresh form after it was read, merged and checked."""

    form: DocumentForm
    checked: Checked = field(default_factory=Checked)
    merged: Merged | None = None


def fresh(text: str) -> Page:
    """The form of a document that nobody has touched: nothing is told to be wrong with it."""
    sheet = sheet_of(text)
    return Page(DocumentForm(sheet), replace(check(text, plain(text)), problems=(), notes=()))


def from_text(text: str, shown: Sheet) -> Page:
    """The form filled from a text alone; from `shown`, with what is wrong, where the text cannot be read."""
    try:
        return _checked(sheet_of(text))
    except DocumentError as error:
        return unreadable(replace(shown, yaml=text), error)


def from_form(sheet: Sheet) -> Page:
    """The form and its document brought together and checked; a text that cannot be read stays as it was typed."""
    try:
        found = merged(sheet)
    except DocumentError as error:
        return unreadable(sheet, error)
    if not found.by_form and not (found.faults or found.row_faults) and sheet.yaml != sheet.base:
        return _checked(sheet_of(sheet.yaml))
    return _told(Sheet(*_shown(sheet, found), found.text, found.text), found, sheet)


def _shown(sheet: Sheet, found: Merged) -> tuple[Mapping[str, str], Rows]:
    """The fields as they were typed where they cannot be read, and as the document has them elsewhere."""
    texts = texts_of(found.data)
    kept = {each.name: sheet.texts[each.name] for each in FIELDS if each.name in found.faults or _waits(each, sheet)}
    return {**texts, **kept}, sheet.rows if sheet.yaml == sheet.base or found.row_faults else rows_of(found.data)


def _waits(each: DocumentField, sheet: Sheet) -> bool:
    """Whether a field belongs to another deployment than the chosen one, so that the document does not have it."""
    mode = sheet.texts.get("deployment.mode") or "local"
    return each.path[0] == "deployment" and mode not in each.modes


def _checked(sheet: Sheet) -> Page:
    data = plain(sheet.yaml)
    return _told(sheet, Merged(sheet.yaml, data, by_form=False), sheet)


def _told(shown: Sheet, found: Merged, sheet: Sheet) -> Page:
    base = sheet.base if found.faults or found.row_faults else shown.base
    form = DocumentForm(replace(shown, base=base))
    checked = check(found.text, found.data)
    form.tell(checked.problems, found)
    if form.is_faulty:
        checked = replace(checked, document=None)
    return Page(form, checked, found)


def unreadable(sheet: Sheet, error: DocumentError) -> Page:
    """The form as it was, and why the text beside it cannot be read."""
    form = DocumentForm(sheet)
    form.yaml_errors = [str(problem) for problem in error.problems]
    return Page(form, Checked(problems=error.problems))
