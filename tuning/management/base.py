"""What every command of ours does first and last: see that the database fits, and say refusals in a sentence."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tuning.errors import AutotunerError
from tuning.models import Task


class TunerCommand(BaseCommand):
    """A command on the database of this installation; AutotunerError is a sentence and exit code 1."""

    any_schema = False
    """Whether it also works on the database of an older or newer version."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command, after a look at the schema."""
        try:
            if not self.any_schema:
                check_schema()
            return super().execute(*args, **options)
        except AutotunerError as error:
            raise CommandError(str(error)) from error


def check_schema() -> None:
    """CommandError when the database has migrations that this program does not know, or lacks some that it has."""
    executor = MigrationExecutor(connection)
    applied, known = set(executor.loader.applied_migrations), set(executor.loader.disk_migrations)
    newer = sorted(name for app, name in applied - known if app == "tuning")
    if newer:
        raise CommandError(f"The database was made by a newer version (it has {newer[-1]}); update this program.")
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database is not up to date; run `manage.py migrate` first.")


def find_task(name_or_id: str) -> Task:
    """The task with this id, or the latest run of this name; CommandError when there is none."""
    found = Task.objects.filter(pk=int(name_or_id)).first() if name_or_id.isdecimal() else None
    found = found or Task.objects.filter(name=name_or_id).order_by("-run").first()
    if found is None:
        raise CommandError(f"There is no task {name_or_id}; `manage.py list_tasks` shows what there is.")
    return found
