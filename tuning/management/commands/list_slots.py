"""Show where experiments run."""

from typing import Any

from tuning.management.base import TunerCommand
from tuning.management.console import console
from tuning.management.overview import notes, slot_table, worker_line
from tuning.runner.maintenance import living


class Command(TunerCommand):
    """`manage.py list_slots`: GPUs or slots of all machines, and the living workers."""

    help = "Show the slots (GPUs) of all machines, who has them, and the living workers."

    def handle(self, *args: Any, **options: Any) -> None:
        table = slot_table()
        if table.row_count:
            console().print(table)
        else:
            self.stdout.write("No slot is known yet; the first worker that starts writes them down.")
        for note in notes():
            self.stdout.write(note)
        for line in [worker_line(worker) for worker in living()] or ["No worker is running."]:
            self.stdout.write(line)
