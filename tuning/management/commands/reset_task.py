"""Make a task as if it had never run."""

from argparse import ArgumentParser
from typing import Any

from tuning.management.base import TunerCommand, find_task
from tuning.runner import lifecycle


class Command(TunerCommand):
    """`manage.py reset_task NAME|ID [--force]`: exit 1 while a worker holds one of its experiments."""

    help = "Delete all results of a task and make it pending again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", metavar="NAME|ID", help="a name means its latest run")
        parser.add_argument("--force", action="store_true", help="take its experiments from a worker that runs them")

    def handle(self, *args: Any, task: str, force: bool, **options: Any) -> None:
        found = find_task(task)
        lifecycle.reset(found, force=force)
        self.stdout.write(f"{found} is as if it had never run; `manage.py task start {found.pk}` starts it.")
