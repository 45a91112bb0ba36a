"""Install the load generator genai-bench into an environment of its own."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tuning.benchmarks.genai_install import install
from tuning.errors import BenchmarkError


class Command(BaseCommand):
    """`manage.py install_genai_bench`: prints the path of the executable; does nothing where it is there already."""

    help = "Install the load generator genai-bench 0.0.5 into a virtual environment below the cache folder."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            executable = install(self.stderr.write)
        except BenchmarkError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(str(executable))
