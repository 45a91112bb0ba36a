"""From the text of a task document to a task: everything is checked before anything is written."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from pydantic import JsonValue

from tuning.deployers.registry import mode_problems
from tuning.document.base import FieldPath
from tuning.document.loading import load
from tuning.document.messages import shown
from tuning.document.report import Note
from tuning.document.space import Choices, SearchSpace
from tuning.document.task import TaskDocument
from tuning.document.validation import Fault
from tuning.engines.registry import engine_for
from tuning.engines.shell import is_secret
from tuning.errors import ConflictError, DocumentError
from tuning.models import Task
from tuning.runner.planner import COUNTED, search_space
from tuning.search import count


@dataclass(frozen=True)
class Accepted:
    """A document that can be run, and what was translated in it.

    `configurations` is how many its search space holds, without those that the engine or a constraint rules out; None
    when they are too many to count.
    """

    document: TaskDocument
    notes: tuple[Note, ...]
    configurations: int | None


def read_document(text: str | bytes, *, count_to: int = COUNTED) -> Accepted:
    """Check a document by its schema, by its engine's rules and by this machine; DocumentError has all problems.

    More than `count_to` configurations are not counted. Reads files that the document names; writes nothing.
    """
    loaded = load(text)
    document = loaded.document
    faults = [*_engine_faults(document), *_secrets(document), *_deployment_faults(document), *_missing_files(document)]
    if faults:
        problems = [loaded.problem(fault) for fault in faults]
        raise DocumentError(sorted(problems, key=lambda problem: problem.line or 0))
    return Accepted(document, loaded.notes, count(search_space(document), count_to, patience=count_to))


def submit(document: TaskDocument, *, again: bool = False) -> Task:
    """The task of this document: the unfinished one to go on with, else the latest, else a new one.

    A document that has changed is a new run of its name, with none of the old results. `again` makes a new run of a
    task that has ended.
    """
    with transaction.atomic():
        digest = columns_of(document)["document_digest"]
        latest = Task.objects.filter(name=document.name, document_digest=digest).order_by("-run").first()
        if latest and not (again and latest.is_finished):
            return latest
        return create(document)


def create(document: TaskDocument) -> Task:
    """A new task of this document, the next run of its name; ConflictError when somebody makes the same one now."""
    try:
        with transaction.atomic():
            return Task.objects.create(**columns_of(document), run=next_run(document.name))
    except IntegrityError as error:
        raise ConflictError(f"Another run of {document.name} is being made right now; try again.") from error


def columns_of(document: TaskDocument) -> dict[str, Any]:
    """What a row keeps of its document."""
    kept = document.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    return {"name": document.name, "document": kept, "document_digest": digest}


def next_run(name: str) -> int:
    """The number of the next run of this name."""
    return int(Task.objects.filter(name=name).aggregate(last=Max("run"))["last"] or 0) + 1


def _engine_faults(document: TaskDocument) -> Iterator[Fault]:
    """What the engine refuses whatever else a configuration holds: unknown flags, wrong values, owned flags."""
    engine = engine_for(document.engine.name)
    for path, name, value in _values(document.search_space):
        for _, sentence in engine.problems({name: value}, allow_unknown_flags=document.engine.allow_unknown_flags):
            where = ("search_space", *path)
            yield Fault(where, f"{sentence}; it is {shown(value, where)}", value)


def _values(space: SearchSpace) -> Iterator[tuple[FieldPath, str, JsonValue]]:
    """Every value that the space names, with its path and parameter; of a range both ends."""
    for name, value in space.fixed.items():
        yield ("fixed", name), name, value
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Choices):
            for index, value in enumerate(parameter.values):
                yield ("parameters", name, index), name, value
        else:
            yield ("parameters", name), name, parameter.min
            yield ("parameters", name), name, parameter.max


def _secrets(document: TaskDocument) -> Iterator[Fault]:
    message = "a secret does not belong in a document; set it in the environment of the tuner, which passes it on"
    for name in document.engine.environment:
        if is_secret(name):
            yield Fault(("engine", "environment", name), message)
    for path, name, _ in _values(document.search_space):
        if name.startswith("env:") and is_secret(name):
            yield Fault(("search_space", *path), message)


def _deployment_faults(document: TaskDocument) -> Iterator[Fault]:
    for problem in mode_problems(document.deployment.mode):
        yield Fault(tuple(problem.path.split(".")), problem.message, document.deployment.mode)


def _missing_files(document: TaskDocument) -> Iterator[Fault]:
    dataset = document.workload.dataset
    if dataset and not dataset.path.is_file():
        message = "there is no such file; give the path of the prompts"
        yield Fault(("workload", "dataset", "path"), message, str(dataset.path))
