"""Make all tasks as if they had never run."""

from argparse import ArgumentParser
from typing import Any

from tuning.management.base import TunerCommand
from tuning.runner.maintenance import reset_all


class Command(TunerCommand):
    """`manage.py reset_tasks --all [--force]`: exit 1 while a worker holds any experiment; nothing is reset then."""

    help = "Delete all results of all tasks and make them pending again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", required=True, help="yes, all tasks")
        parser.add_argument("--force", action="store_true", help="take experiments from workers that run them")

    def handle(self, *args: Any, force: bool, **options: Any) -> None:
        tasks = reset_all(force=force)
        for task in tasks:
            self.stdout.write(f"{task} is as if it had never run.")
        if not tasks:
            self.stdout.write("There are no tasks.")
