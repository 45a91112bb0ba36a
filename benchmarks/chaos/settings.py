"""The program's own settings on a machine with three GPUs that are made up, and a wall clock that can be made to jump.

Nothing of the program knows of either: the GPUs are a stand-in for NVML, and the clock is moved in the whole process
when it gets SIGUSR1 (an hour forwards) or SIGUSR2 (an hour back).
"""

import signal
import sys
from datetime import UTC, datetime, timedelta

import time_machine

from tests.fakes import nvml

nvml.install()

from autotuner_site.settings import *  # noqa: E402, F403

HOUR = timedelta(hours=1)
_JUMPS = {signal.SIGUSR1: HOUR, signal.SIGUSR2: -HOUR}
_travels: list[time_machine.travel] = []


def _jump(number: int, frame: object) -> None:
    """Set the clock of this process; sleeping and waiting go by another clock, as on a real machine."""
    now = datetime.now(UTC)
    for travel in _travels:
        travel.stop()
    _travels[:] = [time_machine.travel(now + _JUMPS[signal.Signals(number)], tick=True)]
    _travels[0].start()


if "run_worker" in sys.argv:
    for number in _JUMPS:
        signal.signal(number, _jump)
