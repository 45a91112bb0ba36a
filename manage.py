#!/usr/bin/env python
"""Django's command line."""

import os
import sqlite3
import sys


def main() -> None:
    """Run one management command; exit code 2 and a sentence when settings or database do not let it start."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotuner_site.settings")
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 - settings must be named first
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from django.db import OperationalError, ProgrammingError  # noqa: PLC0415

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, OperationalError, ProgrammingError, sqlite3.OperationalError) as error:
        if "--traceback" in sys.argv:
            raise
        # Huey passes on what SQLite says of the queue's file as it is; Django does not.
        kinds = {ImproperlyConfigured: "", sqlite3.OperationalError: "Queue: "}
        kind = kinds.get(type(error), "Database: ")
        sys.stderr.write(f"{kind}{' '.join(str(error).split())}{_advice(str(error))}\n")
        sys.exit(2)


def _advice(message: str) -> str:
    missing = "no such table" in message or ("relation" in message and "does not exist" in message)
    return "; `manage.py migrate` makes the tables" if missing else ""


if __name__ == "__main__":
    main()
