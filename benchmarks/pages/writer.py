"""A worker that writes log lines: `python -m benchmarks.pages.writer LINES_PER_S SECONDS` on a data folder.

The lines are those of the experiment that is under way, go through the runner's LogBuffer, and count from 1. Prints how
many there were once the buffer has written them all.
"""

import benchmarks.pages.installed  # noqa: F401  # isort: skip  -- before the models

import sys
import time

from tuning.models import Experiment, LogLine
from tuning.runner.logs import LogBuffer

BEAT_S = 0.01


def main() -> None:
    """See above."""
    lines_per_s, seconds = int(sys.argv[1]), float(sys.argv[2])
    experiment = Experiment.objects.filter(status__in=Experiment.ACTIVE).select_related("task").latest("pk")
    written = 0
    with LogBuffer(experiment.task) as buffer:
        write = buffer.sink(LogLine.Source.ENGINE, experiment)
        begin = time.monotonic()
        while (passed := time.monotonic() - begin) < seconds:
            while written < passed * lines_per_s:
                written += 1
                write(
                    "info", f"INFO [loggers.py:127] written line {written}: avg generation throughput 1873.4 tokens/s"
                )
            time.sleep(BEAT_S)
    print(written)


if __name__ == "__main__":
    main()
