"""Copy the database while everything goes on."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from tuning.management.base import TunerCommand
from tuning.runner.maintenance import backup


class Command(TunerCommand):
    """`manage.py backup_db FILE`: exit 1 when the file exists, cannot be written, or the copy is not sound."""

    help = "Copy the database into a new file, safely while everything runs, and check the copy."
    any_schema = True  # before an upgrade, or after one that went wrong, is when it is needed

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        backup(file)
        self.stdout.write(f"{file}: a consistent copy of the database, {file.stat().st_size:,} bytes.")
