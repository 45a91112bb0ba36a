"""Check a task document and do nothing else."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from tuning.management.documents import accept


class Command(BaseCommand):
    """`manage.py validate_task FILE`: exit 0 when it can be run, 2 with every problem otherwise."""

    help = "Check a task document: every problem at once, with field and line. Nothing is written."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        accepted = accept(file)
        points = len(accepted.document.workload.load_points)
        found = accepted.configurations
        configurations = "more configurations than can be counted" if found is None else f"{found:,} configurations"
        self.stdout.write(f"{file}: valid; {configurations}, each at {points} load point{'s' if points != 1 else ''}")
