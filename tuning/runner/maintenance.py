"""What operators do with a whole installation: look who works, count, copy, empty."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from tuning.errors import ConflictError
from tuning.models import Experiment, LogLine, MeasurementRow, Slot, Task, Worker
from tuning.runner import lifecycle
from tuning.runner.experiment import task_folder
from tuning.runner.reconcile import dead


@dataclass(frozen=True)
class Contents:
    """How much there is: rows, and files of raw results."""

    tasks: int
    experiments: int
    log_lines: int
    files: int

    def __str__(self) -> str:
        counted = ((self.experiments, "experiment"), (self.log_lines, "log line"), (self.files, "file"))
        return ", ".join(f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in counted)


def contents_of(task: Task) -> Contents:
    """What is lost when a task is deleted."""
    return Contents(1, task.experiments.count(), task.log_lines.count(), _files(task_folder(task.pk)))


def contents() -> Contents:
    """What is lost when everything is deleted."""
    rows = (Task.objects.count(), Experiment.objects.count(), LogLine.objects.count())
    return Contents(*rows, _files(_results()))


def living(*kinds: Worker.Kind) -> list[Worker]:
    """The processes of these kinds, or of any, that run experiments or could."""
    wanted = list(Worker.objects.filter(kind__in=kinds or list(Worker.Kind)))
    gone = dead(wanted)
    return [worker for worker in wanted if worker.pk not in gone]


def reset_all(*, force: bool = False) -> list[Task]:
    """Make all tasks as if they had never run; refused as a whole while a worker holds an experiment, unless forced."""
    if not force:
        _refuse_while_held("The tasks cannot be reset")
    tasks = list(Task.objects.order_by("pk"))
    for task in tasks:
        lifecycle.reset(task, force=force)
    return tasks


def backup(path: Path) -> None:
    """Copy the database into a new file that only its owner can read, while everything goes on.

    The copy is the database at one moment. ConflictError when the file exists or cannot be made, when the database is
    not SQLite, or when the copy does not stand SQLite's own check; nothing is left of it then.
    """
    if connection.vendor != "sqlite":
        raise ConflictError("The database is not a SQLite file; use pg_dump, which copies a PostgreSQL database.")
    try:
        path.touch(0o600, exist_ok=False)
    except OSError as error:
        raise ConflictError(f"{path} cannot be made: {error.strerror}; give the name of a new file.") from error
    try:
        _copy(path)
    except BaseException:
        path.unlink()
        raise


def delete_all(flush: Callable[[], None], *, force: bool = False) -> None:
    """Remove every task with all that belongs to it, the slots, the messages (by `flush`) and the files.

    Users and keys stay, and so do the slots of machines on which a worker lives, for it registers them only once.
    ConflictError while a worker holds an experiment or a command runs a task in the foreground, unless forced: what is
    forced out writes nothing more, and its engines are removed by the next `reconcile`.
    """
    with transaction.atomic():
        if not force:
            _refuse_while_held("The data cannot be deleted")
            _refuse_while_foreground()
        Slot.objects.exclude(node__in=[worker.node for worker in living()]).delete()
        for model in (LogLine, MeasurementRow, Experiment, Task):
            model.objects.all().delete()
    shutil.rmtree(_results(), ignore_errors=True)
    flush()


def _refuse_while_held(what: str) -> None:
    if experiment := lifecycle.held().select_related("task").first():
        raise ConflictError(
            f"{what}: {experiment} of task {experiment.task} is {experiment.status}. Cancel it first, or use --force."
        )


def _refuse_while_foreground() -> None:
    if workers := living(Worker.Kind.FOREGROUND):
        raise ConflictError(f"The data cannot be deleted: {workers[0]} runs a task. Stop it first, or use --force.")


def _copy(path: Path) -> None:
    connection.ensure_connection()
    try:
        with closing(sqlite3.connect(path)) as copy:
            connection.connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without companions that a copy of it could lack
            found = [text for (text,) in copy.execute("PRAGMA integrity_check")]
    except (sqlite3.Error, OSError) as error:
        raise ConflictError(f"{path} could not be written: {error}.") from error
    if found != ["ok"]:
        raise ConflictError(f"The copy is damaged, and so may be the database: {found[0]}.")


def _results() -> Path:
    return Path(settings.DATA_DIR) / "results"


def _files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file())
