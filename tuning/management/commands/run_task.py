"""Run a task in the foreground, from its document to the best configuration."""

import signal
import sys
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from tuning.management.base import TunerCommand
from tuning.management.console import ProgressLine, print_results
from tuning.management.documents import accept
from tuning.models import Task
from tuning.runner.foreground import TaskRun
from tuning.runner.intake import submit
from tuning.runner.report import as_json, dumps
from tuning.runner.results import TaskResults

NOTHING_FEASIBLE = 1
INTERRUPTED = 130


class Command(TunerCommand):
    """`manage.py run_task FILE`.

    Exit 0 with a feasible best configuration, 1 without, 2 for a bad document, 130 when interrupted. Running the same
    document again goes on where it stopped.
    """

    help = "Run a task document to its end and print the best configuration. Ctrl-C stops it; run it again to go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
        parser.add_argument("--log", action="store_true", help="show the log of engine, benchmark and runner on stderr")
        parser.add_argument(
            "--again", action="store_true", help="start anew if this document was run to its end before"
        )

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        accepted = accept(file)
        task = submit(accepted.document, again=options["again"])
        if not task.is_finished:
            self._run(task, log=options["log"])
        results = TaskResults.of(task)
        if options["json"]:
            self.stdout.write(dumps(as_json(results)))
        else:
            print_results(results)
        sys.exit(_exit_code(results))

    def _run(self, task: Task, *, log: bool) -> None:
        cancel = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: cancel.set())
        with ProgressLine() as line:
            try:
                TaskRun(task, cancel=cancel, progress=line.show, mirror=line.log if log else None).run()
            except Task.DoesNotExist as error:
                raise CommandError(f"Task {task} was deleted while it ran.") from error


def _exit_code(results: TaskResults) -> int:
    if results.task.status == Task.Status.CANCELLED:
        return INTERRUPTED
    return 0 if results.best else NOTHING_FEASIBLE
