"""Put right what a process that ended too early left behind."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from tuning.management.base import TunerCommand
from tuning.models import Task
from tuning.queue import wake
from tuning.runner.reconcile import reconcile


class Command(TunerCommand):
    """`manage.py reconcile [--dry-run]`: exit 1 when something could not be removed."""

    help = (
        "Take lost experiments back, remove engines that are nobody's, free their slots; the worker does so by itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        actions = reconcile(dry_run=dry_run)
        for action in actions:
            self.stdout.write(str(action))
        if not actions:
            self.stdout.write("nothing to do")
        if not dry_run:
            _wake_running()
        if any(action.failed for action in actions):
            raise CommandError("Not everything could be removed; see above.")


def _wake_running() -> None:
    for pk in Task.objects.filter(status=Task.Status.RUNNING, worker=None).values_list("pk", flat=True):
        wake(pk)
