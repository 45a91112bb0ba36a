"""Give a task to the worker."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from tuning.management.base import TunerCommand
from tuning.management.documents import accept
from tuning.queue import wake, who_runs_it
from tuning.runner import lifecycle
from tuning.runner.intake import create


class Command(TunerCommand):
    """`manage.py submit_task FILE [--no-start]`: exit 0, or 2 for a bad document, of which nothing is kept."""

    help = "Make a task of a document and have the worker run it; a name that exists gets a further run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--no-start", action="store_true", help="only make it; `task start` starts it")

    def handle(self, *args: Any, file: Path, no_start: bool, **options: Any) -> None:
        task = create(accept(file).document)
        if no_start:
            self.stdout.write(f"Task {task.pk}: {task}, not started; `manage.py task start {task.pk}` starts it.")
            return
        lifecycle.start(task, wake)
        self.stdout.write(f"Task {task.pk}: {task}, started. {who_runs_it()}")
