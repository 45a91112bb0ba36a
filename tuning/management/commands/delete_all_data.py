"""Empty this installation."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from huey.contrib.djhuey import HUEY

from tuning.errors import ConflictError
from tuning.management.base import TunerCommand
from tuning.queue import QUEUE_ERRORS
from tuning.runner.instance import instance_id
from tuning.runner.maintenance import contents, delete_all


class Command(TunerCommand):
    """`manage.py delete_all_data [--yes NAME] [--force]`: NAME is that of the instance, which is asked for without it.

    Exit 1 when it is another one, or while a worker holds an experiment or a command runs a task; nothing is deleted
    then.
    """

    help = "Delete all tasks, results, logs and messages of this installation; users and keys stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", metavar="NAME", help="the name of the instance, for scripts that cannot be asked")
        parser.add_argument("--force", action="store_true", help="also while a worker or `run_task` works")

    def handle(self, *args: Any, yes: str | None, force: bool, **options: Any) -> None:
        found = contents()
        lost = f"{found.tasks:,} task{'' if found.tasks == 1 else 's'} with {found}"
        name = _asked(lost) if yes is None else yes
        if name != instance_id():
            raise CommandError(f"{name!r} is not the name of this instance; nothing is deleted.")
        delete_all(_flush, force=force)
        self.stdout.write(f"Deleted: {lost}. Users and the secret key are kept.")
        if force:
            self.stdout.write("`manage.py reconcile` removes engines that still run.")


def _asked(lost: str) -> str:
    try:
        return input(f"{lost} will be deleted for ever. Type the name of this instance, {instance_id()}: ").strip()
    except EOFError as error:
        raise CommandError("Nobody is there to be asked; --yes NAME deletes without asking.") from error


def _flush() -> None:
    try:
        HUEY.flush()
    except QUEUE_ERRORS as error:
        raise ConflictError(
            f"All rows are deleted, but the queue does not answer ({error}); its messages do no harm. Run it again."
        ) from error
