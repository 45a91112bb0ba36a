"""Write what is known of a task to stdout."""

from argparse import ArgumentParser
from typing import Any

from tuning.document.dumping import dump
from tuning.management.base import TunerCommand, find_task
from tuning.management.console import results_svg
from tuning.runner.export import as_markdown
from tuning.runner.report import as_json, dumps
from tuning.runner.results import TaskResults


class Command(TunerCommand):
    """`manage.py export_task NAME|ID [--format markdown|json|svg|document]`."""

    help = "Print a task's results as Markdown, JSON or a picture (SVG), or its document as YAML."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("task", metavar="NAME|ID", help="a name means its latest run")
        parser.add_argument("--format", choices=("markdown", "json", "svg", "document"), default="markdown")

    def handle(self, *args: Any, task: str, format: str, **options: Any) -> None:  # noqa: A002 - the option's name
        results = TaskResults.of(find_task(task))
        match format:
            case "json":
                self.stdout.write(dumps(as_json(results)))
            case "svg":
                self.stdout.write(results_svg(results))
            case "document":
                self.stdout.write(dump(results.document), ending="")
            case _:
                self.stdout.write(as_markdown(results), ending="")
