"""Show all tasks."""

from argparse import ArgumentParser
from typing import Any

from tuning.management.base import TunerCommand
from tuning.management.console import console
from tuning.management.overview import as_json, task_table
from tuning.models import Task
from tuning.overview.tasks import task_lines
from tuning.runner.report import dumps


class Command(TunerCommand):
    """`manage.py list_tasks [--status S] [--json]`: the newest first."""

    help = "Show all tasks: how far they are, and the best value so far."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--status", choices=Task.Status.values)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, status: str | None, **options: Any) -> None:
        lines = task_lines(Task.objects.filter(status=status) if status else Task.objects.all())
        if options["json"]:
            self.stdout.write(dumps({"tasks": [as_json(line) for line in lines]}))
        elif lines:
            console().print(task_table(lines))
        else:
            self.stdout.write("There are no tasks." if status is None else f"No task is {status}.")
