"""Do something with a task."""

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from tuning.management.base import TunerCommand, find_task
from tuning.management.documents import accept
from tuning.models import Task
from tuning.queue import wake, who_runs_it
from tuning.runner import lifecycle
from tuning.runner.maintenance import contents_of


@dataclass(frozen=True)
class Request:
    """What was asked for: `file` with `edit`, `yes` where nobody is to be asked."""

    task: Task
    file: Path | None
    yes: bool


def start(request: Request) -> str:
    """See `lifecycle.start`."""
    lifecycle.start(request.task, wake)
    return f"{request.task} is started. {who_runs_it()}"


def pause(request: Request) -> str:
    """See `lifecycle.pause`."""
    lifecycle.pause(request.task)
    return f"{request.task} is paused: what runs is finished, nothing more begins."


def resume(request: Request) -> str:
    """See `lifecycle.resume`."""
    lifecycle.resume(request.task, wake)
    return f"{request.task} goes on. {who_runs_it()}"


def cancel(request: Request) -> str:
    """See `lifecycle.cancel`."""
    lifecycle.cancel(request.task)
    return f"{request.task} is cancelled: what runs is ended within seconds; `task resume` goes on where it stopped."


def retry(request: Request) -> str:
    """See `lifecycle.retry`."""
    count = lifecycle.retry(request.task, wake)
    return f"{count} failed experiment{'s' if count != 1 else ''} of {request.task} will run again. {who_runs_it()}"


def restart(request: Request) -> str:
    """See `lifecycle.restart`."""
    again = lifecycle.restart(request.task, wake)
    return f"{again} is started as task {again.pk}; the results so far are kept. {who_runs_it()}"


def edit(request: Request) -> str:
    """See `lifecycle.edit`."""
    if request.file is None:
        raise CommandError("`task edit` needs the file with the new document.")
    edited = lifecycle.edit(request.task, accept(request.file).document)
    if edited.pk == request.task.pk:
        return f"{edited} has the new document; `task start {edited.pk}` starts it."
    return f"{edited} is made as task {edited.pk}, for {request.task} has results; `task start {edited.pk}` starts it."


def duplicate(request: Request) -> str:
    """See `lifecycle.duplicate`."""
    copy = lifecycle.duplicate(request.task)
    return f"{copy} is made as task {copy.pk}; `task start {copy.pk}` starts it."


def delete(request: Request) -> str:
    """See `lifecycle.delete`; asks first."""
    lost = f"{request.task} with {contents_of(request.task)}"
    lifecycle.DELETE.check(request.task)
    if not request.yes and not _agreed(lost):
        return "Nothing is deleted."
    lifecycle.delete(request.task)
    return f"Deleted: {lost}."


ACTIONS: dict[str, Callable[[Request], str]] = {
    action.__name__: action for action in (start, pause, resume, cancel, retry, restart, edit, duplicate, delete)
}


class Command(TunerCommand):
    """`manage.py task ACTION NAME|ID [FILE]`: exit 0 when it was done, 1 with a sentence when it does not apply now."""

    help = "Start, pause, resume, cancel, retry, restart, edit, duplicate or delete a task."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=ACTIONS)
        parser.add_argument("task", metavar="NAME|ID", help="a name means its latest run")
        parser.add_argument("file", type=Path, nargs="?", help="the new document, with `edit`")
        parser.add_argument("--yes", action="store_true", help="delete without asking")

    def handle(self, *args: Any, action: str, task: str, file: Path | None, yes: bool, **options: Any) -> None:
        if file is not None and action != "edit":
            raise CommandError(f"`task {action}` takes no file.")
        self.stdout.write(ACTIONS[action](Request(find_task(task), file, yes)))


def _agreed(lost: str) -> bool:
    try:
        return input(f"{lost} will be deleted for ever. Type yes to go on: ").strip().lower() == "yes"
    except EOFError as error:
        raise CommandError("Nobody is there to be asked; --yes deletes without asking.") from error
