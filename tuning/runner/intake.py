"""From the text of a task document to a task: everything is checked before anything is written."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max

from tuning.deployers.registry import mode_problems
from tuning.document.loading import load
from tuning.document.report import Note
from tuning.document.space import Choices
from tuning.document.task import TaskDocument
from tuning.engines.registry import engine_for
from tuning.engines.shell import is_secret
from tuning.errors import DocumentError, Problem
from tuning.models import Task
from tuning.runner.planner import search_space
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


def read_document(text: str | bytes) -> Accepted:
    """Check a document by its schema, by its engine's rules and by this machine; DocumentError has all problems.

    Reads files that the document names; writes nothing.
    """
    loaded = load(text)
    document = loaded.document
    problems = [*_engine_problems(document), *mode_problems(document.deployment.mode), *_file_problems(document)]
    if problems:
        raise DocumentError(problems)
    return Accepted(document, loaded.notes, count(search_space(document)))


def submit(document: TaskDocument, *, again: bool = False) -> Task:
    """The task of this document: the unfinished one to go on with, else the latest, else a new one.

    A document that has changed is a new run of its name, with none of the old results. `again` makes a new run of a
    task that has ended.
    """
    kept = document.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        latest = Task.objects.filter(name=document.name, document_digest=digest).order_by("-run").first()
        if latest and not (again and latest.is_finished):
            return latest
        runs = Task.objects.filter(name=document.name).aggregate(last=Max("run"))["last"] or 0
        return Task.objects.create(name=document.name, run=runs + 1, document=kept, document_digest=digest)


def _engine_problems(document: TaskDocument) -> Iterator[Problem]:
    """What the engine refuses whatever else a configuration holds: unknown flags, wrong values, owned flags."""
    engine = engine_for(document.engine.name)
    unknown = document.engine.allow_unknown_flags
    for name, value in document.search_space.fixed.items():
        for _, sentence in engine.problems({name: value}, allow_unknown_flags=unknown):
            yield Problem(f"search_space.fixed.{name}", sentence, value)
    for name, parameter in document.search_space.parameters.items():
        path = f"search_space.parameters.{name}"
        values = parameter.values if isinstance(parameter, Choices) else (parameter.min, parameter.max)
        for index, value in enumerate(values):
            where = f"{path}[{index}]" if isinstance(parameter, Choices) else path
            for _, sentence in engine.problems({name: value}, allow_unknown_flags=unknown):
                yield Problem(where, sentence, value)
    for name in document.engine.environment:
        if is_secret(name):
            yield Problem(
                f"engine.environment.{name}",
                "a secret does not belong in a document; set it in the environment of the tuner, which passes it on",
            )


def _file_problems(document: TaskDocument) -> Iterator[Problem]:
    dataset = document.workload.dataset
    if dataset and not dataset.path.is_file():
        yield Problem("workload.dataset.path", "there is no such file; give the path of the prompts", str(dataset.path))
