"""Signals as values that are taken one after another, when there is time for them."""

import queue
import signal
from types import FrameType

END = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""What asks this process to end: Ctrl-C, a service manager, a terminal that is closed."""


class Signals:
    """Collects END and SIGCHLD from now on; the process is expected to end when this is no longer needed.

    A handler may run at any moment, so it does no more than to put a number into a queue that allows this.
    """

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[signal.Signals] = queue.SimpleQueue()
        for number in (*END, signal.SIGCHLD):
            signal.signal(number, self._arrive)

    def next(self, limit_s: float) -> signal.Signals | None:
        """The next signal; None when none arrives within `limit_s` seconds."""
        try:
            return self._arrived.get(timeout=max(limit_s, 0.0))
        except queue.Empty:
            return None

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        self._arrived.put(signal.Signals(number))
